package repo_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"zenith/internal/pg"
	"zenith/internal/xlog"
	"zenith/repo"
	"zenith/repo/control"
	"zenith/repo/repotest"
	"zenith/repo/store"
)

// world is everything at one LSN, in the simplest form.
type world struct {
	pages map[pg.BufferTag]uint64 // what repotest.Mixed gives of the page; absent: zeros
	sizes map[pg.RelFork]pg.BlockNumber
	dbs   map[database]bool
	files map[string]string
	next  pg.FullTransactionID
}

type database struct{ spc, db pg.OID }

// bad stands for a page that cannot be rebuilt, since it has a refused record.
const bad = ^uint64(0)

func newWorld() *world {
	return &world{
		pages: map[pg.BufferTag]uint64{}, sizes: map[pg.RelFork]pg.BlockNumber{}, dbs: map[database]bool{},
		files: map[string]string{}, next: repotest.StartState().CheckPoint.NextXID,
	}
}

func (w *world) clone() *world {
	return &world{maps.Clone(w.pages), maps.Clone(w.sizes), maps.Clone(w.dbs), maps.Clone(w.files), w.next}
}

func (w *world) extend(rf pg.RelFork, n pg.BlockNumber) { w.sizes[rf] = max(w.sizes[rf], n) }

func (w *world) resize(rf pg.RelFork, n pg.BlockNumber) {
	w.sizes[rf] = n
	maps.DeleteFunc(w.pages, func(t pg.BufferTag, _ uint64) bool { return t.RelFork == rf && t.Block >= n })
}

func (w *world) drop(rf pg.RelFork) {
	w.resize(rf, 0)
	delete(w.sizes, rf)
}

func (w *world) dropDB(d database) {
	delete(w.dbs, d)
	for rf := range w.sizes {
		if (database{rf.SpcOID, rf.DBOID}) == d {
			w.drop(rf)
		}
	}
}

func (w *world) change(tag pg.BufferTag, rec *xlog.Record, init bool) {
	old := w.pages[tag]
	if init {
		old = 0
	}
	switch {
	case rec.Info == repotest.Refused || old == bad:
		w.pages[tag] = bad
	default:
		w.pages[tag] = repotest.Mix(old, tag, rec)
	}
	w.extend(tag.RelFork, tag.Block+1)
}

// step is a record of the WAL and the changes that ingest derives from it.
type step struct {
	end, prev pg.LSN
	write     func(w *repo.Writer)
}

type timeline struct {
	tl     *repo.Timeline
	name   string
	parent *timeline
	start  pg.LSN
	log    *repotest.Log
	steps  []step
	lsns   []pg.LSN // ascending: start, then each step's end
	worlds []*world
	put    map[string]string // files that PutFile stored since the head got there; "": it removed them
	state  *control.State

	horizon pg.LSN // 0: nothing was forgotten
	pins    map[pg.LSN][]func()
	heads   map[*repo.Snapshot]*world // pinned snapshots of AtHead, and the worlds that they show
}

// at gives the world at a record boundary.
func (t *timeline) at(lsn pg.LSN) *world {
	for lsn < t.start {
		t = t.parent
	}
	i, found := slices.BinarySearch(t.lsns, lsn)
	if !found {
		panic("no such point")
	}
	return t.worlds[i]
}

// points lists all record boundaries that can be read through t.
func (t *timeline) points() (all []pg.LSN) {
	for end := pg.LSN(0); t != nil; t = t.parent {
		for _, l := range t.lsns {
			if end == 0 || l < end {
				all = append(all, l)
			}
		}
		end = t.start
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// headWorld is the world at the head, with the files that PutFile stored since.
func (t *timeline) headWorld() *world {
	w := t.worlds[len(t.worlds)-1].clone()
	for path, content := range t.put {
		if content == "" {
			delete(w.files, path)
		} else {
			w.files[path] = content
		}
	}
	return w
}

// model does random operations on a repository and on worlds, and compares them.
type model struct {
	t     *testing.T
	rnd   *rand.Rand
	hot   bool // few pages get most records
	gc    bool // there are collections
	died  bool // the process died in a collection
	sound bool // redo refuses no record
	dir   string
	open  func() store.Store
	crash func() // makes the next open give the store that a crash would leave

	r         *repo.Repository
	timelines []*timeline
	deleted   []*timeline // and kept
	xid       pg.TransactionID
	names     int
}

func (m *model) reopen() {
	var err error
	m.r, err = repo.Open(repo.Options{Dir: m.dir, Redo: repotest.Redo, Store: m.open(), Cache: 64 * pg.BlockSize})
	if err != nil {
		m.t.Fatal(err)
	}
}

var relForks = func() (list []pg.RelFork) {
	for _, d := range []database{{1663, 5}, {1663, 16400}, {1664, 0}} {
		for rel := range pg.OID(3) {
			list = append(list, pg.RelFork{RelFileLocator: pg.RelFileLocator{SpcOID: d.spc, DBOID: d.db, RelNumber: 100 + rel}})
		}
	}
	list[0].Fork = pg.VisibilityMapFork
	return append(list, pg.SLRUXact.Segment(0), pg.SLRUMultiOffsets.Segment(7))
}()

// anyRel picks a fork whose database exists.
func (m *model) anyRel(w *world) pg.RelFork {
	if m.hot && m.rnd.IntN(4) > 0 {
		return relForks[6]
	}
	for {
		rf := relForks[min(m.rnd.IntN(len(relForks)), m.rnd.IntN(len(relForks)))]
		if rf.IsSLRU() || rf.DBOID == 0 || w.dbs[database{rf.SpcOID, rf.DBOID}] {
			return rf
		}
	}
}

func (m *model) anyTag(w *world) pg.BufferTag {
	return m.anyRel(w).Tag(pg.BlockNumber(min(m.rnd.IntN(7), m.rnd.IntN(7), m.rnd.IntN(7))))
}

// record appends a record with random effects to t's WAL and to the model.
func (m *model) record(t *timeline) {
	w := t.headWorld()
	t.put = map[string]string{}
	m.xid++
	rec := repotest.Rec{Rmgr: xlog.RmLogicalMsg, XID: m.xid, Main: make([]byte, 1+m.rnd.IntN(60))}
	if m.rnd.IntN(20) == 0 || m.gc && m.rnd.IntN(4) == 0 { // large, so that there are whole segments to be removed
		rec.Main = make([]byte, 1500+m.rnd.IntN(9000))
	}
	var tags []pg.BufferTag
	named := map[pg.BufferTag]bool{}
	kind := m.rnd.IntN(100)
	if kind < 80 {
		for range 1 + m.rnd.IntN(3) {
			tag := m.anyTag(w)
			if named[tag] {
				continue
			}
			tags = append(tags, tag)
			if !tag.IsSLRU() {
				rec.Blocks = append(rec.Blocks, repotest.Block{Tag: tag, Init: m.rnd.IntN(25) == 0, Data: make([]byte, m.rnd.IntN(30))})
			}
			named[tag] = true
		}
		if !m.sound && m.rnd.IntN(150) == 0 {
			rec.Info = repotest.Refused
		}
	}
	got := t.log.Add(m.t, rec)
	w.next = pg.FullTransactionID(m.xid) + 1
	lsn := got.EndLSN
	var write func(*repo.Writer)
	if kind < 80 {
		write = m.changePages(w, got, tags)
	} else {
		write = m.otherEffect(w, lsn, kind)
	}
	m.apply(t, got)
	t.steps = append(t.steps, step{lsn, got.StartLSN, write})
	t.lsns, t.worlds = append(t.lsns, lsn), append(t.worlds, w)
}

// pageRecord appends a record that changes one page.
func (m *model) pageRecord(t *timeline, tag pg.BufferTag) {
	w := t.headWorld()
	m.xid++
	rec := t.log.Add(m.t, repotest.Rec{Rmgr: xlog.RmLogicalMsg, XID: m.xid, Main: []byte("x"), Blocks: []repotest.Block{{Tag: tag}}})
	w.next = pg.FullTransactionID(m.xid) + 1
	write := m.changePages(w, rec, []pg.BufferTag{tag})
	m.apply(t, rec)
	t.steps = append(t.steps, step{rec.EndLSN, rec.StartLSN, write})
	t.lsns, t.worlds = append(t.lsns, rec.EndLSN), append(t.worlds, w)
}

func (m *model) apply(t *timeline, rec *xlog.Record) {
	if err := t.state.Apply(rec); err != nil {
		m.t.Fatal(err)
	}
}

func (m *model) changePages(w *world, rec *xlog.Record, tags []pg.BufferTag) func(*repo.Writer) {
	raw := slices.Clone(rec.Raw)
	start, end := rec.StartLSN, rec.EndLSN
	for _, tag := range tags {
		init := false
		for _, b := range rec.Blocks {
			init = init || b.Tag == tag && b.WillInit
		}
		w.change(tag, rec, init)
	}
	return func(wr *repo.Writer) {
		var rec xlog.Record
		if err := xlog.Decode(pg.V15, raw, start, end, &rec); err != nil {
			m.t.Fatal(err)
		}
		for _, tag := range tags {
			wr.Page(tag, &rec)
			wr.Page(tag, &rec) // twice: it must count once
			wr.Extend(tag.RelFork, end, tag.Block+1)
		}
		clear(raw[:0])
	}
}

func (m *model) otherEffect(w *world, lsn pg.LSN, kind int) func(*repo.Writer) {
	rf := m.anyRel(w)
	n := pg.BlockNumber(m.rnd.IntN(7))
	switch {
	case kind < 85:
		n = min(n, w.sizes[rf]) // shorter
		w.resize(rf, n)
		return func(wr *repo.Writer) { wr.RelSize(rf, lsn, n) }
	case kind < 87:
		w.extend(rf, n)
		return func(wr *repo.Writer) { wr.Extend(rf, lsn, n) }
	case kind < 90:
		w.drop(rf)
		return func(wr *repo.Writer) { wr.RelDrop(rf, lsn) }
	case kind < 92:
		d := database{1663, 16400}
		if w.dbs[d] {
			w.dropDB(d)
			return func(wr *repo.Writer) { wr.DBDrop(d.spc, d.db, lsn) }
		}
		w.dbs[d] = true
		return func(wr *repo.Writer) { wr.DBCreate(d.spc, d.db, lsn) }
	case kind < 96:
		path, content := m.anyFile()
		if content == "" {
			delete(w.files, path)
			return func(wr *repo.Writer) { wr.File(path, lsn, nil) }
		}
		w.files[path] = content
		return func(wr *repo.Writer) { wr.File(path, lsn, []byte(content)) }
	}
	tag := m.anyTag(w)
	image := make(pg.Page, pg.BlockSize)
	rec := xlog.Record{V: pg.V15, EndLSN: lsn, XID: m.xid}
	if err := repotest.Redo(image, tag, &rec); err != nil {
		m.t.Fatal(err)
	}
	w.pages[tag] = repotest.Mixed(image)
	w.extend(tag.RelFork, tag.Block+1)
	return func(wr *repo.Writer) {
		wr.Image(tag, lsn, image)
		wr.Extend(tag.RelFork, lsn, tag.Block+1)
	}
}

func (m *model) anyFile() (path, content string) {
	path = []string{"global/pg_filenode.map", "base/5/pg_filenode.map", "pg_twophase/000002BC", "postgresql.conf"}[m.rnd.IntN(4)]
	if m.rnd.IntN(4) > 0 {
		content = fmt.Sprint("content ", m.rnd.IntN(1000))
	}
	return path, content
}

// ingest writes t's steps that are above its head, in batches of random size.
func (m *model) ingest(t *timeline) {
	head := t.tl.LastLSN()
	i, _ := slices.BinarySearchFunc(t.steps, head+1, func(s step, l pg.LSN) int { return int(int64(s.end) - int64(l)) })
	for i < len(t.steps) {
		n := min(len(t.steps)-i, 1+m.rnd.IntN(60))
		m.batch(t, t.steps[i:i+n], i+n == len(t.steps))
		i += n
		if m.rnd.IntN(6) == 0 {
			m.flush(t)
		}
	}
}

func (m *model) batch(t *timeline, steps []step, last bool) {
	w, err := t.tl.Begin(m.t.Context())
	if err != nil {
		m.t.Fatal(err)
	}
	for _, s := range steps {
		s.write(w)
	}
	if m.rnd.IntN(8) == 0 { // a batch that is aborted must leave nothing
		w.Abort()
		m.batch(t, steps, last)
		return
	}
	if last && m.rnd.IntN(3) == 0 {
		w.State(t.state)
	}
	if err := w.Commit(steps[len(steps)-1].end, steps[len(steps)-1].prev); err != nil {
		m.t.Fatal(err)
	}
}

func (m *model) flush(t *timeline) {
	if err := t.tl.Flush(m.t.Context()); err != nil {
		m.t.Fatal(err)
	}
	if err := t.tl.PackUpTo(t.tl.LastLSN()); err != nil {
		m.t.Fatal(err)
	}
}
