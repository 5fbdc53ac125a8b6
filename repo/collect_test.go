package repo_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"zenith/internal/pg"
	"zenith/internal/xlog"
	"zenith/repo"
	"zenith/repo/repotest"
	"zenith/repo/store"
	"zenith/repo/store/storetest"
)

// newForgetting makes a model over a store in memory, with history on main.
func newForgetting(t *testing.T) (m *model, disk **storetest.Mem, main *timeline) {
	t.Helper()
	s := storetest.NewMem()
	m = &model{t: t, rnd: rand.New(rand.NewPCG(11, 12)), dir: t.TempDir(), xid: 700, gc: true, sound: true}
	m.open = func() store.Store {
		s = s.Reopen()
		return s
	}
	m.reopen()
	main = m.create()
	for range 1500 {
		m.record(main)
	}
	m.ingest(main)
	m.flush(main)
	return m, &s, main
}

func (m *model) collect(horizons map[repo.TimelineID]pg.LSN) repo.Collected {
	m.t.Helper()
	res, err := m.r.Collect(m.t.Context(), repo.CollectOptions{Horizons: horizons})
	if err != nil {
		m.t.Fatal(err)
	}
	m.forgotten(horizons)
	return res
}

// TestLease checks that a leased point can be read until the lease ends, over a restart, by all LSNs
// for which it was leased; and that it is forgotten then.
func TestLease(t *testing.T) {
	m, _, main := newForgetting(t)
	at := main.lsns[len(main.lsns)/3]
	lease := func(asked pg.LSN, d time.Duration) {
		t.Helper()
		if err := main.tl.Lease(t.Context(), asked, time.Now().Add(d)); err != nil {
			t.Fatal(err)
		}
	}
	lease(at, time.Nanosecond)
	lease(at+3, time.Hour)
	lease(at, time.Minute) // does not shorten the first lease
	over := main.lsns[len(main.lsns)/4]
	lease(over, time.Millisecond)
	time.Sleep(2 * time.Millisecond)
	horizons := map[repo.TimelineID]pg.LSN{main.tl.ID(): main.lsns[len(main.lsns)-1]}
	m.collect(horizons)
	m.restart(false)
	m.collect(horizons)
	for _, ask := range []pg.LSN{at, at + 1, at + 3} {
		s, err := main.tl.At(t.Context(), ask)
		if err != nil || s.LSN() != at {
			t.Fatalf("leased %v, asked for %v: %v, %v", at, ask, s, err)
		}
		m.check(s, main.at(at))
	}
	for _, ask := range []pg.LSN{at - 1, at + 4, over} {
		if _, err := main.tl.At(t.Context(), ask); !errors.Is(err, repo.ErrOutOfRange) {
			t.Errorf("%v is not leased any more: %v", ask, err)
		}
	}
	if err := main.tl.Lease(t.Context(), over, time.Now().Add(time.Hour)); !errors.Is(err, repo.ErrOutOfRange) {
		t.Errorf("lease of what was forgotten: %v", err)
	}
	lease(at, 2*time.Hour) // extends it
	repotest.Close(t, m.r)
}

// TestForgetDeleted checks that collections leave nothing of a deleted branch in the store: no
// versions, and after a restart no row.
func TestForgetDeleted(t *testing.T) {
	m, disk, main := newForgetting(t)
	before := len(entriesOf(t, *disk))
	for range 2 {
		m.names++
		tl, err := m.r.Branch(t.Context(), repo.NewBranch{Name: "gone"}, main.tl, main.lsns[100])
		if err != nil {
			t.Fatal(err)
		}
		c := &timeline{tl: tl, name: "gone", parent: main, start: main.lsns[100], lsns: []pg.LSN{main.lsns[100]}, worlds: []*world{main.worlds[100].clone()}, put: map[string]string{}}
		m.start(c)
		for range 300 {
			m.record(c)
		}
		m.ingest(c)
		if err := tl.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := m.r.Delete(t.Context(), "gone", time.Now()); err != nil {
			t.Fatal(err)
		}
		if !m.r.Garbage() {
			t.Error("there is garbage, and nobody knows")
		}
		if res := m.collect(nil); res.Deleted == 0 || m.r.Garbage() {
			t.Errorf("%+v", res)
		}
		m.restart(false)
		m.collect(nil)
	}
	if after := len(entriesOf(t, *disk)); after != before {
		t.Errorf("%d versions before, %d after", before, after)
	}
	it := (*disk).Iterator([]byte{2})
	defer it.Close()
	rows := 0
	for it.Seek([]byte{2}); it.Valid(); it.Next() {
		rows++
	}
	if rows != 1 {
		t.Errorf("%d timelines are known, want main", rows)
	}
	repotest.Close(t, m.r)
}

// TestForgetWAL checks that segments are removed, but for those that a server holds and those that the
// horizon needs.
func TestForgetWAL(t *testing.T) {
	m, _, main := newForgetting(t)
	segments := func() (names []string) {
		entries, err := os.ReadDir(main.tl.WALDir())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	had := segments()
	if len(had) < 3 {
		t.Fatalf("%d segments", len(had))
	}
	held := had[1]
	main.tl.HoldWAL(func(name string) bool { return name == held })
	horizons := map[repo.TimelineID]pg.LSN{main.tl.ID(): main.lsns[len(main.lsns)-1]}
	release := main.tl.Hold()
	if res, err := m.r.Collect(t.Context(), repo.CollectOptions{Horizons: horizons}); err != nil || res.Deleted+res.Truncated+res.Segments != 0 {
		t.Errorf("the horizon is held: %+v, %v", res, err)
	}
	release()
	if res := m.collect(horizons); res.Segments != int64(len(had)-2) {
		t.Errorf("%d segments of %d were removed", res.Segments, len(had))
	}
	if got := segments(); len(got) != 2 || got[0] != held || got[1] != had[len(had)-1] {
		t.Errorf("left are %v of %v", got, had)
	}
	if _, err := main.tl.WAL().ReadWAL(make([]byte, 8), main.lsns[0]); !errors.Is(err, repo.ErrOutOfRange) {
		t.Errorf("wal that was forgotten: %v", err)
	}
	main.tl.HoldWAL(nil)
	m.collect(horizons)
	if got := segments(); len(got) != 1 {
		t.Errorf("left are %v", got)
	}
	repotest.Close(t, m.r)
}

// drop appends a record that drops a fork.
func (m *model) drop(t *timeline, rf pg.RelFork) {
	w := t.headWorld()
	m.xid++
	rec := t.log.Add(m.t, repotest.Rec{Rmgr: xlog.RmLogicalMsg, XID: m.xid, Main: []byte("x")})
	w.next = pg.FullTransactionID(m.xid) + 1
	w.drop(rf)
	m.apply(t, rec)
	lsn := rec.EndLSN
	t.steps = append(t.steps, step{lsn, rec.StartLSN, func(wr *repo.Writer) { wr.RelDrop(rf, lsn) }})
	t.lsns, t.worlds = append(t.lsns, lsn), append(t.worlds, w)
}

// TestCollectDroppedForkMadeAgain checks that a fork which was dropped, of which a collection has left
// nothing, and which is then made again can be read: its pages have no history from before the drop. One
// page is changed as soon as the fork is there again, one only after the next flush.
func TestCollectDroppedForkMadeAgain(t *testing.T) {
	m, _, main := newForgetting(t)
	rf := pg.RelFork{RelFileLocator: pg.RelFileLocator{SpcOID: 1664, RelNumber: 900}}
	flush := func() {
		t.Helper()
		m.ingest(main)
		m.flush(main)
	}
	for _, block := range []pg.BlockNumber{0, 1, 0, 1, 1} {
		m.pageRecord(main, rf.Tag(block))
	}
	flush()
	m.drop(main, rf)
	flush()
	if res := m.collect(map[repo.TimelineID]pg.LSN{main.tl.ID(): main.tl.LastLSN()}); res.Dropped == 0 {
		t.Fatalf("the dropped fork is still there: %+v", res)
	}
	m.pageRecord(main, rf.Tag(1))
	flush()
	m.pageRecord(main, rf.Tag(0))
	m.pageRecord(main, rf.Tag(1))
	flush()
	s, err := main.tl.AtHead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m.checkPages(s, main.headWorld(), rf, "head")
	repotest.Close(t, m.r)
}

// TestCollectOwnWALOfBranch checks that a branch's points below its branch point, which are its
// ancestor's, can be read when the branch's first own WAL was removed.
func TestCollectOwnWALOfBranch(t *testing.T) {
	m, _, main := newForgetting(t)
	start := len(main.lsns) - 1
	tl, err := m.r.Branch(t.Context(), repo.NewBranch{Name: "b"}, main.tl, main.lsns[start])
	if err != nil {
		t.Fatal(err)
	}
	b := &timeline{tl: tl, name: "b", parent: main, start: main.lsns[start], lsns: []pg.LSN{main.lsns[start]}, worlds: []*world{main.headWorld()}, put: map[string]string{}}
	m.timelines = append(m.timelines, b)
	m.start(b)
	for range 1500 {
		m.record(b)
	}
	m.ingest(b)
	if res := m.collect(map[repo.TimelineID]pg.LSN{tl.ID(): tl.LastLSN()}); res.Segments == 0 {
		t.Fatalf("no wal was removed: %+v", res)
	}
	for i := start - 20; i < start; i++ {
		s, err := tl.At(t.Context(), main.lsns[i])
		if err != nil || s.LSN() != main.lsns[i] {
			t.Fatalf("%v, %d records before the branch point: %v, %v", main.lsns[i], start-i, s, err)
		}
		m.check(s, main.worlds[i])
	}
	repotest.Close(t, m.r)
}
