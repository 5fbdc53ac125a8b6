package repo_test

import (
	"bytes"
	"context"
	"errors"
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
	if _, err := r.Branch(t.Context(), repo.TimelineID{}, "dev", main, main.LastLSN()); err != nil {
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

func TestCreateRefusesVersions(t *testing.T) {
	r := repotest.Open(t, repotest.Redo)
	for _, major := range []int{0, 12, 99} {
		_, err := r.Create(t.Context(), repo.CreateOptions{Name: "main", Major: major, TLI: 1, SegSize: repotest.SegSize})
		if !errors.Is(err, repo.ErrUnsupported) {
			t.Errorf("a timeline of PostgreSQL %d: got %v, want ErrUnsupported", major, err)
		}
	}
}
