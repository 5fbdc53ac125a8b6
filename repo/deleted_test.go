package repo_test

import (
	"errors"
	"os"
	"testing"
	"time"

	"zenith/repo"
	"zenith/repo/repotest"
	"zenith/repo/store/storetest"
)

// TestUndelete: a deleted branch comes back whole until a collection after its time, over restarts,
// and its name is free meanwhile.
func TestUndelete(t *testing.T) {
	disk, dir := storetest.NewMem(), t.TempDir()
	open := func() *repo.Repository {
		t.Helper()
		disk = disk.Reopen()
		return openOn(t, dir, disk)
	}
	ctx := t.Context()
	r := open()
	main := repotest.Create(t, r, "main")
	branch := func(name string, parent *repo.Timeline) *repo.Timeline {
		t.Helper()
		tl, err := r.Branch(ctx, repo.NewBranch{Name: name}, parent, parent.LastLSN())
		if err != nil {
			t.Fatal(err)
		}
		return tl
	}
	add(t, main, noop(10))
	dev := branch("dev", main)
	ends := add(t, dev, noop(10), noop(10))
	sub := branch("sub", dev)
	later := time.Now().Add(time.Hour)
	for _, name := range []string{"sub", "dev"} {
		if err := r.Delete(ctx, name, later); err != nil {
			t.Fatal(err)
		}
	}
	if list := r.Deleted(); len(list) != 2 || list[0].Name != "dev" || list[1].Parent != dev.ID() || !list[0].Until.Equal(later) {
		t.Errorf("deleted %+v", list)
	}
	if _, err := r.Create(ctx, repo.CreateOptions{ID: dev.ID(), Name: "again", Major: 15, TLI: 1, SegSize: repotest.SegSize}); !errors.Is(err, repo.ErrExists) {
		t.Errorf("its id is given to another: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r = open()
	main, _ = r.ByName("main")
	branch("dev", main) // the name is free
	if res, err := r.Collect(ctx, repo.CollectOptions{}); err != nil || len(res.Branches) != 0 {
		t.Errorf("collected %+v, %v", res, err)
	}
	for _, c := range []struct {
		id   repo.TimelineID
		name string
		want error
	}{
		{sub.ID(), "", repo.ErrBusy}, // its ancestor is deleted
		{dev.ID(), "", repo.ErrExists},
		{dev.ID(), "dev/x", repo.ErrExists},
		{dev.ID(), "a//b", repo.ErrInvalid},
		{repo.RandomTimelineID(), "", repo.ErrNotFound},
		{dev.ID(), "back", nil},
		{dev.ID(), "back", repo.ErrNotFound},
		{sub.ID(), "", nil},
	} {
		if _, err := r.Undelete(ctx, c.id, c.name); !errors.Is(err, c.want) {
			t.Errorf("undelete %v as %q: %v, want %v", c.id, c.name, err, c.want)
		}
	}
	back, err := r.ByName("back")
	if err != nil {
		t.Fatal(err)
	}
	commit(t, back, repotest.NewLog(back)) // its WAL is ingested again, as after a crash
	if _, err := os.Stat(back.SegmentPath(ends[1])); err != nil || back.ID() != dev.ID() {
		t.Error(err)
	}
	// A deleted branch stays as long as one begins there that is kept.
	if err := errors.Join(r.Delete(ctx, "sub", later), r.Delete(ctx, "back", time.Now())); err != nil {
		t.Fatal(err)
	}
	if res, err := r.Collect(ctx, repo.CollectOptions{}); err != nil || len(res.Branches) != 0 {
		t.Errorf("collected %+v, %v", res, err)
	}
	if res, err := r.Collect(ctx, repo.CollectOptions{DeletedBefore: time.Now()}); err != nil || len(res.Branches) != 2 || r.Garbage() {
		t.Errorf("collected %+v, %v", res, err)
	}
	if _, err := os.Stat(back.WALDir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its WAL is left: %v", err)
	}
	repotest.Close(t, r)
}
