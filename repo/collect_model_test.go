package repo_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"zenith/internal/pg"
	"zenith/repo"
	"zenith/repo/repotest"
	"zenith/repo/store"
	"zenith/repo/store/storetest"
)

// ownerOf is the timeline that has lsn in its own WAL.
func (t *timeline) ownerOf(lsn pg.LSN) *timeline {
	for lsn < t.start {
		t = t.parent
	}
	return t
}

// kept reports whether a point must still be readable.
func (m *model) kept(t *timeline, lsn pg.LSN) bool {
	o := t.ownerOf(lsn)
	if lsn >= o.horizon || len(o.pins[lsn]) > 0 {
		return true
	}
	for _, c := range slices.Concat(m.timelines, m.deleted) {
		if c.parent == o && c.start == lsn {
			return true
		}
	}
	return false
}

// forgetOrPin pins a point, gives pins up, or collects.
func (m *model) forgetOrPin() {
	t := m.any()
	switch m.rnd.IntN(4) {
	case 0, 1:
		m.pin(t)
	case 2:
		for at, pins := range t.pins {
			pins[0]()
			if t.pins[at] = pins[1:]; len(pins) == 1 {
				delete(t.pins, at)
			}
			break
		}
	case 3:
		horizons := m.horizons()
		if _, err := m.r.Collect(m.t.Context(), repo.CollectOptions{Horizons: horizons, Thorough: m.rnd.IntN(4) == 0}); err != nil {
			m.t.Fatal(err)
		}
		m.forgotten(horizons)
	}
}

func (m *model) pin(t *timeline) {
	all := t.points()
	at := all[m.rnd.IntN(len(all))]
	release, err := t.tl.Pin(at)
	if !m.kept(t, at) {
		if !errors.Is(err, repo.ErrOutOfRange) {
			m.t.Fatalf("pin of %s at %v, which was forgotten: %v", t.name, at, err)
		}
		return
	}
	if err != nil {
		m.t.Fatal(err)
	}
	o := t.ownerOf(at)
	if o.pins == nil {
		o.pins = map[pg.LSN][]func(){}
	}
	o.pins[at] = append(o.pins[at], release)
}

// pinHead pins a head as a writable mount does, with a file that WAL does not tell of.
func (m *model) pinHead(t *timeline) {
	m.putFileOn(t)
	if _, err := t.tl.Pin(t.lsns[len(t.lsns)-1]); err != nil {
		m.t.Fatal(err)
	}
	s, err := t.tl.AtHead(m.t.Context())
	if err != nil {
		m.t.Fatal(err)
	}
	if t.heads == nil {
		t.heads = map[*repo.Snapshot]*world{}
	}
	t.heads[s] = t.headWorld()
}

// horizons picks new horizons for some of the timelines.
func (m *model) horizons() map[repo.TimelineID]pg.LSN {
	horizons := map[repo.TimelineID]pg.LSN{}
	for _, t := range m.timelines {
		if m.rnd.IntN(3) > 0 {
			i := len(t.lsns) - 1 - min(m.rnd.IntN(len(t.lsns)), m.rnd.IntN(len(t.lsns)))
			horizons[t.tl.ID()] = t.lsns[i] + pg.LSN(m.rnd.IntN(8))
		}
	}
	return horizons
}

// forgotten brings the model's horizons up to date after a collection.
func (m *model) forgotten(horizons map[repo.TimelineID]pg.LSN) {
	for _, t := range m.timelines {
		want := max(t.horizon, t.start)
		for _, at := range t.lsns {
			if h, ok := horizons[t.tl.ID()]; ok && at <= h {
				want = max(want, at)
			}
		}
		if got := t.tl.OwnHorizon(); got != want {
			m.t.Fatalf("%s: horizon %v, want %v", t.name, got, want)
		}
		t.horizon = want
	}
}

// TestModelWithDeathInCollection crashes in the middle of collections: all kept points can be read
// afterwards, however much was deleted.
func TestModelWithDeathInCollection(t *testing.T) {
	for seed := range seeds(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			m := &model{t: t, rnd: rand.New(rand.NewPCG(seed, stream(5))), dir: t.TempDir(), xid: 700, hot: seed%2 == 0, gc: true}
			disk := &dyingStore{Mem: storetest.NewMem(), left: -1}
			m.open = func() store.Store {
				disk = &dyingStore{Mem: disk.Mem.Reopen(), left: -1}
				return disk
			}
			m.crash = func() { disk.Mem = disk.Mem.Crash(seed%4 < 2) }
			m.reopen()
			m.create()
			for range 10 {
				m.branchSometimes()
				for range 2 {
					v := m.any()
					for range 50 + m.rnd.IntN(300) {
						m.record(v)
					}
					m.ingest(v)
					m.pin(v)
					m.pinHead(v)
				}
				for _, v := range m.timelines {
					m.flush(v)
				}
				m.dieCollecting(disk)
				for range 20 {
					m.look()
				}
				if m.rnd.IntN(2) == 0 {
					m.forgetOrPin()
				}
			}
			repotest.Close(t, m.r)
		})
	}
}

// dieCollecting has the process die in a collection. It checks the points that are kept by Pin before
// the restart, since they need not be kept after it.
func (m *model) dieCollecting(disk *dyingStore) {
	if m.rnd.IntN(3) > 0 {
		disk.dieAfter(m.rnd.IntN(800))
	}
	_, err := m.r.Collect(m.t.Context(), repo.CollectOptions{Horizons: m.horizons()})
	if err != nil && !errors.Is(err, errDead) {
		m.t.Fatal(err)
	}
	for _, t := range m.timelines {
		got := t.tl.OwnHorizon()
		if got < t.horizon {
			m.t.Fatalf("%s: horizon %v, was %v", t.name, got, t.horizon)
		}
		t.horizon = got
		for at := range t.pins {
			s, err := t.tl.At(m.t.Context(), at)
			if err != nil {
				m.t.Fatal(err)
			}
			m.check(s, t.at(at))
		}
		for s, w := range t.heads {
			m.check(s, w)
		}
	}
	m.died = err != nil
	m.restart(true)
	m.died = false
}

// TestReadersWhileCollecting reads points, pinned and not, while history is forgotten and a writer
// goes on. A read of a point that is forgotten meanwhile fails; no read gives a wrong result.
func TestReadersWhileCollecting(t *testing.T) {
	for name, open := range map[string]func() store.Store{
		"memory": func() store.Store { return storetest.NewMem() },
		"badger": func() store.Store {
			return (&storetest.BadgerMaker{Dir: filepath.Join(t.TempDir(), "store")}).Open(t)
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := &model{t: t, rnd: rand.New(rand.NewPCG(7, 8)), dir: t.TempDir(), xid: 700, hot: true, open: open}
			m.reopen()
			defer repotest.Close(t, m.r)
			main := m.create()
			for range 4000 {
				m.record(main)
			}
			half := len(main.steps) / 2
			last := main.steps
			main.steps = last[:half]
			m.ingest(main)
			m.flush(main)
			pins := []int{half / 7, half / 3, half / 2}
			for _, i := range pins {
				if _, err := main.tl.Pin(main.lsns[i]); err != nil {
					t.Fatal(err)
				}
			}
			var wg sync.WaitGroup
			var done atomic.Bool
			for i := range 3 {
				wg.Go(func() { readersOfKept(t, main, uint64(i), pins, &done) })
			}
			wg.Go(func() {
				main.steps = last
				m.ingest(main)
			})
			for i := range 15 {
				h := main.lsns[half*(i+1)/15]
				if _, err := m.r.Collect(t.Context(), repo.CollectOptions{Horizons: map[repo.TimelineID]pg.LSN{main.tl.ID(): h}, Thorough: i == 9}); err != nil {
					t.Error(err)
				}
			}
			done.Store(true)
			wg.Wait()
		})
	}
}

func readersOfKept(t *testing.T, main *timeline, seed uint64, pins []int, done *atomic.Bool) {
	rnd := rand.New(rand.NewPCG(seed, 9))
	read := 0
	for !done.Load() || read < 20 {
		i := rnd.IntN(len(main.lsns))
		if rnd.IntN(3) == 0 {
			i = pins[rnd.IntN(len(pins))]
		}
		at := main.lsns[i]
		if at > main.tl.LastLSN() {
			continue
		}
		s, err := main.tl.At(t.Context(), at)
		if err == nil {
			err = compare(t, s, main.worlds[i])
		}
		forgotten := at < main.tl.OwnHorizon() && !slices.Contains(pins, i)
		if err != nil && !(forgotten && errors.Is(err, repo.ErrOutOfRange)) {
			t.Error(err)
			return
		}
		read++
	}
}
