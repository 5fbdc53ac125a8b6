package repo_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"zenith/internal/pg"
	"zenith/repo"
	"zenith/repo/repotest"
	"zenith/repo/store/storetest"
)

func TestBranchRefuses(t *testing.T) {
	r := repotest.Open(t, repotest.Redo)
	main := repotest.Create(t, r, "main")
	ends := add(t, main, noop(10), noop(10))
	ctx := t.Context()
	id := repo.RandomTimelineID()
	if _, err := r.Branch(ctx, repo.NewBranch{ID: id, Name: "dev"}, main, ends[0]); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		id   repo.TimelineID
		name string
		at   pg.LSN
		want error
	}{
		"a name twice":     {repo.TimelineID{}, "dev", ends[0], repo.ErrExists},
		"an id twice":      {id, "dev2", ends[0], repo.ErrExists},
		"a bad name":       {repo.TimelineID{}, "a//b", ends[0], repo.ErrInvalid},
		"inside a record":  {repo.TimelineID{}, "x", ends[0] + 8, repo.ErrInvalid},
		"beyond the head":  {repo.TimelineID{}, "x", ends[1] + 8, repo.ErrOutOfRange},
		"before the start": {repo.TimelineID{}, "x", repotest.Start - 8, repo.ErrOutOfRange},
	} {
		if _, err := r.Branch(ctx, repo.NewBranch{ID: c.id, Name: c.name}, main, c.at); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if n := len(r.Timelines()); n != 2 {
		t.Errorf("%d timelines, want 2", n)
	}
	if err := r.Delete(ctx, "main", time.Now()); !errors.Is(err, repo.ErrBusy) {
		t.Errorf("delete of a parent: %v", err)
	}
	if err := r.Delete(ctx, "nobody", time.Now()); !errors.Is(err, repo.ErrNotFound) {
		t.Errorf("delete of nobody: %v", err)
	}
}

// TestBranchOfOldLSN checks that a branch at an LSN that an ancestor has in its own WAL becomes a
// child of the ancestor.
func TestBranchOfOldLSN(t *testing.T) {
	r := repotest.Open(t, repotest.Redo)
	main := repotest.Create(t, r, "main")
	ends := add(t, main, noop(10), noop(10))
	dev, err := r.Branch(t.Context(), repo.NewBranch{Name: "dev"}, main, ends[1])
	if err != nil {
		t.Fatal(err)
	}
	old, err := r.Branch(t.Context(), repo.NewBranch{Name: "old"}, dev, ends[0])
	if err != nil {
		t.Fatal(err)
	}
	if a, at := old.Ancestor(); a != main || at != ends[0] || old.FirstLSN() != repotest.Start {
		t.Errorf("ancestor %v at %v", a.Name(), at)
	}
	if err := r.Delete(t.Context(), "dev", time.Now()); err != nil {
		t.Error(err)
	}
	if res, err := r.Collect(t.Context(), repo.CollectOptions{}); err != nil || len(res.Branches) != 1 || res.Branches[0] != dev.ID() {
		t.Errorf("collect: %+v, %v", res, err)
	}
	if _, err := os.Stat(dev.WALDir()); !os.IsNotExist(err) {
		t.Errorf("wal of a deleted branch: %v", err)
	}
	if _, err := dev.Begin(t.Context()); !errors.Is(err, repo.ErrNotFound) {
		t.Errorf("write to a deleted branch: %v", err)
	}
}

// openOn opens a repository with a store in memory; the test ends if that fails.
func openOn(t *testing.T, dir string, disk *storetest.Mem) *repo.Repository {
	t.Helper()
	r, err := repo.Open(repo.Options{Dir: dir, Redo: repotest.Redo, Store: disk})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestHalfMadeIsGone(t *testing.T) {
	dir, disk := t.TempDir(), storetest.NewMem()
	open := func() *repo.Repository {
		t.Helper()
		return openOn(t, dir, disk)
	}
	r := open()
	repotest.Create(t, r, "main")
	o := repo.CreateOptions{Name: "half", Major: 15, TLI: 1, SegSize: repotest.SegSize}
	b, err := r.Create(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.ByName("half"); !errors.Is(err, repo.ErrNotFound) {
		t.Errorf("a timeline that is being made: %v", err)
	}
	if _, err := r.Create(t.Context(), o); !errors.Is(err, repo.ErrExists) {
		t.Errorf("another of that name: %v", err)
	}
	tag := pg.SLRUXact.Page(0)
	if err := b.Image(tag, repotest.Start, make(pg.Page, pg.BlockSize)); err != nil {
		t.Fatal(err)
	}
	r.Kill()
	disk = disk.Crash(true)
	r = open()
	if n := len(r.Timelines()); n != 1 {
		t.Errorf("%d timelines after a crash while one was made, want 1", n)
	}
	if _, err := os.Stat(b.Timeline().WALDir()); !os.IsNotExist(err) {
		t.Errorf("its wal: %v", err)
	}
	if b, err = r.Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	b.Abort()
	if b, err = r.Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if err := b.Commit(t.Context(), repotest.StartState()); err != nil {
		t.Fatal(err)
	}
	half, err := r.ByName("half")
	if err != nil {
		t.Fatal(err)
	}
	s, err := half.At(t.Context(), repotest.Start)
	if err != nil {
		t.Fatal(err)
	}
	if _, exists, err := s.RelSize(t.Context(), tag.RelFork); exists || err != nil {
		t.Errorf("something of the one that was not finished: %v %v", exists, err)
	}
	repotest.Close(t, r)
}

// TestBulk fills a timeline by a Bulk, and changes it by another one, as the copy of a database does.
func TestBulk(t *testing.T) {
	r := repotest.Open(t, repotest.Redo)
	main := repotest.Create(t, r, "main")
	ends := add(t, main, noop(10))
	before, err := main.At(t.Context(), ends[0])
	if err != nil {
		t.Fatal(err)
	}
	l := repotest.NewLog(main)
	rec := l.Add(t, noop(10))
	rf := pg.RelFork{RelFileLocator: pg.RelFileLocator{SpcOID: 1663, DBOID: 16400, RelNumber: 5}}
	b, err := main.Bulk(t.Context(), rec.EndLSN)
	if err != nil {
		t.Fatal(err)
	}
	page := func(n byte) pg.Page { return bytes.Repeat([]byte{n}, pg.BlockSize) }
	for n := range byte(20) {
		err = errors.Join(err, b.Image(rf.Tag(pg.BlockNumber(n)), rec.EndLSN, page(n)))
	}
	err = errors.Join(err, b.RelSize(rf, rec.EndLSN, 20), b.DBCreate(1663, 16400, rec.EndLSN), b.File("base/16400/PG_VERSION", rec.EndLSN, []byte("15\n")))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Image(rf.Tag(0), rec.EndLSN+8, page(0)); !errors.Is(err, repo.ErrInvalid) {
		t.Errorf("image above the end: %v", err)
	}
	state := repotest.StartState()
	state.LSN, state.Prev = rec.EndLSN, rec.StartLSN
	if err := b.Commit(t.Context(), state); err != nil {
		t.Fatal(err)
	}
	if err := b.Image(rf.Tag(0), rec.EndLSN, page(0)); !errors.Is(err, repo.ErrInvalid) {
		t.Errorf("image after the commit: %v", err)
	}
	add(t, main, noop(10)) // this would block if the turn had not been given back
	after, err := main.At(t.Context(), rec.EndLSN)
	if err != nil {
		t.Fatal(err)
	}
	dst := make(pg.Page, pg.BlockSize)
	for n := range byte(20) {
		if err := after.ReadPage(t.Context(), rf.Tag(pg.BlockNumber(n)), dst); err != nil || !bytes.Equal(dst, page(n)) {
			t.Errorf("block %d: %v, or other bytes", n, err)
		}
	}
	if has, err := after.HasDatabase(t.Context(), 1663, 16400); !has || err != nil {
		t.Errorf("database: %v %v", has, err)
	}
	if has, err := before.HasDatabase(t.Context(), 1663, 16400); has || err != nil {
		t.Errorf("database before it was made: %v %v", has, err)
	}
	if _, exists, err := before.RelSize(t.Context(), rf); exists || err != nil {
		t.Errorf("relation before it was made: %v %v", exists, err)
	}
}

// TestChecksums checks that pages that are read have checksums if the cluster has them, but for
// pages of SLRUs and new pages.
func TestChecksums(t *testing.T) {
	for _, on := range []uint32{0, 1} {
		t.Run(fmt.Sprint(on), func(t *testing.T) {
			r := repotest.Open(t, repotest.Redo)
			b, err := r.Create(t.Context(), repo.CreateOptions{Name: "main", Major: 15, TLI: 1, SegSize: repotest.SegSize})
			if err != nil {
				t.Fatal(err)
			}
			rf := pg.RelFork{RelFileLocator: pg.RelFileLocator{SpcOID: 1664, RelNumber: 9}}
			page := make(pg.Page, pg.BlockSize)
			page.Init(0)
			xact := pg.SLRUXact.Page(0)
			err = errors.Join(b.RelSize(rf, repotest.Start, 131073), b.Image(rf.Tag(131072), repotest.Start, page),
				b.RelSize(xact.RelFork, repotest.Start, 1), b.Image(xact, repotest.Start, page))
			s := repotest.StartState()
			s.ChecksumVersion = on
			if err := errors.Join(err, b.Commit(t.Context(), s)); err != nil {
				t.Fatal(err)
			}
			snap, err := b.Timeline().At(t.Context(), repotest.Start)
			if err != nil {
				t.Fatal(err)
			}
			want := pg.Checksum(page, 131072) * uint16(on)
			for tag, want := range map[pg.BufferTag]uint16{rf.Tag(131072): want, rf.Tag(0): 0, xact: 0} {
				dst := make(pg.Page, pg.BlockSize)
				if err := snap.ReadPage(t.Context(), tag, dst); err != nil || dst.Checksum() != want {
					t.Errorf("%v: checksum %04X (%v), want %04X", tag, dst.Checksum(), err, want)
				}
			}
		})
	}
}
