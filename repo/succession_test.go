package repo_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"zenith/internal/pg"
	"zenith/repo"
	"zenith/repo/repotest"
	"zenith/repo/store"
	"zenith/repo/store/storetest"
)

// TestReplace: a timeline takes the place of another one, which stays what it is under another name, with its children.
func TestReplace(t *testing.T) {
	disk, dir := storetest.NewMem(), t.TempDir()
	r := openOn(t, dir, disk)
	ctx := t.Context()
	main := repotest.Create(t, r, "main")
	ends := add(t, main, noop(10), noop(10), noop(10))
	child, err := r.Branch(ctx, repo.NewBranch{Name: "child"}, main, ends[1])
	if err != nil {
		t.Fatal(err)
	}
	until := time.Now().Add(time.Hour)
	err = r.SetAttributes(ctx, main, func(a *repo.Attributes) error {
		a.Owner, a.Note, a.Protected = "ci", "the note", new(true)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	kept := repo.Kept{Name: "main.old-1", Attributes: repo.Attributes{Expires: &until, Note: "before a restore"}}
	next, err := r.Replace(ctx, main, kept, main, ends[0])
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		main, _ := r.Timeline(main.ID())
		child, _ := r.Timeline(child.ID())
		next, _ := r.Timeline(next.ID())
		if a := next.Attributes(); next.Name() != "main" || a.Owner != "ci" || a.Note != "the note" || !*a.Protected || a.Expires != nil || next.Created().IsZero() {
			t.Errorf("in the place: %q %+v", next.Name(), a)
		}
		if a := main.Attributes(); main.Name() != "main.old-1" || main.Was() != "main" || !a.Expires.Equal(until) || a.Protected != nil || a.Owner != "" {
			t.Errorf("what was in the place: %q, was %q, %+v", main.Name(), main.Was(), a)
		}
		if p, at := next.Ancestor(); p != main || at != ends[0] || next.LastLSN() != ends[0] || main.LastLSN() != ends[2] {
			t.Errorf("it begins at %v", at)
		}
		if p, _ := child.Ancestor(); p != main {
			t.Errorf("the child is one of %q", p.Name())
		}
		if got, err := r.ByName("main"); err != nil || got != next {
			t.Errorf("main is %v, %v", got, err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		disk = disk.Reopen()
		r = openOn(t, dir, disk)
	}
	main, _ = r.Timeline(main.ID())
	next, _ = r.Timeline(next.ID())
	child, _ = r.Timeline(child.ID())
	for name, c := range map[string]struct {
		err, want error
	}{
		"a kept name that is taken": {second(r.Replace(ctx, next, repo.Kept{Name: "child"}, main, ends[0])), repo.ErrExists},
		"a bad kept name":           {second(r.Replace(ctx, next, repo.Kept{Name: "a//b"}, main, ends[0])), repo.ErrInvalid},
		"inside a record":           {second(r.Replace(ctx, next, repo.Kept{Name: "x"}, main, ends[0]+8)), repo.ErrInvalid},
		"promote, name taken":       {r.Promote(ctx, child, next, repo.Kept{Name: "main.old-1"}), repo.ErrExists},
		"promote":                   {r.Promote(ctx, child, next, repo.Kept{Name: "main.old-2"}), nil},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: %v, want %v", name, c.err, c.want)
		}
	}
	if child.Name() != "main" || child.Attributes().Owner != "ci" || next.Name() != "main.old-2" || next.Was() != "main" {
		t.Errorf("after promote: %q and %q", child.Name(), next.Name())
	}
	if _, err := r.ByName("child"); !errors.Is(err, repo.ErrNotFound) {
		t.Errorf("the name of a promoted branch: %v", err)
	}
	repotest.Close(t, r)
}

func second[T any](_ T, err error) error { return err }

// TestDeathInSuccession: after a crash in the middle of a Replace or Promote one of the two timelines is in the place,
// with what users say of it, and the other one is where it was, or kept.
func TestDeathInSuccession(t *testing.T) {
	const place, kept = "dev", "dev.old-1"
	files, size := 1, 10
	for name, do := range map[string]func(r *repo.Repository, main, dev, other *repo.Timeline) error{
		"replace": func(r *repo.Repository, main, dev, _ *repo.Timeline) error {
			return second(r.Replace(t.Context(), dev, repo.Kept{Name: kept}, main, main.LastLSN()))
		},
		"replace with many files": func(r *repo.Repository, main, dev, _ *repo.Timeline) error {
			return second(r.Replace(t.Context(), dev, repo.Kept{Name: kept}, main, main.LastLSN()))
		},
		"promote": func(r *repo.Repository, _, dev, other *repo.Timeline) error {
			return r.Promote(t.Context(), other, dev, repo.Kept{Name: kept})
		},
	} {
		t.Run(name, func(t *testing.T) {
			before, after := 0, 0
			if files, size = 1, 10; strings.HasSuffix(name, "many files") {
				files, size = 4, store.MaxUpdate/3
			}
			for n := range 20 {
				lucky := n%2 == 0 // what was written and not synced is there after the crash
				disk, dir := &dyingStore{Mem: storetest.NewMem(), left: -1}, t.TempDir()
				r := openStore(t, dir, disk)
				main := repotest.Create(t, r, "main")
				add(t, main, noop(10), noop(10))
				if err := main.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
				dev, err := r.Branch(t.Context(), repo.NewBranch{Name: place, Attributes: repo.Attributes{Owner: "ci"}}, main, main.LastLSN())
				if err != nil {
					t.Fatal(err)
				}
				other, err := r.Branch(t.Context(), repo.NewBranch{Name: "other"}, main, main.LastLSN())
				if err != nil {
					t.Fatal(err)
				}
				for i := range files {
					if err := main.PutFile(t.Context(), fmt.Sprint("conf.d/", i), make([]byte, size)); err != nil {
						t.Fatal(err)
					}
				}
				disk.dieAfter(n / 2)
				err = do(r, main, dev, other)
				if err != nil && !errors.Is(err, errDead) {
					t.Fatal(err)
				}
				r.Kill()
				r = openStore(t, dir, &dyingStore{Mem: disk.Mem.Crash(lucky), left: -1})
				got, gerr := r.ByName(place)
				if gerr != nil || got.Attributes().Owner != "ci" {
					t.Fatalf("write %d: the place is empty: %v, %v", n/2, got, gerr)
				}
				old, oerr := r.ByName(kept)
				switch {
				case got.ID() == dev.ID() && err != nil && errors.Is(oerr, repo.ErrNotFound):
					before++
				case got.ID() != dev.ID() && oerr == nil && old.ID() == dev.ID() && old.Was() == place:
					after++
				default:
					t.Errorf("write %d, error %v: %v is in the place, kept: %v, %v", n/2, err, got.ID(), old, oerr)
				}
				for _, tl := range r.Timelines() {
					if _, err := tl.AtHead(t.Context()); err != nil {
						t.Errorf("%s: %v", tl.Name(), err)
					}
				}
				repotest.Close(t, r)
			}
			if before == 0 || after == 0 {
				t.Errorf("%d crashes came before, and %d after", before, after)
			}
		})
	}
}

func openStore(t *testing.T, dir string, s store.Store) *repo.Repository {
	t.Helper()
	r, err := repo.Open(repo.Options{Dir: dir, Redo: repotest.Redo, Store: s})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestTags: a tag keeps its point over collections and restarts, and its timeline from being deleted.
func TestTags(t *testing.T) {
	disk, dir := storetest.NewMem(), t.TempDir()
	r := openOn(t, dir, disk)
	ctx := t.Context()
	main := repotest.Create(t, r, "main")
	ends := add(t, main, noop(10), noop(10), noop(10), noop(10))
	dev, err := r.Branch(ctx, repo.NewBranch{Name: "dev"}, main, ends[2])
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct {
		name string
		of   *repo.Timeline
		at   pg.LSN
		want error
	}{
		{"v1", dev, ends[0], nil}, // a point of main
		{"v2", dev, ends[2], nil},
		{"v1", main, ends[1], repo.ErrExists},
		{"dev", main, ends[1], repo.ErrExists},
		{"a@b", main, ends[1], repo.ErrInvalid},
		{"v3", main, ends[3] + 8, repo.ErrOutOfRange},
	} {
		if _, err := r.AddTag(ctx, c.name, c.of, c.at); !errors.Is(err, c.want) {
			t.Errorf("%d: tag %q: %v, want %v", i, c.name, err, c.want)
		}
	}
	if _, err := r.Branch(ctx, repo.NewBranch{Name: "v1"}, main, ends[0]); !errors.Is(err, repo.ErrExists) {
		t.Errorf("a branch of a tag's name: %v", err)
	}
	if err := r.Delete(ctx, "dev", time.Now()); !errors.Is(err, repo.ErrBusy) {
		t.Errorf("delete of a tagged timeline: %v", err)
	}
	for range 2 {
		main, _ = r.ByName("main")
		if _, err := r.Collect(ctx, repo.CollectOptions{Horizons: map[repo.TimelineID]pg.LSN{main.ID(): ends[3]}}); err != nil {
			t.Fatal(err)
		}
		tags := r.Tags()
		if len(tags) != 2 || tags[0].Name != "v1" || tags[0].Timeline != main || tags[0].LSN != ends[0] || tags[1].Timeline.Name() != "dev" || tags[0].Created.IsZero() {
			t.Errorf("tags %+v", tags)
		}
		if s, err := main.At(ctx, ends[0]); err != nil || s.LSN() != ends[0] {
			t.Errorf("the tagged point: %v", err)
		}
		if _, err := main.At(ctx, ends[1]); !errors.Is(err, repo.ErrOutOfRange) {
			t.Errorf("a point without a tag: %v", err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		disk = disk.Reopen()
		r = openOn(t, dir, disk)
	}
	if err := errors.Join(r.RemoveTag("v1"), r.RemoveTag("v2")); err != nil {
		t.Fatal(err)
	}
	if err := r.RemoveTag("v1"); !errors.Is(err, repo.ErrNotFound) {
		t.Errorf("remove a tag twice: %v", err)
	}
	main, _ = r.ByName("main")
	if _, err := main.At(ctx, ends[0]); !errors.Is(err, repo.ErrOutOfRange) {
		t.Errorf("the point of a tag that was removed: %v", err)
	}
	if err := r.Delete(ctx, "dev", time.Now()); err != nil {
		t.Error(err)
	}
	repotest.Close(t, r)
}

// TestNewerLayout: a store of a newer layout is refused, with who made it; it stays as it is.
func TestNewerLayout(t *testing.T) {
	for row, says := range map[string]string{
		fmt.Sprintf(`{"Version":%d,"By":"zenith v9.1.0"}`, repo.FormatVersion+1): "which zenith v9.1.0 made",
		fmt.Sprintf(`{"Version":%d}`, repo.FormatVersion+1):                      "which a newer zenith made",
		`{"Version":4}`: "knows layouts 5 to",
	} {
		disk := storetest.NewMem()
		if err := disk.Update([]store.Op{{Key: []byte{1}, Value: []byte(row)}}); err != nil {
			t.Fatal(err)
		}
		_, err := repo.Open(repo.Options{Dir: t.TempDir(), Redo: repotest.Redo, Store: disk.Reopen()})
		if !errors.Is(err, repo.ErrUnsupported) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", row, err)
		}
	}
}
