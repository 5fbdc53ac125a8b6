package repo_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"zenith/internal/pg"
	"zenith/repo"
	"zenith/repo/repotest"
	"zenith/repo/store"
	"zenith/repo/store/storetest"
)

// TestReadersWhileWriting reads points up to the head while a writer goes on and windows are flushed.
func TestReadersWhileWriting(t *testing.T) {
	for name, open := range map[string]func() store.Store{
		"memory": func() store.Store { return storetest.NewMem() },
		"badger": func() store.Store {
			return (&storetest.BadgerMaker{Dir: filepath.Join(t.TempDir(), "store")}).Open(t)
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := &model{t: t, rnd: rand.New(rand.NewPCG(7, 7)), dir: t.TempDir(), xid: 700, open: open}
			m.reopen()
			defer repotest.Close(t, m.r)
			main := m.create()
			for range 4000 {
				m.record(main)
			}
			var wg sync.WaitGroup
			var done atomic.Bool
			for i := range 3 {
				wg.Go(func() { readers(t, main, uint64(i), &done) })
			}
			m.ingest(main)
			done.Store(true)
			wg.Wait()
		})
	}
}

func readers(t *testing.T, main *timeline, seed uint64, done *atomic.Bool) {
	rnd := rand.New(rand.NewPCG(seed, 3))
	for n := 0; !done.Load() || n < 20; n++ {
		head := main.tl.LastLSN()
		i := rnd.IntN(len(main.lsns))
		if main.lsns[i] > head {
			continue
		}
		s, err := main.tl.At(t.Context(), main.lsns[i])
		if err != nil {
			t.Error(err)
			return
		}
		if err := compare(t, s, main.worlds[i]); err != nil {
			t.Error(err)
			return
		}
	}
}

// compare is model.check for goroutines other than the test's: it returns the first difference.
func compare(t *testing.T, s *repo.Snapshot, want *world) error {
	page := make(pg.Page, pg.BlockSize)
	for _, rf := range relForks {
		n, exists, err := s.RelSize(t.Context(), rf)
		if wantN, wantExists := want.sizes[rf]; err != nil || n != wantN || exists != wantExists {
			return fmt.Errorf("%v: size of %v is %d %v (%w), want %d %v", s.LSN(), rf, n, exists, err, wantN, wantExists)
		}
		for b := range n {
			err := s.ReadPage(t.Context(), rf.Tag(b), page)
			w := want.pages[rf.Tag(b)]
			if w == bad && errors.Is(err, repo.ErrUnsupported) {
				continue
			}
			if err != nil || repotest.Mixed(page) != w {
				return fmt.Errorf("%v: %v is %x (%w), want %x", s.LSN(), rf.Tag(b), repotest.Mixed(page), err, w)
			}
		}
	}
	listed := 0
	err := s.Relations(t.Context(), 1664, 0, func(rf pg.RelFork, n pg.BlockNumber) error {
		listed++
		if want.sizes[rf] != n {
			return fmt.Errorf("%v: %v listed with %d blocks, want %d", s.LSN(), rf, n, want.sizes[rf])
		}
		return nil
	})
	for rf := range want.sizes {
		if rf.SpcOID == 1664 {
			listed--
		}
	}
	if err == nil && listed != 0 {
		err = fmt.Errorf("%v: %d relations too many", s.LSN(), listed)
	}
	return err
}
