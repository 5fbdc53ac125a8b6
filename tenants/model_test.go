package tenants

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"zenith/internal/api"
	"zenith/internal/pg"
)

// worker is one of several clients that use a page server at the same time, and what it knows to
// be there: branches that nobody else changes.
type worker struct {
	f     *fixture
	n     int
	rand  *rand.Rand
	h     *history
	heads map[string]pg.LSN // of its branches
	owner map[string]string // the branch that each was made of
	made  int
}

// pick gives one of the worker's branches, "" if it has none.
func (w *worker) pick() string {
	if len(w.heads) == 0 {
		return ""
	}
	names := slices.Sorted(maps.Keys(w.heads))
	return names[w.rand.IntN(len(names))]
}

// children counts the branches that were made of one.
func (w *worker) children(name string) (n int) {
	for _, of := range w.owner {
		if of == name {
			n++
		}
	}
	return n
}

// steps are what a worker does. Each returns an error if the page server says anything but what the
// worker knows.
var steps = map[string]func(ctx context.Context, w *worker) error{
	"branch": func(ctx context.Context, w *worker) error {
		from, at := MainBranch, w.h.ends[w.rand.IntN(len(w.h.ends))]
		if own := w.pick(); own != "" && w.rand.IntN(2) == 0 {
			from, at = own, w.heads[own]
		}
		w.made++
		name := fmt.Sprintf("w%d-%d", w.n, w.made)
		b, err := w.f.BranchCreate(ctx, tenantA, name, from+"@"+at.String(), api.BranchOptions{})
		if err != nil {
			return err
		}
		if *b.AncestorLSN != at {
			return fmt.Errorf("%s was made at %v, want %v", name, *b.AncestorLSN, at)
		}
		w.heads[name], w.owner[name] = at, from
		return nil
	},
	"delete": func(ctx context.Context, w *worker) error {
		name := w.pick()
		if name == "" {
			return nil
		}
		err := w.f.BranchDelete(ctx, tenantA, name, false)
		if w.children(name) > 0 {
			if !errors.Is(err, api.ErrBusy) {
				return fmt.Errorf("delete %s, which has branches: %w", name, err)
			}
			return nil
		}
		if err == nil {
			delete(w.heads, name)
			delete(w.owner, name)
		}
		return err
	},
	"head": func(ctx context.Context, w *worker) error {
		name := w.pick()
		if name == "" {
			return nil
		}
		if got, err := w.f.LSN(ctx, tenantA, name); err != nil || got != w.heads[name] {
			return fmt.Errorf("%s is at %v, %w; want %v", name, got, err, w.heads[name])
		}
		return nil
	},
	"list": func(ctx context.Context, w *worker) error {
		list, err := w.f.BranchList(ctx, tenantA)
		if err != nil {
			return err
		}
		there := map[string]pg.LSN{}
		for _, b := range list {
			there[b.Name] = b.LatestValidLSN
		}
		for name, head := range w.heads {
			if there[name] != head {
				return fmt.Errorf("%s is listed at %v, want %v", name, there[name], head)
			}
		}
		return nil
	},
	"scratch": func(ctx context.Context, w *worker) error {
		name := w.pick()
		if name == "" {
			return nil
		}
		dir := filepath.Join(w.f.room, fmt.Sprint(w.n))
		m, err := w.f.Mount(ctx, api.MountOptions{Tenant: tenantA, Point: name, Dir: dir, Scratch: true})
		if err != nil {
			return err
		}
		if *m.LSN != w.heads[name] {
			err = fmt.Errorf("%s is mounted at %v, want %v", name, *m.LSN, w.heads[name])
		}
		if busy := w.f.BranchDelete(ctx, tenantA, name, false); !errors.Is(busy, api.ErrBusy) {
			err = errors.Join(err, fmt.Errorf("delete %s, which is mounted: %w", name, busy))
		}
		return errors.Join(err, w.f.Umount(ctx, dir, false))
	},
	"postgres": func(ctx context.Context, w *worker) error {
		name := w.pick()
		if name == "" {
			return nil
		}
		point := name + "@" + w.heads[name].String()
		if _, err := w.f.PgStart(ctx, tenantA, point, set()); err != nil {
			return err
		}
		return w.f.PgStop(ctx, tenantA, point, api.StopOptions{Mode: "immediate", Destroy: true})
	},
	"export": func(ctx context.Context, w *worker) error {
		name := w.pick()
		if name == "" {
			return nil
		}
		return w.f.Export(ctx, tenantA, name, api.ExportOptions{SkipRelations: true, Progress: noProgress}, io.Discard)
	},
	"replicate": func(ctx context.Context, w *worker) error {
		name := w.pick()
		if name == "" {
			return nil
		}
		src, err := w.f.Replicate(ctx, tenantA, name)
		if err != nil {
			return err
		}
		s := src.Slots()
		err = errors.Join(s.Create("s", false, true), s.Acquire("s", false), s.Advance("s", w.heads[name]), s.Release("s"), s.Drop("s", false))
		return errors.Join(err, src.Close())
	},
	"forget": func(ctx context.Context, w *worker) error {
		name := w.pick()
		if name == "" {
			return nil
		}
		_, err := w.f.GC(ctx, tenantA, name, api.GCOptions{Retain: api.Retain{Set: true}, Progress: noProgress})
		return err
	},
	"status": func(ctx context.Context, w *worker) error {
		_, err := w.f.Status(ctx)
		return err
	},
	"idle": func(_ context.Context, w *worker) error {
		w.f.closeIdleNow()
		return nil
	},
}

// newWorkers makes workers on a page server whose main branch has a history.
func newWorkers(t *testing.T, n int) (*fixture, []*worker) {
	t.Helper()
	f := newManager(t, Config{IdleTime: time.Hour})
	main, release, err := f.lookup(t.Context(), tenantA, MainBranch)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	h := f.advance(t, main, -1)
	list := make([]*worker, n)
	for i := range list {
		list[i] = &worker{
			f: f, n: i, h: h, rand: rand.New(rand.NewPCG(uint64(i), 7)),
			heads: map[string]pg.LSN{}, owner: map[string]string{},
		}
	}
	return f, list
}

// TestVerbsSideBySide: clients that use the page server at once do not disturb each other, though
// it closes the tenant whenever it is idle.
func TestVerbsSideBySide(t *testing.T) {
	t.Parallel()
	f, workers := newWorkers(t, 4)
	names := slices.Sorted(maps.Keys(steps))
	var all sync.WaitGroup
	for _, w := range workers {
		all.Go(func() {
			for range 20 {
				name := names[w.rand.IntN(len(names))]
				if err := steps[name](t.Context(), w); err != nil {
					t.Errorf("worker %d: %s: %v", w.n, name, err)
					return
				}
			}
		})
	}
	all.Wait()
	if f.holders() != 0 || f.mounts.count() != 0 {
		t.Errorf("%d hold the tenant, %d mounts are left", f.holders(), f.mounts.count())
	}
	want := 1 // main
	for _, w := range workers {
		want += len(w.heads)
		if err := steps["list"](t.Context(), w); err != nil {
			t.Errorf("worker %d: %v", w.n, err)
		}
	}
	if list, err := f.BranchList(t.Context(), tenantA); err != nil || len(list) != want {
		t.Errorf("%d branches are there, %v; want %d", len(list), err, want)
	}
	if f.closeIdleNow() != 1 {
		t.Error("the tenant is still in use")
	}
	wantNoProblem(t, f)
}

// TestCloseBesideVerbs: Close returns, and nothing is left, whatever clients do meanwhile; they are
// told that the page server shuts down, or get what they asked for.
func TestCloseBesideVerbs(t *testing.T) {
	t.Parallel()
	f, workers := newWorkers(t, 4)
	names := slices.Sorted(maps.Keys(steps))
	var all sync.WaitGroup
	var done sync.WaitGroup
	done.Add(len(workers))
	for _, w := range workers {
		all.Go(func() {
			for i := 0; ; i++ {
				if i == 5 {
					done.Done()
				}
				name := names[w.rand.IntN(len(names))]
				err := steps[name](t.Context(), w)
				if errors.Is(err, api.ErrUnavailable) {
					if i < 5 {
						done.Done()
					}
					return
				}
				if err != nil && i < 5 {
					t.Errorf("worker %d: %s: %v", w.n, name, err)
				}
			}
		})
	}
	done.Wait()
	if err := f.Close(context.Background()); err != nil {
		t.Errorf("close: %v", err)
	}
	all.Wait()
	if f.holders() != 0 || f.mounts.count() != 0 {
		t.Errorf("%d hold a tenant, %d mounts are left", f.holders(), f.mounts.count())
	}
	f.open(t)
	wantNoProblem(t, f)
}
