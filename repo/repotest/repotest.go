// Package repotest helps to test packages that use a repository. Open gives one over a store in
// memory, which is verified when the test ends. Log writes WAL to fill it from, and Redo is a redo
// function that shows each mistake.
package repotest

import (
	"context"
	"testing"

	"zenith/internal/pg"
	"zenith/repo"
	"zenith/repo/control"
	"zenith/repo/store/storetest"
)

// Start is where the timelines that Create makes begin.
const Start = pg.LSN(0x1000028)

// What the WAL of a timeline that Create makes has in its page headers.
const (
	SegSize = 1 << 20
	SysID   = 0x5EED
)

// Open opens a repository in a temporary directory, over a store in memory, and closes
// and verifies it when the test ends.
func Open(t testing.TB, redo repo.RedoFunc) *repo.Repository {
	t.Helper()
	r, err := repo.Open(repo.Options{Dir: t.TempDir(), Redo: redo, Store: storetest.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { Close(t, r) })
	return r
}

// Close verifies and closes a repository.
func Close(t testing.TB, r *repo.Repository) {
	t.Helper()
	for _, tl := range r.Timelines() {
		if err := tl.Flush(context.Background()); err != nil {
			t.Errorf("flush %s: %v", tl.Name(), err)
		}
	}
	err := r.Verify(context.Background(), func(problem error) error {
		t.Errorf("verify: %v", problem)
		return nil
	}, func(string, int64, int64) {})
	if err != nil {
		t.Errorf("verify: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

// StartState is the state at Start, as after a shutdown checkpoint.
func StartState() *control.State {
	return &control.State{
		LSN: Start, Prev: Start - 8, LastCheckpoint: Start - 8, Shutdown: true,
		CheckPoint: pg.CheckPoint{ThisTLI: 1, PrevTLI: 1, NextXID: 700, NextOID: 16384, NextMulti: 1, OldestXID: 700, Time: 1_700_000_000},
	}
}

// Create makes an empty timeline that begins at Start. Its WAL has the header of the page that Start
// is on.
func Create(t testing.TB, r *repo.Repository, name string) *repo.Timeline {
	t.Helper()
	b, err := r.Create(t.Context(), repo.CreateOptions{Name: name, Major: 15, TLI: 1, SegSize: SegSize, SysID: SysID})
	if err != nil {
		t.Fatal(err)
	}
	tl := b.Timeline()
	l := &Log{tl: tl}
	l.write(t, Start-Start%SegSize, l.pageHeader(Start-Start%SegSize, 0))
	if err := b.Commit(t.Context(), StartState()); err != nil {
		t.Fatal(err)
	}
	return tl
}
