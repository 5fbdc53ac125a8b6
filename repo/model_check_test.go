package repo_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"zenith/internal/pg"
	"zenith/repo"
	"zenith/repo/repotest"
	"zenith/repo/store"
	"zenith/repo/store/storetest"
)

// check compares all of a snapshot with the world at its LSN.
func (m *model) check(s *repo.Snapshot, want *world) {
	t := m.t
	t.Helper()
	ctx := t.Context()
	where := s.Timeline().Name() + "@" + s.LSN().String()
	for _, rf := range relForks {
		n, exists, err := s.RelSize(ctx, rf)
		wantN, wantExists := want.sizes[rf]
		if err != nil || n != wantN || exists != wantExists {
			t.Fatalf("%s: size of %v is %d %v (%v), want %d %v", where, rf, n, exists, err, wantN, wantExists)
		}
		m.checkPages(s, want, rf, where)
	}
	m.checkLists(s, want, where)
	if got := s.State().CheckPoint.NextXID; got != want.next {
		t.Fatalf("%s: next xid %d, want %d", where, got, want.next)
	}
}

func (m *model) checkPages(s *repo.Snapshot, want *world, rf pg.RelFork, where string) {
	t := m.t
	t.Helper()
	n := want.sizes[rf]
	page := make(pg.Page, pg.BlockSize)
	anyBad := false
	for b := range n {
		err := s.ReadPage(t.Context(), rf.Tag(b), page)
		if want.pages[rf.Tag(b)] == bad {
			anyBad = true
			if !errors.Is(err, repo.ErrUnsupported) || !errors.Is(err, repotest.ErrRefused) {
				t.Fatalf("%s: %v: error %v, want unsupported", where, rf.Tag(b), err)
			}
			continue
		}
		if err != nil || repotest.Mixed(page) != want.pages[rf.Tag(b)] {
			t.Fatalf("%s: %v is %x (%v), want %x", where, rf.Tag(b), repotest.Mixed(page), err, want.pages[rf.Tag(b)])
		}
	}
	if err := s.ReadPage(t.Context(), rf.Tag(n), page); !errors.Is(err, repo.ErrNotFound) {
		t.Fatalf("%s: %v: error %v, want not found", where, rf.Tag(n), err)
	}
	if anyBad || n == 0 {
		return
	}
	buf := make([]byte, int(n)*pg.BlockSize)
	if err := s.ReadPages(t.Context(), rf.Tag(0), int(n), buf); err != nil {
		t.Fatalf("%s: pages of %v: %v", where, rf, err)
	}
	for b := range n {
		if got := repotest.Mixed(pg.Page(buf[int(b)*pg.BlockSize:])); got != want.pages[rf.Tag(b)] {
			t.Fatalf("%s: %v of a batch is %x, want %x", where, rf.Tag(b), got, want.pages[rf.Tag(b)])
		}
	}
}

func (m *model) checkLists(s *repo.Snapshot, want *world, where string) {
	t := m.t
	t.Helper()
	ctx := t.Context()
	var errs error
	dbs, sizes, files := map[database]bool{}, map[pg.RelFork]pg.BlockNumber{}, map[string]string{}
	errs = s.Databases(ctx, func(spc, db pg.OID) error {
		dbs[database{spc, db}] = true
		return nil
	})
	for _, d := range []database{{1663, 5}, {1663, 16400}, {1664, 0}, {0, pg.OID(pg.SLRUXact)}, {0, pg.OID(pg.SLRUMultiOffsets)}} {
		last := pg.RelFork{}
		errs = errors.Join(errs, s.Relations(ctx, d.spc, d.db, func(rf pg.RelFork, n pg.BlockNumber) error {
			if fmt.Sprint(rf) <= fmt.Sprint(last) && last.SpcOID != 0 {
				t.Fatalf("%s: %v listed after %v", where, rf, last)
			}
			last, sizes[rf] = rf, n
			return nil
		}))
	}
	errs = errors.Join(errs, s.Files(ctx, "", func(path string, size int) error {
		content, err := s.ReadFile(ctx, path)
		if len(content) != size {
			t.Fatalf("%s: %s has %d bytes, listed with %d", where, path, len(content), size)
		}
		files[path] = string(content)
		return err
	}))
	if errs != nil || !maps.Equal(dbs, want.dbs) || !maps.Equal(sizes, want.sizes) || !maps.Equal(files, want.files) {
		t.Fatalf("%s: error %v\ngot  %v %v %v\nwant %v %v %v", where, errs, dbs, sizes, files, want.dbs, want.sizes, want.files)
	}
	for path := range want.files {
		if _, err := s.ReadFile(ctx, path+"x"); !errors.Is(err, repo.ErrNotFound) {
			t.Fatalf("%s: a file that is not there: %v", where, err)
		}
	}
}

func (m *model) any() *timeline { return m.timelines[m.rnd.IntN(len(m.timelines))] }

// look checks a random point of t, resolved from its own LSN or one inside the record after it.
func (m *model) look() {
	t := m.any()
	all := t.points()
	i := m.rnd.IntN(len(all))
	if m.rnd.IntN(4) == 0 {
		i = len(all) - 1
	}
	at := all[i]
	ask := at
	if i+1 < len(all) && m.rnd.IntN(3) == 0 && at >= t.ownerOf(at).horizon {
		ask += pg.LSN(m.rnd.IntN(int(all[i+1] - at)))
	}
	s, err := t.tl.At(m.t.Context(), ask)
	if !m.kept(t, at) {
		if !errors.Is(err, repo.ErrOutOfRange) {
			m.t.Fatalf("%s at %v, which was forgotten: %v, %v", t.name, ask, s, err)
		}
		return
	}
	if err != nil || s.LSN() != at {
		m.t.Fatalf("%s at %v: %v, %v; want %v", t.name, ask, s, err, at)
	}
	m.check(s, t.at(at))
}

func (m *model) lookAtHead() {
	t := m.any()
	s, err := t.tl.AtHead(m.t.Context())
	if err != nil || s.LSN() != t.lsns[len(t.lsns)-1] {
		m.t.Fatalf("head of %s: %v, %v", t.name, s, err)
	}
	m.check(s, t.headWorld())
}

func (m *model) branch() {
	m.names++
	m.branchAs(fmt.Sprint("b", m.names), func(p *timeline, at pg.LSN) (*repo.Timeline, error) {
		return m.r.Branch(m.t.Context(), repo.NewBranch{Name: fmt.Sprint("b", m.names)}, p.tl, at)
	})
}

// replace has a new branch of any point take the place of any timeline.
func (m *model) replace() {
	old := m.any()
	m.names++
	place, kept := old.name, fmt.Sprint("old", m.names)
	done := m.branchAs(place, func(p *timeline, at pg.LSN) (*repo.Timeline, error) {
		return m.r.Replace(m.t.Context(), old.tl, repo.Kept{Name: kept}, p.tl, at)
	})
	if done {
		old.name = kept
	}
}

// promote has a timeline take the place of another one.
func (m *model) promote() {
	t, old := m.any(), m.any()
	if t == old {
		return
	}
	m.names++
	kept := fmt.Sprint("old", m.names)
	if err := m.r.Promote(m.t.Context(), t.tl, old.tl, repo.Kept{Name: kept}); err != nil {
		m.t.Fatal(err)
	}
	t.name, old.name = old.name, kept
}

// branchAs makes a branch at a random point by make; it is false if the point was forgotten.
func (m *model) branchAs(name string, make func(p *timeline, at pg.LSN) (*repo.Timeline, error)) bool {
	p := m.any()
	all := p.points()
	at := all[m.rnd.IntN(len(all))]
	w := p.at(at)
	if m.rnd.IntN(2) == 0 {
		at = all[len(all)-1]
		w = p.headWorld()
	}
	c := &timeline{name: name, start: at, lsns: []pg.LSN{at}, put: map[string]string{}}
	for c.parent = p; at < c.parent.start; {
		c.parent = c.parent.parent
	}
	if at == all[len(all)-1] {
		w = p.headWorld()
	}
	c.worlds = []*world{w}
	var err error
	c.tl, err = make(p, at)
	if !m.kept(p, at) && errors.Is(err, repo.ErrOutOfRange) {
		return false
	}
	if err != nil || !m.kept(p, at) {
		m.t.Fatalf("branch of %s at %v: %v", p.name, at, err)
	}
	m.start(c)
	m.timelines = append(m.timelines, c)
	return true
}

func (m *model) start(c *timeline) {
	pt, err := c.tl.Resolve(m.t.Context(), c.start)
	if err != nil {
		m.t.Fatal(err)
	}
	c.state = pt.State.Clone()
	c.log = repotest.NewLog(c.tl)
}

func (m *model) delete() {
	t := m.any()
	if t.parent == nil {
		return
	}
	err := m.r.Delete(m.t.Context(), t.name, time.Now().Add(time.Hour))
	if slices.ContainsFunc(m.timelines, func(c *timeline) bool { return c.parent == t }) {
		if !errors.Is(err, repo.ErrBusy) {
			m.t.Fatalf("delete of a parent: %v", err)
		}
		return
	}
	if err != nil {
		m.t.Fatal(err)
	}
	m.timelines = slices.DeleteFunc(m.timelines, func(x *timeline) bool { return x == t })
	m.deleted = append(m.deleted, t)
}

// undelete brings back a branch that was deleted and is kept: all of its history is there.
func (m *model) undelete() {
	if len(m.deleted) == 0 {
		return
	}
	t := m.deleted[m.rnd.IntN(len(m.deleted))]
	tl, err := m.r.Undelete(m.t.Context(), t.tl.ID(), "")
	if !slices.Contains(m.timelines, t.parent) {
		if !errors.Is(err, repo.ErrBusy) && !errors.Is(err, repo.ErrNotFound) {
			m.t.Fatalf("undelete a child of a deleted branch: %v", err)
		}
		return
	}
	if err != nil {
		m.t.Fatal(err)
	}
	m.deleted = slices.DeleteFunc(m.deleted, func(x *timeline) bool { return x == t })
	m.timelines = append(m.timelines, t)
	t.tl, t.pins, t.heads = tl, nil, nil
	if got := tl.OwnHorizon(); got != max(t.horizon, t.start) {
		m.t.Fatalf("%s: horizon %v after it was brought back, was %v", t.name, got, t.horizon)
	}
	m.ingest(t)
	m.relog(t)
}

func (m *model) putFile() { m.putFileOn(m.any()) }

func (m *model) putFileOn(t *timeline) {
	path, content := m.anyFile()
	var b []byte
	if content != "" {
		b = []byte(content)
	}
	if err := t.tl.PutFile(m.t.Context(), path, b); err != nil {
		m.t.Fatal(err)
	}
	t.put[path] = content
}

// restart closes the repository or has it crash, opens it again, and ingests what it lacks.
func (m *model) restart(crash bool) {
	if crash {
		m.r.Kill()
		m.crash()
	} else if err := m.r.Close(); err != nil {
		m.t.Fatal(err)
	}
	m.reopen()
	if got := len(m.r.Timelines()); got != len(m.timelines) {
		m.t.Fatalf("%d timelines after restart, want %d", got, len(m.timelines))
	}
	for _, t := range m.timelines {
		tl, err := m.r.ByName(t.name)
		if err != nil {
			m.t.Fatal(err)
		}
		t.tl, t.pins, t.heads = tl, nil, nil
		got := tl.OwnHorizon()
		if m.died && got > t.horizon {
			t.horizon = got // the collection that crashed had stored it already
		}
		if got != max(t.horizon, t.start) {
			m.t.Fatalf("%s: horizon %v after restart, was %v", t.name, got, t.horizon)
		}
		if tl.LastLSN() > t.lsns[len(t.lsns)-1] || !crash && tl.LastLSN() != t.lsns[len(t.lsns)-1] {
			m.t.Fatalf("%s: head %v after restart, was %v", t.name, tl.LastLSN(), t.lsns[len(t.lsns)-1])
		}
		m.ingest(t)
		m.relog(t)
	}
}

func (m *model) relog(t *timeline) { t.log = repotest.NewLog(t.tl) }

// create makes the first timeline.
func (m *model) create() *timeline {
	main := &timeline{
		tl: repotest.Create(m.t, m.r, "main"), name: "main", start: repotest.Start,
		lsns: []pg.LSN{repotest.Start}, worlds: []*world{newWorld()}, put: map[string]string{},
	}
	m.timelines = []*timeline{main}
	m.start(main)
	return main
}

func (m *model) run(steps int) {
	m.create()
	for range steps {
		if m.gc && m.rnd.IntN(8) == 0 {
			m.forgetOrPin()
		}
		switch n := m.rnd.IntN(100); {
		case n < 40:
			t := m.any()
			for range m.rnd.IntN(120) {
				m.record(t)
			}
			m.ingest(t)
		case n < 75:
			m.look()
		case n < 80:
			m.lookAtHead()
		case n < 85:
			m.flush(m.any())
		case n < 91 && len(m.timelines) < 12:
			switch m.rnd.IntN(4) {
			case 0:
				m.replace()
			case 1:
				m.promote()
			default:
				m.branch()
			}
		case n < 94:
			m.putFile()
		case n < 96:
			if len(m.deleted) > 2 {
				m.undelete()
			} else {
				m.delete()
			}
		case n < 98:
			m.restart(true)
		case n < 99:
			m.restart(false)
		}
	}
	repotest.Close(m.t, m.r)
}

func TestModelOverMemory(t *testing.T) {
	for seed := range seeds(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			m := &model{t: t, rnd: rand.New(rand.NewPCG(seed, stream(1))), dir: t.TempDir(), xid: 700, gc: seed%2 == 1}
			disk := storetest.NewMem()
			m.open = func() store.Store {
				disk = disk.Reopen()
				return disk
			}
			m.crash = func() { disk = disk.Crash(m.rnd.IntN(2) == 0) }
			m.reopen()
			m.run(200)
		})
	}
}

func TestModelOverBadger(t *testing.T) {
	for seed := range seeds(2) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			m := &model{t: t, rnd: rand.New(rand.NewPCG(seed, stream(2))), dir: t.TempDir(), xid: 700, gc: seed%2 == 0}
			maker := &storetest.BadgerMaker{Dir: filepath.Join(t.TempDir(), "store")}
			var disk store.Store
			m.open = func() store.Store {
				if disk == nil || !m.crashed() {
					disk = maker.Open(t)
				}
				m.setCrashed(false)
				return disk
			}
			m.crash = func() {
				disk = maker.Crash(t, disk)
				m.setCrashed(true)
			}
			m.reopen()
			m.run(150)
		})
	}
}

// A Maker's Crash gives a store that is open already. A file in the directory remembers that, for the
// open that follows.
func (m *model) crashed() bool {
	_, err := os.Stat(filepath.Join(m.dir, "crashed"))
	return err == nil
}

func (m *model) setCrashed(v bool) {
	name := filepath.Join(m.dir, "crashed")
	if v {
		os.WriteFile(name, nil, 0o600)
	} else {
		os.Remove(name)
	}
}

// seeds gives how many seeds a test tries: n, or n times ZENITH_SEEDS if that is set.
func seeds(n uint64) uint64 {
	if times, err := strconv.ParseUint(os.Getenv("ZENITH_SEEDS"), 10, 32); err == nil {
		n *= times
	}
	return n
}

// stream gives the stream of random numbers that a model test uses: n, or another one for each value of
// ZENITH_STREAM, so that the same seeds do other things.
func stream(n uint64) uint64 {
	if other, err := strconv.ParseUint(os.Getenv("ZENITH_STREAM"), 10, 32); err == nil {
		n += other << 8
	}
	return n
}
