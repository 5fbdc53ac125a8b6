package store_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"zenith/repo/store"
	"zenith/repo/store/storetest"
)

type memMaker struct{ s *storetest.Mem }

func (m *memMaker) Open(*testing.T) store.Store {
	if m.s == nil {
		m.s = storetest.NewMem()
	} else {
		m.s = m.s.Reopen()
	}
	return m.s
}

func (m *memMaker) Crash(*testing.T, store.Store) store.Store {
	m.s = m.s.Crash(true)
	return m.s
}

func TestMemStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) storetest.Maker { return &memMaker{} })
}

func TestBadgerStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Maker {
		return &storetest.BadgerMaker{Dir: filepath.Join(t.TempDir(), "store")}
	})
}

func TestBadgerIsForOneProcess(t *testing.T) {
	m := &storetest.BadgerMaker{Dir: t.TempDir()}
	s := m.Open(t)
	defer s.Close()
	if s2, err := store.OpenBadger(m.Dir, store.BadgerOptions{}); err == nil {
		s2.Close()
		t.Fatal("opened twice")
	}
}

// TestBadgerEmptyLogs opens stores with empty logs, which badger leaves if the process dies while it
// makes or deletes one.
func TestBadgerEmptyLogs(t *testing.T) {
	m := &storetest.BadgerMaker{Dir: t.TempDir()}
	s := m.Open(t)
	if err := s.Update([]store.Op{{Key: []byte("k"), Value: []byte("v")}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"00000.mem", "00002.mem", "00007.mem", "000005.vlog"} {
		if err := os.WriteFile(filepath.Join(m.Dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		s = m.Open(t)
		it := s.Iterator([]byte("k"))
		if it.Seek([]byte("k")); !it.Valid() {
			t.Error("what was written is gone")
		}
		it.Close()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestClosedStoreIsFree: a store can be opened again as soon as it is closed, though this
// process starts others all the time.
func TestClosedStoreIsFree(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	var forking sync.WaitGroup
	defer forking.Wait()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	for range 4 {
		forking.Go(func() {
			for ctx.Err() == nil {
				if err := exec.Command("true").Run(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 20 {
		s, err := store.OpenBadger(dir, store.BadgerOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
