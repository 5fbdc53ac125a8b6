package repo_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"zenith/internal/pg"
	"zenith/repo"
	"zenith/repo/repotest"
	"zenith/repo/store"
	"zenith/repo/store/storetest"
)

// rewriteRows replaces a text in all timelines' rows, which are those that have a SysID, and
// says in how many it was.
func rewriteRows(t *testing.T, s store.Store, old, text string) (n int) {
	t.Helper()
	var ops []store.Op
	it := s.Iterator(nil)
	for it.Seek(nil); it.Valid(); it.Next() {
		value, err := it.Value()
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(value, []byte(`"SysID"`)) && bytes.Contains(value, []byte(old)) {
			ops = append(ops, store.Op{Key: bytes.Clone(it.Key()), Value: bytes.Replace(value, []byte(old), []byte(text), 1)})
		}
	}
	if err := errors.Join(it.Close(), s.Update(ops)); err != nil {
		t.Fatal(err)
	}
	return len(ops)
}

// A store from when PostgreSQL 15 was the only version says nothing of versions.
func TestVersionOfTimeline(t *testing.T) {
	dir, disk := t.TempDir(), storetest.NewMem()
	open := func() (*repo.Repository, error) {
		return repo.Open(repo.Options{Dir: dir, Redo: repotest.Redo, Store: disk})
	}
	r, err := open()
	if err != nil {
		t.Fatal(err)
	}
	main := repotest.Create(t, r, "main")
	if _, err := r.Branch(t.Context(), repo.NewBranch{Name: "dev"}, main, main.LastLSN()); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	for _, rewrite := range []struct {
		old, text string
		want      *pg.Version // nil: it cannot be opened
	}{
		{`"Major":15,`, `"Major":15,`, pg.V15},
		{`"Major":15,`, ``, pg.V15},
		{`"TLI":`, `"Major":99,"TLI":`, nil},
	} {
		disk = disk.Reopen()
		if n := rewriteRows(t, disk, rewrite.old, rewrite.text); n != 2 {
			t.Fatalf("%s is in %d rows, want 2", rewrite.old, n)
		}
		r, err := open()
		if rewrite.want == nil {
			if !errors.Is(err, repo.ErrUnsupported) || !strings.Contains(err.Error(), "PostgreSQL 99") {
				t.Errorf("a row with %s: got %v, want ErrUnsupported with the version", rewrite.text, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("rows with %q: %v", rewrite.text, err)
		}
		for _, tl := range r.Timelines() {
			snap, err := tl.AtHead(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if tl.Version() != rewrite.want || tl.Info().Version != rewrite.want || tl.WALConfig().Version != rewrite.want || snap.Version() != rewrite.want {
				t.Errorf("rows with %q: %s is %v, want %v", rewrite.text, tl.Name(), tl.Version(), rewrite.want)
			}
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A branch may be of another major version than its ancestor, as one is that pg_upgrade has made. What lies below the branch
// point is the ancestor's in all respects.
func TestBranchOfAnotherVersion(t *testing.T) {
	dir, disk := t.TempDir(), storetest.NewMem()
	open := func() *repo.Repository {
		t.Helper()
		return openOn(t, dir, disk)
	}
	r := open()
	main := repotest.Create(t, r, "main")
	at := main.LastLSN()
	if _, err := r.Branch(t.Context(), repo.NewBranch{Name: "dev"}, main, at); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	disk = disk.Reopen()
	row := func(major int) string { return fmt.Sprintf(`"Parent":0,"Start":%d,"Major":%d,`, at, major) }
	if n := rewriteRows(t, disk, row(15), row(18)); n != 1 {
		t.Fatalf("%d rows of the branch, want 1", n)
	}
	r = open()
	defer r.Close()
	for _, tl := range r.Timelines() {
		if tl.Name() != "dev" {
			continue
		}
		for _, c := range []struct {
			lsn  pg.LSN
			want *pg.Version
			end  pg.LSN
		}{{at - 8, pg.V15, at}, {at, pg.V18, ^pg.LSN(0)}, {at + 8, pg.V18, ^pg.LSN(0)}} {
			cfg, end := tl.WALConfigAt(c.lsn)
			if cfg.Version != c.want || end != c.end || tl.VersionAt(c.lsn) != c.want {
				t.Errorf("at %v it is %v up to %v, and %v; want %v up to %v", c.lsn, cfg.Version, end, tl.VersionAt(c.lsn), c.want, c.end)
			}
		}
		return
	}
	t.Error("the branch is not there")
}

func TestCreateRefusesVersions(t *testing.T) {
	r := repotest.Open(t, repotest.Redo)
	for _, major := range []int{0, 12, 99} {
		_, err := r.Create(t.Context(), repo.CreateOptions{Name: "main", Major: major, TLI: 1, SegSize: repotest.SegSize})
		if !errors.Is(err, repo.ErrUnsupported) {
			t.Errorf("a timeline of PostgreSQL %d: got %v, want ErrUnsupported", major, err)
		}
	}
}
