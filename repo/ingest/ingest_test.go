package ingest_test

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"zenith/internal/pg"
	"zenith/internal/pgtest"
	"zenith/internal/tree"
	"zenith/internal/xlog"
	"zenith/repo"
	"zenith/repo/ingest"
	"zenith/walredo"
)

// smallServer makes a base and the WAL of a little work on a copy of it.
func smallServer(t *testing.T, config ...string) (base, busy *pgtest.Server) {
	t.Helper()
	needPostgres(t)
	base = pgtest.Init(t, pgtest.Options{InitArgs: []string{"--data-checksums", "--wal-segsize=1"}, Config: config})
	busy = base.Copy(t)
	busy.Start(t)
	busy.Psql(t, `CREATE TABLE t(a int PRIMARY KEY, b text); INSERT INTO t SELECT g, repeat('x', 300) FROM generate_series(1, 5000) g;
		UPDATE t SET b = 'y' WHERE a % 3 = 0; DELETE FROM t WHERE a % 5 = 0; VACUUM t; CREATE TABLE u AS SELECT 1 AS one`)
	busy.Stop(t, pgtest.Immediate)
	return base, busy
}

// imported gives a timeline with base and the WAL of busy, not ingested.
func imported(t *testing.T, base, busy *pgtest.Server) (*repo.Timeline, *ingest.Ingester) {
	t.Helper()
	return importedInto(t, openRepo(t), base, busy)
}

// importedInto is imported for a repository that the test needs, too.
func importedInto(t *testing.T, r *repo.Repository, base, busy *pgtest.Server) (*repo.Timeline, *ingest.Ingester) {
	t.Helper()
	tl, err := ingest.Import(t.Context(), r, base.Dir, ingest.ImportOptions{Name: "main"})
	if err != nil {
		t.Fatal(err)
	}
	giveWAL(t, busy.WAL(t), tl)
	in, err := ingest.New(tl, ingest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return tl, in
}

// record is where a record lies.
type record struct {
	start, end pg.LSN
	rm         xlog.RmgrID
	op         uint8
	raw        []byte
}

func records(t *testing.T, tl *repo.Timeline) []record {
	t.Helper()
	var list []record
	var rec xlog.Record
	r := xlog.NewReader(tl.WAL(), tl.WALConfig(), tl.StartLSN())
	for {
		err := r.Next(&rec)
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, record{rec.StartLSN, rec.EndLSN, rec.RmgrID, rec.Op(), append([]byte(nil), rec.Raw...)})
	}
}

// overwrite changes bytes of the timeline's WAL.
func overwrite(t *testing.T, tl *repo.Timeline, at pg.LSN, b []byte) (before []byte) {
	t.Helper()
	f, err := os.OpenFile(tl.SegmentPath(at), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	before = make([]byte, len(b))
	off := int64(at) % int64(tl.Info().SegSize)
	if _, err := f.ReadAt(before, off); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(b, off); err != nil {
		t.Fatal(err)
	}
	return before
}

// TestWAL takes in the WAL of a small server, as it is and as it should not be.
func TestWAL(t *testing.T) {
	base, busy := smallServer(t)
	for _, c := range []struct {
		name string
		test func(t *testing.T, base, busy *pgtest.Server)
	}{{"damage", testDamage}, {"torn", testTorn}, {"damaged mark", testDamagedMark}, {"bad record", testBadRecord}, {"growing", testGrowing}, {"unknown manager", testUnknownManager}} {
		t.Run(c.name, func(t *testing.T) { c.test(t, base, busy) })
	}
}

// testDamage sees that damage stops the timeline at the record before it, that what is
// before can be read, and that the timeline goes on once the damage is repaired.
func testDamage(t *testing.T, base, busy *pgtest.Server) {
	tl, in := imported(t, base, busy)
	list := records(t, tl)
	bad := list[len(list)/2]
	before := overwrite(t, tl, bad.start+xlog.RecordHeaderSize, []byte{0xFF, 0xFF, 0xFF, 0xFF})
	for range 2 {
		head, err := in.Catchup(t.Context())
		if !errors.Is(err, xlog.ErrCorrupt) || !strings.Contains(err.Error(), bad.start.String()) {
			t.Fatalf("damage at %v: got error %v", bad.start, err)
		}
		if want := list[len(list)/2-1].end; head != want || tl.LastLSN() != want {
			t.Fatalf("head with damage at %v: got %v, want %v", bad.start, head, want)
		}
	}
	readAll(t, tl)
	overwrite(t, tl, bad.start+xlog.RecordHeaderSize, before)
	head, err := in.Catchup(t.Context())
	if want := list[len(list)-1].end; err != nil || head != want {
		t.Fatalf("after the repair: got head %v, %v, want %v", head, err, want)
	}
	readAll(t, tl)
}

// testTorn sees that what cannot be read behind the mark of durable WAL is its end, though
// records follow, and that below the mark it is damage; and that the mark follows the head.
func testTorn(t *testing.T, base, busy *pgtest.Server) {
	tl, in := imported(t, base, busy)
	list := records(t, tl)
	torn := list[len(list)/2]
	before := overwrite(t, tl, torn.start, make([]byte, xlog.RecordHeaderSize))
	if err := tl.MarkDurable(torn.end); err != nil {
		t.Fatal(err)
	}
	if _, err := in.Catchup(t.Context()); !errors.Is(err, xlog.ErrCorrupt) {
		t.Fatalf("hole below the mark: got error %v", err)
	}
	if err := tl.MarkDurable(torn.start); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		head, err := in.Catchup(t.Context())
		if want := list[len(list)/2-1].end; err != nil || head != want {
			t.Fatalf("hole behind the mark: got head %v, %v, want %v", head, err, want)
		}
	}
	overwrite(t, tl, torn.start, before) // the server gets round to writing it
	head, err := in.Catchup(t.Context())
	if want := list[len(list)-1].end; err != nil || head != want {
		t.Fatalf("completed: got head %v, %v, want %v", head, err, want)
	}
	if mark, ok, err := tl.Durable(); !ok || err != nil || mark != head {
		t.Fatalf("mark: got %v, %v, %v, want %v", mark, ok, err, head)
	}
}

// testDamagedMark sees that a mark that cannot be read is made anew at the end of WAL, without loss;
// but that a hole, of which nobody can tell then whether it is damage, stops the timeline.
func testDamagedMark(t *testing.T, base, busy *pgtest.Server) {
	for _, content := range []string{"", "0000", "no LSN, and longer than one", "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"} {
		tl, in := imported(t, base, busy)
		list := records(t, tl)
		hole, path := list[len(list)/2], filepath.Join(filepath.Dir(tl.WALDir()), "durable")
		before := overwrite(t, tl, hole.start, make([]byte, xlog.RecordHeaderSize))
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := in.Catchup(t.Context()); !errors.Is(err, xlog.ErrCorrupt) || !strings.Contains(err.Error(), path) {
				t.Fatalf("%q, hole: got error %v", content, err)
			}
		}
		overwrite(t, tl, hole.start, before)
		head, err := in.Catchup(t.Context())
		if want := list[len(list)-1].end; err != nil || head != want {
			t.Fatalf("%q: got head %v, %v, want %v", content, head, err, want)
		}
		if mark, ok, err := tl.Durable(); !ok || err != nil || mark != head {
			t.Errorf("%q: the mark is %v, %v, %v, want %v", content, mark, ok, err, head)
		}
		if kept, err := os.ReadFile(path + ".damaged-1"); err != nil || string(kept) != content {
			t.Errorf("%q: it was not moved aside: %q, %v", content, kept, err)
		}
	}
}

// testBadRecord sees that a record that is whole but makes no sense stops the timeline
// just before it, although it is in the middle of a batch.
func testBadRecord(t *testing.T, base, busy *pgtest.Server) {
	tl, in := imported(t, base, busy)
	list := records(t, tl)
	i := len(list) - 1
	for ; i >= 0; i-- {
		r := list[i]
		if r.rm == xlog.RmSmgr && r.op == xlog.SmgrCreate && r.start/xlog.PageSize == (r.end-1)/xlog.PageSize {
			break
		}
	}
	r := list[i]
	binary.LittleEndian.PutUint32(r.raw[len(r.raw)-4:], 77) // forkNum
	binary.LittleEndian.PutUint32(r.raw[20:], xlog.RecordCRC(r.raw))
	overwrite(t, tl, r.start, r.raw)
	for range 2 {
		head, err := in.Catchup(t.Context())
		if !errors.Is(err, xlog.ErrCorrupt) || !strings.Contains(err.Error(), "Storage/CREATE at "+r.start.String()) {
			t.Fatalf("bad record at %v: got error %v", r.start, err)
		}
		if want := list[i-1].end; head != want {
			t.Fatalf("head with a bad record at %v: got %v, want %v", r.start, head, want)
		}
	}
	readAll(t, tl)
}

// TestMinimal sees that WAL with less in it than happened is refused.
func TestMinimal(t *testing.T) {
	base, busy := smallServer(t, "wal_level=minimal", "max_wal_senders=0")
	tl, in := imported(t, base, busy)
	head, err := in.Catchup(t.Context())
	if !errors.Is(err, ingest.ErrMinimal) {
		t.Fatalf("got %v, want ErrMinimal", err)
	}
	if head != tl.LastLSN() {
		t.Errorf("head: got %v, want %v", head, tl.LastLSN())
	}
	// A server that logs everything may take over.
	base.Start(t)
	base.Stop(t, pgtest.Fast)
	busy = base.Copy(t)
	busy.Configure(t, "wal_level=replica")
	busy.Start(t)
	busy.Psql(t, "CREATE TABLE t AS SELECT 1 AS one")
	busy.Stop(t, pgtest.Immediate)
	_, in = imported(t, base, busy)
	if _, err := in.Catchup(t.Context()); err != nil {
		t.Errorf("wal_level raised: %v", err)
	}
}

// testGrowing takes the WAL in piece by piece, as it is written, and restarts in between.
func testGrowing(t *testing.T, base, busy *pgtest.Server) {
	tl, in := imported(t, base, busy)
	list := records(t, tl)
	whole := map[pg.LSN][]byte{}
	size := pg.LSN(tl.Info().SegSize)
	for at := tl.StartLSN() &^ (size - 1); at < list[len(list)-1].end; at += size {
		b, err := os.ReadFile(tl.SegmentPath(at))
		if err != nil {
			t.Fatal(err)
		}
		whole[at] = b
		if at < tl.StartLSN() {
			b = append(append([]byte(nil), b[:tl.StartLSN()-at]...), make([]byte, at+size-tl.StartLSN())...)
			if err := os.WriteFile(tl.SegmentPath(at), b, 0o600); err != nil {
				t.Fatal(err)
			}
		} else if err := os.Remove(tl.SegmentPath(at)); err != nil {
			t.Fatal(err)
		}
	}
	for i := 100; i < len(list); i += 1 + len(list)/20 {
		// What is written may end anywhere.
		upTo := list[i].start + 8
		for at, b := range whole {
			if at < upTo {
				n := min(upTo-at, size)
				if err := os.WriteFile(tl.SegmentPath(at), append(append([]byte(nil), b[:n]...), make([]byte, size-n)...), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		head, err := in.Catchup(t.Context())
		if want := list[i-1].end; err != nil || head != want {
			t.Fatalf("WAL up to %v: got head %v, %v, want %v", upTo, head, err, want)
		}
		if i%2 == 0 {
			if in, err = ingest.New(tl, ingest.Options{BatchBytes: 10000}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// readAll reads everything that there is at the head.
func readAll(t *testing.T, tl *repo.Timeline) {
	t.Helper()
	v := headView(t, tl)
	n := 0
	walk(t, v, "", func(path string, e tree.Entry) {
		if e.Dir {
			return
		}
		if _, err := readFile(t.Context(), e.File); err != nil {
			t.Errorf("read %s: %v", path, err)
		}
		n++
	})
	if n < 500 {
		t.Errorf("only %d files", n)
	}
}

// testUnknownManager sees that a record of a resource manager that nobody knows stops
// nothing: its pages cannot be read from there on until an image comes, others can.
func testUnknownManager(t *testing.T, base, busy *pgtest.Server) {
	tl, in := imported(t, base, busy)
	list := records(t, tl)
	rows := 0
	i := slices.IndexFunc(list, func(r record) bool {
		if r.rm == xlog.RmHeap && len(r.raw) < 600 && len(r.raw) > 300 {
			rows++ // of table t; the first makes the page
		}
		return rows > 2 && r.rm == xlog.RmHeap && r.start/xlog.PageSize == (r.end-1)/xlog.PageSize
	})
	r := list[i]
	r.raw[17] = byte(xlog.RmMinCustom)
	binary.LittleEndian.PutUint32(r.raw[20:], xlog.RecordCRC(r.raw))
	overwrite(t, tl, r.start, r.raw)
	var rec xlog.Record
	if err := xlog.Decode(tl.Version(), r.raw, r.start, r.end, &rec); err != nil {
		t.Fatal(err)
	}
	tag := rec.Blocks[0].Tag
	head, err := in.Catchup(t.Context())
	if want := list[len(list)-1].end; err != nil || head != want {
		t.Fatalf("got head %v, %v, want %v", head, err, want)
	}
	page := make(pg.Page, pg.BlockSize)
	for _, c := range []struct {
		at   pg.LSN
		blk  pg.BlockNumber
		want error
	}{{list[i-1].end, tag.Block, nil}, {r.end, tag.Block, walredo.ErrUnsupported}, {head, tag.Block, walredo.ErrUnsupported}, {head, tag.Block + 1, nil}} {
		snap, err := tl.At(t.Context(), c.at)
		if err != nil {
			t.Fatal(err)
		}
		if err := snap.ReadPage(t.Context(), tag.RelFork.Tag(c.blk), page); !errors.Is(err, c.want) {
			t.Errorf("block %d at %v: got %v, want %v", c.blk, c.at, err, c.want)
		}
	}
}
