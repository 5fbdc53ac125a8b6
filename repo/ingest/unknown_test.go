package ingest_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"zenith/internal/pg"
	"zenith/internal/pgtest"
	"zenith/internal/rmgrdesc"
	"zenith/internal/tree"
	"zenith/internal/xlog"
	"zenith/repo"
	"zenith/repo/ingest"
	"zenith/repo/store"
)

// TestUnknownCopied gives a page a record of a resource manager that nobody knows, and has its
// database copied file by file: ingest goes on, both pages name the manager until an image
// comes, and pg_waldump and we print the same of the record.
func TestUnknownCopied(t *testing.T) {
	needPostgres(t)
	base := pgtest.Init(t, pgtest.Options{InitArgs: []string{"--wal-segsize=1"}, Config: []string{"wal_keep_size=1GB"}})
	busy := base.Copy(t)
	busy.Start(t)
	busy.Psql(t, "CREATE DATABASE src")
	mark := strings.Repeat("mark", 70)
	insert := fmt.Sprintf("INSERT INTO t VALUES ('%s');", mark)
	busy.Run(t, "psql", "-Xq", "-d", "src", "-c", "CREATE TABLE t(a text); INSERT INTO t VALUES ('first')", "-c", insert, "-c", insert)
	busy.Psql(t, "CREATE DATABASE copy TEMPLATE src STRATEGY file_copy")
	copied := busy.LSN(t, "SELECT pg_current_wal_insert_lsn()")
	for _, db := range []string{"src", "copy"} {
		busy.Run(t, "psql", "-Xq", "-d", db, "-c", insert)
	}
	busy.Stop(t, pgtest.Immediate)

	repository := openRepo(t)
	tl, in := importedInto(t, repository, base, busy)
	list := records(t, tl)
	i := slices.IndexFunc(list, func(r record) bool {
		return r.rm == xlog.RmHeap && bytes.Contains(r.raw, []byte(mark)) && r.start/xlog.PageSize == (r.end-1)/xlog.PageSize
	})
	r := list[i]
	r.raw[17] = 200
	binary.LittleEndian.PutUint32(r.raw[20:], xlog.RecordCRC(r.raw))
	overwrite(t, tl, r.start, r.raw)
	var rec xlog.Record
	if err := xlog.Decode(tl.Version(), r.raw, r.start, r.end, &rec); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(filepath.Join(pgtest.BinDir(t), "pg_waldump"), "-p", tl.WALDir(), "-s", r.start.String(), "-n", "1").Output()
	if want := strings.TrimSpace(string(out)); err != nil || rmgrdesc.Line(&rec, time.Local) != want || !strings.Contains(want, "custom200") {
		t.Errorf("got %s\npg_waldump %s (%v)", rmgrdesc.Line(&rec, time.Local), want, err)
	}

	head, err := in.Catchup(t.Context())
	if want := list[len(list)-1].end; err != nil || head != want {
		t.Fatalf("got head %v, %v, want %v", head, err, want)
	}
	to := rec.Blocks[0].Tag
	to.DBOID = databaseLike(t, tl, to)
	for range 2 {
		for _, c := range []struct {
			at  pg.LSN
			tag pg.BufferTag
			bad bool
		}{{list[i-1].end, rec.Blocks[0].Tag, false}, {r.end, rec.Blocks[0].Tag, true}, {copied, rec.Blocks[0].Tag, true},
			{copied, to, true}, {head, rec.Blocks[0].Tag, false}, {head, to, false}} {
			page := make(pg.Page, pg.BlockSize)
			snap, err := tl.At(t.Context(), c.at)
			if err != nil {
				t.Fatal(err)
			}
			err = snap.ReadPage(t.Context(), c.tag, page)
			if (err != nil) != c.bad {
				t.Errorf("%v at %v: got %v, want an error: %v", c.tag, c.at, err, c.bad)
			}
			if c.bad && (!errors.Is(err, repo.ErrUnsupported) || !strings.Contains(err.Error(), "unknown resource manager 200") ||
				!strings.Contains(err.Error(), r.start.String())) {
				t.Errorf("%v at %v: the error does not name the record: %v", c.tag, c.at, err)
			}
		}
		if err := tl.Flush(t.Context()); err != nil { // once more, from the store
			t.Fatal(err)
		}
	}
	remake(t, repository, tl, list[i-1].end, copied, head, []pg.BufferTag{rec.Blocks[0].Tag, to})
}

// remake checks that the pages, and they alone, are listed as unreadable at a point, and where they were
// readable before; and that they can be read from there on when they are stored as of the point.
func remake(t *testing.T, r *repo.Repository, tl *repo.Timeline, before, at, head pg.LSN, tags []pg.BufferTag) {
	t.Helper()
	look := func(lsn pg.LSN) (*repo.Snapshot, []pg.BufferTag) {
		snap, err := tl.At(t.Context(), lsn)
		if err != nil {
			t.Fatal(err)
		}
		found, why, err := snap.Unreadable(t.Context())
		if err != nil || (why != nil) != (len(found) > 0) {
			t.Fatalf("unreadable at %v: %v, %v, %v", lsn, found, why, err)
		}
		return snap, found
	}
	for _, lsn := range []pg.LSN{before, head} {
		if _, found := look(lsn); len(found) > 0 {
			t.Errorf("%v cannot be read at %v", found, lsn)
		}
	}
	snap, found := look(at)
	slices.SortFunc(tags, func(a, b pg.BufferTag) int { return int(a.DBOID) - int(b.DBOID) })
	if !slices.Equal(found, tags) {
		t.Errorf("unreadable at %v: %v, want %v", at, found, tags)
	}
	if from, err := snap.ReadableBefore(t.Context()); err != nil || from.LSN() != before {
		t.Errorf("readable before %v: %v, %v, want %v", at, from, err, before)
	}
	horizons := map[repo.TimelineID]pg.LSN{tl.ID(): at}
	if would, err := r.WouldForget(t.Context(), horizons); err != nil || would[tl.ID()] != nil && would[tl.ID()].To > before {
		t.Errorf("a collection would forget up to %v, which %v needs (%v)", would[tl.ID()].To, at, err)
	}
	var pages []repo.RemadePage
	for n, tag := range tags {
		page := make(pg.Page, pg.BlockSize)
		page.Init(0)
		page.SetLSN(at - pg.LSN(8*n))
		pages = append(pages, repo.RemadePage{Tag: tag, Page: page})
	}
	if err := tl.PutRemade(t.Context(), at, pages); err != nil {
		t.Fatal(err)
	}
	snap, found = look(at)
	if len(found) > 0 {
		t.Errorf("%v cannot be read at %v though they were made again", found, at)
	}
	for _, p := range pages {
		got := make(pg.Page, pg.BlockSize)
		if err := snap.ReadPage(t.Context(), p.Tag, got); err != nil || got.LSN() != p.Page.LSN() || got.Lower() != p.Page.Lower() {
			t.Errorf("%v at %v: got %x, %v, want %x", p.Tag, at, got[:24], err, p.Page[:24])
		}
	}
}

// databaseLike finds the other database that has tag's relation.
func databaseLike(t *testing.T, tl *repo.Timeline, tag pg.BufferTag) (found pg.OID) {
	t.Helper()
	snap, err := tl.AtHead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	err = snap.Databases(t.Context(), func(spc, db pg.OID) error {
		if db == tag.DBOID {
			return nil
		}
		return snap.Relations(t.Context(), spc, db, func(rf pg.RelFork, _ pg.BlockNumber) error {
			if rf.RelNumber == tag.RelNumber && rf.Fork == tag.Fork {
				found = db
			}
			return nil
		})
	})
	if err != nil || found == 0 {
		t.Fatalf("no other database has %v (%v)", tag.RelFork, err)
	}
	return found
}

// TestBigTwoPhase prepares a transaction whose state is longer than what a store writes at
// once, takes it in from WAL and from a data directory, and has it committed.
func TestBigTwoPhase(t *testing.T) {
	needPostgres(t)
	base := pgtest.Init(t, pgtest.Options{InitArgs: []string{"--wal-segsize=4"},
		Config: []string{"max_prepared_transactions=2", "max_locks_per_transaction=400", "wal_keep_size=1GB"}})
	base.Start(t)
	base.Psql(t, `DO $$ BEGIN FOR i IN 1..3000 LOOP EXECUTE format('CREATE TABLE t%s(a int PRIMARY KEY, b text)', i); END LOOP; END $$`)
	base.Stop(t, pgtest.Fast)
	busy := base.Copy(t)
	busy.Start(t)
	busy.Psql(t, `BEGIN; DO $$ BEGIN FOR i IN 1..3000 LOOP EXECUTE format('DROP TABLE t%s', i); END LOOP; END $$; PREPARE TRANSACTION 'big'`)
	busy.Stop(t, pgtest.Immediate)

	tl, in := imported(t, base, busy)
	if _, err := in.Catchup(t.Context()); err != nil {
		t.Fatal(err)
	}
	ref := pgtest.Recover(t, base, busy.WAL(t), 0)
	for range 2 {
		if n := biggest(t, tl); n <= store.MaxUpdate {
			t.Fatalf("the two-phase file has %d bytes: not long enough", n)
		}
		compareView(t, headView(t, tl), ref.Dir, true)
		if err := tl.Flush(t.Context()); err != nil { // once more, from the store
			t.Fatal(err)
		}
	}
	ours, err := ingest.Import(t.Context(), openRepo(t), ref.Dir, ingest.ImportOptions{Name: "main"})
	if err != nil {
		t.Fatal(err)
	}
	compareView(t, headView(t, ours), ref.Dir, true)
	srv := base.Copy(t)
	exportTo(t, headView(t, ours), srv)
	srv.Start(t)
	srv.Psql(t, "COMMIT PREPARED 'big'")
	if got := srv.Psql(t, "SELECT count(*) FROM pg_class WHERE relname ~ '^t[0-9]+$'"); got != "0" {
		t.Errorf("after the commit: %s tables, want 0", got)
	}
	srv.Stop(t, pgtest.Fast)
}

// biggest is the size of the longest two-phase file at the head.
func biggest(t *testing.T, tl *repo.Timeline) (n int64) {
	t.Helper()
	walk(t, headView(t, tl), "pg_twophase", func(_ string, e tree.Entry) { n = max(n, e.File.Size()) })
	return n
}
