package xlog_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"zenith/internal/pg"
	"zenith/internal/pgtest"
	"zenith/internal/xlog"
)

func TestShutdownCheckpoint(t *testing.T) {
	want := pg.CheckPoint{ThisTLI: 1, PrevTLI: 1, NextXID: pg.FullXID(2, 777), NextOID: 20000, NextMulti: 5, OldestXID: 700, Time: 1234567890}
	for _, left := range []int{0, 8, 16, 24, 104, 112, 120, 128, 8000} {
		for _, at := range []pg.LSN{5 << 20, 6<<20 - xlog.PageSize} { // the second crosses a segment's end
			b := newBuilder(xlog.Config{Version: pg.V15, SegSize: 1 << 20, SysID: 42, TLI: 1}, at)
			b.fill(left)
			cp := want
			patches, end := xlog.ShutdownCheckpoint(b.at, b.prev, &cp, b.cfg)
			if cp.Redo != xlog.RecordStart(b.at, b.cfg.SegSize) {
				t.Fatalf("redo is %v", cp.Redo)
			}
			for _, p := range patches {
				if len(p.Bytes) == 0 || p.At>>20 != (p.At+pg.LSN(len(p.Bytes))-1)>>20 {
					t.Fatalf("patch at %v of %d bytes", p.At, len(p.Bytes))
				}
			}
			prev := b.prev
			b.patch(patches)
			r := b.reader(b)
			expect(t, r, b.records)
			var rec xlog.Record
			if err := r.Next(&rec); err != nil {
				t.Fatalf("%d bytes left: %v (%v)", left, err, r.EndReason())
			}
			got, err := xlog.ParseCheckPoint(&rec)
			if err != nil || got != cp || rec.StartLSN != cp.Redo || rec.EndLSN != end || rec.Prev != prev || rec.XID != 0 {
				t.Fatalf("%d bytes left: %+v at %v, %v", left, got, rec.StartLSN, err)
			}
			if shutdown, ok := rec.IsCheckpoint(); !shutdown || !ok {
				t.Fatal("not a shutdown checkpoint")
			}
			expectEnd(t, r)
		}
	}
}

// Stock PostgreSQL starts on a checkpoint that we wrote, without recovery, wherever in
// its pages and segments the record lies.
func TestServerStartsOnShutdownCheckpoint(t *testing.T) {
	if testing.Short() {
		t.Skip("needs PostgreSQL")
	}
	base := pgtest.Init(t, pgtest.Options{InitArgs: []string{"--wal-segsize=1"}, Config: []string{"wal_keep_size=1GB"}})
	base.Start(t)
	base.Psql(t, "CREATE TABLE t AS SELECT 42 AS answer")
	base.Stop(t, pgtest.Fast)
	for name, prepare := range map[string]func(b *builder){
		"at once":         func(b *builder) {},
		"page start":      func(b *builder) { b.fill(0) },
		"header split":    func(b *builder) { b.fill(8) },
		"crosses page":    func(b *builder) { b.fill(64) },
		"exact fit":       func(b *builder) { b.fill(120) },
		"segment start":   func(b *builder) { toLastPage(b); b.fill(0) },
		"crosses segment": func(b *builder) { toLastPage(b); b.fill(16) },
	} {
		t.Run(name, func(t *testing.T) { startOnCheckpoint(t, base.Copy(t), prepare) })
	}
}

// toLastPage appends records up to the last page of the segment.
func toLastPage(b *builder) {
	for b.at&^(xlog.PageSize-1) != b.at&^(1<<20-1)+1<<20-xlog.PageSize {
		b.add(2000)
	}
}

func startOnCheckpoint(t *testing.T, srv *pgtest.Server, prepare func(b *builder)) {
	control := srv.Control(t)
	wal := srv.WAL(t)
	b := newBuilder(xlog.Config{Version: pg.V15, SegSize: wal.SegSize, SysID: control.SystemID, TLI: 1}, control.CheckPoint)
	r := wal.Reader(control.CheckPoint)
	var rec xlog.Record
	if err := r.Next(&rec); err != nil {
		t.Fatal(err)
	}
	b.at, b.prev = rec.EndLSN, rec.StartLSN
	prepare(b)
	cp := control.CheckPointCopy
	patches, _ := xlog.ShutdownCheckpoint(b.at, b.prev, &cp, b.cfg)
	b.patch(patches)
	patchFiles(t, wal, b.memWAL, rec.EndLSN)

	control.CheckPoint, control.CheckPointCopy = cp.Redo, cp
	if err := os.WriteFile(filepath.Join(srv.Dir, "global", "pg_control"), control.Encode(), 0o600); err != nil {
		t.Fatal(err)
	}
	srv.Start(t)
	if got := srv.Psql(t, "SELECT answer FROM t; CREATE TABLE u (i int)"); got != "42" {
		t.Errorf("got %q", got)
	}
	srv.Stop(t, pgtest.Fast)
	if log := srv.Log(t); strings.Contains(log, "redo") || strings.Contains(log, "recovery") {
		t.Errorf("the server recovered:\n%s", log)
	}
	// Its WAL goes on from ours.
	n := 0
	var err error
	for r.Next(&rec) == nil {
		n++
	}
	if err = r.Next(&rec); err != io.EOF || n < len(b.records)+3 {
		t.Errorf("%d records behind %d: %v", n, len(b.records), err)
	}
}

// patchFiles writes what is in memory behind from into the segment files.
func patchFiles(t *testing.T, wal pgtest.WALDir, m *memWAL, from pg.LSN) {
	t.Helper()
	segs := map[pg.LSN][]byte{}
	for at, page := range m.pages {
		seg := at &^ pg.LSN(wal.SegSize-1)
		if segs[seg] == nil {
			segs[seg] = make([]byte, wal.SegSize)
			if _, err := wal.ReadWAL(segs[seg], seg); err != nil && err != io.EOF {
				t.Fatal(err)
			}
		}
		skip := max(at, from) - at
		copy(segs[seg][at-seg+skip:], page[skip:])
	}
	uid, gid := pgtest.Owner(t)
	for seg, b := range segs {
		path := filepath.Join(wal.Dir, xlog.SegmentName(wal.TLI, seg, wal.SegSize))
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(path, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSegmentNames(t *testing.T) {
	for _, c := range []struct {
		tli     pg.TLI
		lsn     pg.LSN
		segSize int
		want    string
	}{
		{1, 0x16B3748, 16 << 20, "000000010000000000000001"},
		{0xA, 0x1234_56789ABC, 16 << 20, "0000000A0000123400000056"},
		{1, 0x1_FFFFFFFF, 1 << 20, "000000010000000100000FFF"},
		{1, 0x2_00000000, 1 << 20, "000000010000000200000000"},
		{2, 0x5_C0000000, 1 << 30, "000000020000000500000003"},
	} {
		if got := xlog.SegmentName(c.tli, c.lsn, c.segSize); got != c.want {
			t.Errorf("%v: %s, want %s", c.lsn, got, c.want)
		}
		tli, start, ok := xlog.ParseSegmentName(c.want, c.segSize)
		if !ok || tli != c.tli || start != c.lsn&^pg.LSN(c.segSize-1) {
			t.Errorf("%s: %d, %v, %v", c.want, tli, start, ok)
		}
	}
	for _, name := range []string{"", "00000001000000000000000", "0000000100000000000000010", "00000001000000000000000g", "0000000a0000000000000001",
		"000000010000000000000100", "00000001.history", "000000010000000000000001.partial"} {
		if _, _, ok := xlog.ParseSegmentName(name, 16<<20); ok {
			t.Errorf("%q is a segment's name", name)
		}
	}
}

func TestParsersOfRareRecords(t *testing.T) {
	rec := func(op uint8, main string) *xlog.Record {
		return &xlog.Record{V: pg.V15, Info: op, MainData: []byte(main)}
	}
	ok := func(name string, got any, err error, want any) {
		t.Helper()
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, want)
		}
	}
	ct, err := xlog.ParseCLOGTruncate(rec(0, "\x01\x02\x00\x00\x03\x00\x00\x00\x04\x00\x00\x00"))
	ok("clog truncate", ct, err, xlog.CLOGTruncateRec{Page: 0x201, OldestXID: 3, OldestDB: 4})
	tt, err := xlog.ParseCommitTsTruncate(rec(0, "\x01\x02\x00\x00\x03\x00\x00\x00"))
	ok("commit_ts truncate", tt, err, xlog.CommitTsTruncateRec{Page: 0x201, OldestXID: 3})
	mt, err := xlog.ParseMultiXactTruncate(rec(0, "\x05\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x03\x00\x00\x00\x04\x00\x00\x00"))
	ok("multixact truncate", mt, err, xlog.MultiXactTruncate{OldestDB: 5, StartID: 1, EndID: 2, StartMember: 3, EndMember: 4})
	if ct, err := xlog.ParseCLOGTruncate(rec(0, "\x01\x02\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x04\x00\x00\x00")); !errors.Is(err, xlog.ErrCorrupt) {
		t.Errorf("clog truncate of PostgreSQL 17: %+v, %v", ct, err)
	}
	er, err := xlog.ParseEndOfRecovery(rec(0, "\x01\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x03\x00\x00\x00"))
	ok("end of recovery", er, err, xlog.EndOfRecovery{Time: 1, ThisTLI: 2, PrevTLI: 3})
	be, err := xlog.ParseBackupEnd(rec(0, "\x01\x00\x00\x00\x00\x00\x00\x01"))
	ok("backup end", be, err, pg.LSN(0x0100000000000001))
}

func TestTwoPhaseFile(t *testing.T) {
	r := loadFixture(t, "mixed").reader()
	var rec xlog.Record
	n := 0
	for r.Next(&rec) == nil {
		if rec.RmgrID != xlog.RmXact || rec.Op() != xlog.XactPrepare {
			continue
		}
		n++
		file := xlog.TwoPhaseFile(rec.MainData)
		state, err := xlog.TwoPhaseState(file)
		if err != nil || !bytes.Equal(state, rec.MainData) {
			t.Fatal(err)
		}
		if p, err := xlog.ParsePrepareState(rec.V, state); err != nil || p.XID != rec.XID {
			t.Fatalf("%+v, %v", p, err)
		}
		file[20] ^= 1
		if _, err := xlog.TwoPhaseState(file); err == nil {
			t.Fatal("a changed file was accepted")
		}
	}
	if n != 3 {
		t.Errorf("%d prepared transactions", n)
	}
}

func TestParseHistoryName(t *testing.T) {
	for name, want := range map[string]pg.TLI{"00000002.history": 2, "0000001F.history": 0x1F} {
		if tli, ok := pg.ParseHistoryName(name); !ok || tli != want {
			t.Errorf("%s: %d, %v", name, tli, ok)
		}
	}
	for _, name := range []string{"", ".history", "2.history", "0000000a.history", "00000002.history.tmp", "000000010000000000000001"} {
		if _, ok := pg.ParseHistoryName(name); ok {
			t.Errorf("%q is a history file's name", name)
		}
	}
}

// TestPageImage reads images of pages back that follow one another over pages and segments.
func TestPageImage(t *testing.T) {
	for _, at := range []pg.LSN{5 << 20, 6<<20 - xlog.PageSize} { // the second crosses a segment's end
		b := newBuilder(xlog.Config{Version: pg.V15, SegSize: 1 << 20, SysID: 42, TLI: 1}, at)
		b.fill(112)
		tag := pg.RelFork{RelFileLocator: pg.RelFileLocator{SpcOID: 1663, DBOID: 5, RelNumber: 16384}, Fork: pg.VisibilityMapFork}.Tag(77)
		page := make(pg.Page, pg.BlockSize)
		page.Init(0)
		copy(page[pg.BlockSize-8:], "the page")
		type place struct{ start, end, prev pg.LSN }
		var places []place
		end, prev := b.at, b.prev
		var all []xlog.Patch
		for range 3 {
			p := place{prev: prev}
			var patches []xlog.Patch
			patches, p.start, p.end = xlog.PageImage(end, prev, tag, page, b.cfg)
			all = append(all, patches...)
			end, prev = p.end, p.start
			places = append(places, p)
		}
		b.patch(all)
		r := b.reader(b)
		expect(t, r, b.records)
		var rec xlog.Record
		for i, p := range places {
			if err := r.Next(&rec); err != nil {
				t.Fatalf("image %d: %v (%v)", i, err, r.EndReason())
			}
			got := make(pg.Page, pg.BlockSize)
			if len(rec.Blocks) != 1 || rec.Blocks[0].Tag != tag || !rec.Blocks[0].Restores() || rec.Blocks[0].Image.Restore(got) != nil || !bytes.Equal(got, page) {
				t.Fatalf("image %d: %+v", i, rec.Blocks)
			}
			if rec.RmgrID != xlog.RmXLOG || rec.Op() != xlog.XLOGFPI || (place{rec.StartLSN, rec.EndLSN, rec.Prev}) != p {
				t.Fatalf("image %d lies at %v to %v, after %v; want %v", i, rec.StartLSN, rec.EndLSN, rec.Prev, p)
			}
		}
		expectEnd(t, r)
	}
}
