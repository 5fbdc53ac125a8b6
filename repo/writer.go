package repo

import (
	"fmt"

	"zenith/internal/pg"
	"zenith/internal/xlog"
	"zenith/repo/control"
)

// Writer collects what records change, in LSN order, and publishes it all at once.
// It is for one goroutine. Errors are kept: the first one is Commit's.
type Writer struct {
	t    *Timeline
	w    *window // the open one
	done bool
	err  error
	top  pg.LSN // the highest LSN given
	size int64

	pages  []pendingPage
	rels   map[pg.RelFork]*pendingRel
	events []pendingEvent
	dbs    []pendingDB
	files  []pendingFile
	states []stateVersion

	near [nearRels]nearRel // found last, to find again without the map
}

const nearRels = 16

type nearRel struct {
	rf pg.RelFork
	p  *pendingRel // nil: none
}

type pendingPage struct {
	tag pg.BufferTag
	v   version
}

// pendingRel is a relation's size as the batch so far has it.
type pendingRel struct {
	state relState
	dirty bool
}

type pendingEvent struct {
	rf     pg.RelFork
	before relState
	ev     relEvent
}

type pendingDB struct {
	k  dbKey
	ev dbEvent
}

type pendingFile struct {
	path string
	v    fileVersion
}

func newWriter(t *Timeline) *Writer {
	return &Writer{t: t, rels: make(map[pg.RelFork]*pendingRel)}
}

// reset makes w ready for a batch. The caller has the turn.
func (w *Writer) reset() {
	t, rels := w.t, w.rels
	if len(rels) > maxHeadSizes {
		rels = make(map[pg.RelFork]*pendingRel)
	}
	clear(rels)
	clear(w.files)
	clear(w.states)
	*w = Writer{
		t: t, w: t.view.Load().open(), rels: rels,
		pages: w.pages[:0], events: w.events[:0], dbs: w.dbs[:0], files: w.files[:0], states: w.states[:0],
	}
}

func (w *Writer) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

// at checks an entry's LSN.
func (w *Writer) at(lsn pg.LSN) bool {
	if lsn%8 != 0 || lsn <= w.w.end.lsn {
		w.fail(fmt.Errorf("change of %s at %v, whose head is %v: %w", w.t.info.Name, lsn, w.w.end.lsn, ErrInvalid))
		return false
	}
	w.top = max(w.top, lsn)
	return w.err == nil
}

// Page says that rec changes tag. Its bytes are in the WAL, and are read from there.
func (w *Writer) Page(tag pg.BufferTag, rec *xlog.Record) {
	if !w.at(rec.EndLSN) {
		return
	}
	var flags linkFlags
	for i := range rec.Blocks {
		if rec.Blocks[i].Tag == tag && rec.Blocks[i].Restores() {
			flags = linkRestore
			break
		}
	}
	w.pages = append(w.pages, pendingPage{tag, w.w.version(rec.EndLSN, rec.StartLSN, flags, len(rec.Raw))})
}

// Image sets tag to page as of lsn. The page is copied.
func (w *Writer) Image(tag pg.BufferTag, lsn pg.LSN, page pg.Page) {
	if w.at(lsn) {
		w.pages = append(w.pages, pendingPage{tag, w.w.version(lsn, lsn, linkImage, w.w.image(page))})
		w.size += pg.BlockSize
	}
}

// Size is rf's size in blocks at this point of the batch, and whether it exists.
func (w *Writer) Size(rf pg.RelFork) (n pg.BlockNumber, exists bool, err error) {
	p, err := w.rel(rf)
	if err != nil {
		return 0, false, err
	}
	return p.state.n, p.state.exists, nil
}

// rel finds rf's size at this point.
func (w *Writer) rel(rf pg.RelFork) (*pendingRel, error) {
	near := &w.near[(uint32(rf.RelNumber)+uint32(rf.Fork))%nearRels]
	if near.p != nil && near.rf == rf {
		return near.p, nil
	}
	p := w.rels[rf]
	if p == nil {
		st, ok := w.t.heads.rel(rf)
		if !ok {
			var err error
			if st, err = lookupRel(w.t.r.store, nil, w.t.lineage(maxLSN).look(), rf); err != nil {
				w.fail(err)
				return nil, err
			}
			w.t.heads.setRel(rf, st)
		}
		st, err := st.afterDrop(rf, w.db)
		if err != nil {
			return nil, err
		}
		p = &pendingRel{state: st}
		w.rels[rf] = p
	}
	*near = nearRel{rf, p}
	return p, nil
}

// Extend makes rf at least n blocks long as of lsn, and creates it if need be.
func (w *Writer) Extend(rf pg.RelFork, lsn pg.LSN, n pg.BlockNumber) {
	if p, err := w.rel(rf); err == nil && (!p.state.exists || p.state.n < n) {
		w.resize(rf, p, relEvent{lsn: lsn, n: n})
	}
}

// RelSize sets rf's size as of lsn, and creates it if need be. Blocks that are cut off
// come back as zeros if rf grows again.
func (w *Writer) RelSize(rf pg.RelFork, lsn pg.LSN, n pg.BlockNumber) {
	if p, err := w.rel(rf); err == nil && (!p.state.exists || p.state.n != n) {
		w.resize(rf, p, relEvent{lsn: lsn, n: n})
	}
}

// RelDrop removes rf as of lsn; nothing if it does not exist.
func (w *Writer) RelDrop(rf pg.RelFork, lsn pg.LSN) {
	if p, err := w.rel(rf); err == nil && p.state.exists {
		w.resize(rf, p, relEvent{lsn: lsn, dropped: true})
	}
}

func (w *Writer) resize(rf pg.RelFork, p *pendingRel, ev relEvent) {
	if w.at(ev.lsn) {
		w.events = append(w.events, pendingEvent{rf, p.state, ev})
		p.state, p.dirty = p.state.apply(ev), true
	}
}

// db finds a database's last change at this point.
func (w *Writer) db(k dbKey) (dbEvent, error) {
	for i := len(w.dbs) - 1; i >= 0; i-- {
		if w.dbs[i].k == k {
			return w.dbs[i].ev, nil
		}
	}
	ev, ok := w.t.heads.db(k)
	if !ok {
		var err error
		if ev, err = lookupDB(w.t.r.store, nil, w.t.lineage(maxLSN).look(), k); err != nil {
			w.fail(err)
			return ev, err
		}
		w.t.heads.setDB(k, ev)
	}
	return ev, nil
}

// DBCreate makes a database in a tablespace, as of lsn. (global has none.)
func (w *Writer) DBCreate(spc, db pg.OID, lsn pg.LSN) {
	ev, err := w.db(dbKey{spc, db})
	if err == nil && !ev.exists && w.at(lsn) {
		w.dbs = append(w.dbs, pendingDB{dbKey{spc, db}, dbEvent{lsn, true, ev.lastDrop}})
	}
}

// DBDrop removes a database from a tablespace, with all its relations. Files below its
// directory are the caller's to remove.
func (w *Writer) DBDrop(spc, db pg.OID, lsn pg.LSN) {
	if !w.at(lsn) {
		return
	}
	w.dbs = append(w.dbs, pendingDB{dbKey{spc, db}, dbEvent{lsn, false, lsn}})
	for rf, p := range w.rels {
		if rf.SpcOID == spc && rf.DBOID == db {
			p.state = p.state.dropDB(lsn)
		}
	}
}

// File sets a file's content as of lsn; nil removes it.
func (w *Writer) File(path string, lsn pg.LSN, content []byte) {
	if err := checkFile(path, content); err != nil {
		w.fail(err)
		return
	}
	if w.at(lsn) {
		if content != nil {
			content = append(make([]byte, 0, len(content)), content...)
		}
		w.files = append(w.files, pendingFile{path, fileVersion{lsn, content}})
	}
}

// maxFile bounds a file's content: a two-phase file is the biggest, and no allocation of
// PostgreSQL's is bigger.
const maxFile = 1 << 30

func checkFile(path string, content []byte) error {
	if path == "" || path[0] == '/' || len(path) > 1024 {
		return fmt.Errorf("file name %q: %w", path, ErrInvalid)
	}
	for i := range len(path) {
		if path[i] == 0 {
			return fmt.Errorf("file name %q: %w", path, ErrInvalid)
		}
	}
	if len(content) > maxFile {
		return fmt.Errorf("file %q of %d bytes, more than %d: %w", path, len(content), maxFile, ErrInvalid)
	}
	return nil
}

// State stores the state at s.LSN. Resolve walks the WAL from the nearest, so store one
// every 256 KiB of WAL or so. The state is copied.
func (w *Writer) State(s *control.State) {
	if w.at(s.LSN) {
		w.states = append(w.states, stateVersion{s.LSN, s.Encode()})
	}
}

// Commit publishes the batch: LastLSN becomes upTo, a record boundary, and prev the
// start of the record that ends there. All of it becomes visible or none. The WAL up
// to upTo must be durable. The Writer must not be used any more.
func (w *Writer) Commit(upTo, prev pg.LSN) error {
	if w.done {
		return fmt.Errorf("commit of a finished batch: %w", ErrInvalid)
	}
	defer w.finish()
	head := w.w.end.lsn
	if w.err == nil && (upTo < head || w.top > upTo || upTo%8 != 0 || prev >= upTo) {
		w.err = fmt.Errorf("commit of %s up to %v after %v: %w", w.t.info.Name, upTo, head, ErrInvalid)
	}
	if w.err != nil || upTo == head {
		return w.err
	}
	w.merge()
	w.account()
	w.t.publish(w.w, endpoint{upTo, prev})
	return nil
}

// Abort drops the batch; nothing after Commit.
func (w *Writer) Abort() {
	if !w.done {
		w.finish()
	}
}

func (w *Writer) finish() {
	w.done = true
	w.account()
	w.w = nil // not to be kept in memory until the next batch
	w.t.giveTurn()
}

// account charges the open window with the memory that the batch took.
func (w *Writer) account() {
	w.t.r.mem.add(w.size)
	w.w.mu.Lock()
	defer w.w.mu.Unlock()
	w.w.size += w.size
	w.size = 0
}
