package repo_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"zenith/repo/repotest"
	"zenith/repo/store"
	"zenith/repo/store/storetest"
)

// dyingStore is a store whose process dies after some more writes: from then on writes fail. It writes
// bulks entry by entry, so that the process may die in the middle of one.
type dyingStore struct {
	*storetest.Mem
	mu   sync.Mutex
	left int // writes until the process dies; -1: it does not
}

var errDead = errors.New("the process died")

func (s *dyingStore) dieAfter(writes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left = writes
}

func (s *dyingStore) alive() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left == 0 {
		return errDead
	}
	if s.left > 0 {
		s.left--
	}
	return nil
}

func (s *dyingStore) Update(ops []store.Op) error {
	if err := s.alive(); err != nil {
		return err
	}
	return s.Mem.Update(ops)
}

func (s *dyingStore) Sync() error {
	if err := s.alive(); err != nil {
		return err
	}
	return s.Mem.Sync()
}

func (s *dyingStore) Bulk() store.BulkWriter { return dyingBulk{s} }

type dyingBulk struct{ s *dyingStore }

func (b dyingBulk) Put(key, value []byte) error {
	return b.s.Update([]store.Op{{Key: key, Value: value}})
}
func (b dyingBulk) Delete(key []byte) error { return b.s.Update([]store.Op{{Key: key}}) }
func (b dyingBulk) Flush() error            { return b.s.alive() }
func (b dyingBulk) Cancel()                 {}

// TestModelWithDeathInFlush crashes in the middle of flushes. The versions that they leave must not be
// seen, nor do harm when the WAL is ingested again into windows that end elsewhere.
func TestModelWithDeathInFlush(t *testing.T) {
	for seed := range seeds(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			m := &model{t: t, rnd: rand.New(rand.NewPCG(seed, stream(3))), dir: t.TempDir(), xid: 700, hot: true}
			disk := &dyingStore{Mem: storetest.NewMem(), left: -1}
			m.open = func() store.Store {
				disk = &dyingStore{Mem: disk.Mem.Reopen(), left: -1}
				return disk
			}
			m.crash = func() { disk.Mem = disk.Mem.Crash(true) }
			m.reopen()
			m.create()
			for range 25 {
				m.branchSometimes()
				v := m.any()
				for range 50 + m.rnd.IntN(400) {
					m.record(v)
				}
				m.ingest(v)
				for range m.rnd.IntN(300) {
					m.record(v)
				}
				m.ingestOnly(v)
				disk.dieAfter(m.rnd.IntN(150))
				if err := v.tl.Flush(t.Context()); err != nil && !errors.Is(err, errDead) {
					t.Fatal(err)
				}
				m.restart(true)
				for range 20 {
					m.look()
				}
			}
			repotest.Close(t, m.r)
		})
	}
}

func (m *model) branchSometimes() {
	if m.rnd.IntN(3) == 0 && len(m.timelines) < 6 {
		m.branch()
	}
}

// ingestOnly ingests without flushes in between.
func (m *model) ingestOnly(t *timeline) {
	var steps []step
	for _, s := range t.steps {
		if s.end > t.tl.LastLSN() {
			steps = append(steps, s)
		}
	}
	if len(steps) > 0 {
		m.batch(t, steps, true)
	}
}

// TestDeathBeforeTheRow has a flush die when all is written but the row that says so, and
// then flushes the same WAL in a window that ends later: the image that the first flush
// made at its window's end must not hide the records after it.
func TestDeathBeforeTheRow(t *testing.T) {
	m := &model{t: t, rnd: rand.New(rand.NewPCG(1, 4)), dir: t.TempDir(), xid: 700}
	disk := &dyingStore{Mem: storetest.NewMem(), left: -1}
	m.open = func() store.Store {
		disk = &dyingStore{Mem: disk.Mem.Reopen(), left: -1}
		return disk
	}
	m.reopen()
	main := m.create()
	change := func(n int) {
		for range n {
			m.pageRecord(main, relForks[6].Tag(0))
		}
	}
	change(100)
	m.ingestOnly(main)
	disk.dieAfter(7) // the writes before the flushed row
	if err := main.tl.Flush(t.Context()); !errors.Is(err, errDead) {
		t.Fatalf("flush: %v", err)
	}
	m.r.Kill()
	m.reopen()
	var err error
	if main.tl, err = m.r.ByName("main"); err != nil || main.tl.LastLSN() != repotest.Start {
		t.Fatalf("head %v, error %v after a flush that failed", main.tl.LastLSN(), err)
	}
	m.relog(main)
	main.log.End, main.log.Prev = main.lsns[len(main.lsns)-1], main.steps[len(main.steps)-1].prev
	change(20)
	m.ingestOnly(main)
	m.flush(main)
	for i, lsn := range main.lsns {
		s, err := main.tl.At(t.Context(), lsn)
		if err != nil {
			t.Fatal(err)
		}
		m.check(s, main.worlds[i])
	}
	repotest.Close(t, m.r)
}
