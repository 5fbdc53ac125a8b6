package repo

import (
	"fmt"

	"zenith/internal/pg"
	"zenith/internal/xlog"
	"zenith/repo/control"
)

// Writer collects a batch of changes that records make, in LSN order, and publishes all of it at
// once. It is for one goroutine. Methods without an error result keep their first error for Commit.
type Writer struct {
	t    *Timeline
	w    *window // the open window
	done bool
	err  error  // Commit's
	top  pg.LSN // the highest LSN of a change
	size int64  // bytes of memory that the window is not charged with yet

	pages   []pendingPage
	rels    map[pg.RelFork]*pendingRel
	events  []pendingEvent
	dbs     []pendingDB
	files   []pendingFile
	states  []stateVersion
	commits []commitChunk
	running []byte

	near [nearRels]nearRel // some of rels that were used last: a lookup without the map
}

// nearRels is how many forks near has room for.
const nearRels = 16

// nearRel is an entry of rels.
type nearRel struct {
	rf pg.RelFork
	p  *pendingRel // nil: there is none
}

// pendingPage is a version of a page.
type pendingPage struct {
	tag pg.BufferTag
	v   version
}

// pendingRel is a fork's size after the changes of the batch so far.
type pendingRel struct {
	state relState
	dirty bool // the batch has changed it
}

// pendingEvent is a change of a fork's size, and the state before it.
type pendingEvent struct {
	rf     pg.RelFork
	before relState
	ev     relEvent
}

// pendingDB is a creation or a drop of a database.
type pendingDB struct {
	k  dbKey
	ev dbEvent
}

// pendingFile is a version of a file.
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
	clear(w.commits)
	*w = Writer{
		t: t, w: t.view.Load().open(), rels: rels,
		pages: w.pages[:0], events: w.events[:0], dbs: w.dbs[:0], files: w.files[:0], states: w.states[:0],
		commits: w.commits[:0],
	}
}

// fail keeps the batch's first error.
func (w *Writer) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

// at checks the LSN of a change, and reports whether the change may be added to the batch.
func (w *Writer) at(lsn pg.LSN) bool {
	if lsn%8 != 0 || lsn <= w.w.end.lsn {
		w.fail(fmt.Errorf("change of %s at %v, whose head is %v: %w", w.t.info.Name, lsn, w.w.end.lsn, ErrInvalid))
		return false
	}
	w.top = max(w.top, lsn)
	return w.err == nil
}

// Page adds that rec changes the page tag. The record's bytes are not copied: they are read from the
// WAL when they are needed.
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

// Image sets the page tag to page as of lsn. page is copied.
func (w *Writer) Image(tag pg.BufferTag, lsn pg.LSN, page pg.Page) {
	if w.at(lsn) {
		w.pages = append(w.pages, pendingPage{tag, w.w.version(lsn, lsn, linkImage, w.w.image(page))})
		w.size += pg.BlockSize
	}
}

// Size gives rf's size in blocks after the changes of the batch so far, and whether it exists.
func (w *Writer) Size(rf pg.RelFork) (n pg.BlockNumber, exists bool, err error) {
	p, err := w.rel(rf)
	if err != nil {
		return 0, false, err
	}
	return p.state.n, p.state.exists, nil
}

// rel finds rf's size after the changes of the batch so far.
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

// Extend makes rf at least n blocks long as of lsn, and creates it if it does not exist.
func (w *Writer) Extend(rf pg.RelFork, lsn pg.LSN, n pg.BlockNumber) {
	if p, err := w.rel(rf); err == nil && (!p.state.exists || p.state.n < n) {
		w.resize(rf, p, relEvent{lsn: lsn, n: n})
	}
}

// RelSize sets rf's size in blocks as of lsn, and creates it if it does not exist. Blocks that are
// truncated are zeros if rf grows again.
func (w *Writer) RelSize(rf pg.RelFork, lsn pg.LSN, n pg.BlockNumber) {
	if p, err := w.rel(rf); err == nil && (!p.state.exists || p.state.n != n) {
		w.resize(rf, p, relEvent{lsn: lsn, n: n})
	}
}

// RelDrop removes rf as of lsn, if it exists.
func (w *Writer) RelDrop(rf pg.RelFork, lsn pg.LSN) {
	if p, err := w.rel(rf); err == nil && p.state.exists {
		w.resize(rf, p, relEvent{lsn: lsn, dropped: true})
	}
}

// resize adds a change of rf's size; p is rf's.
func (w *Writer) resize(rf pg.RelFork, p *pendingRel, ev relEvent) {
	if w.at(ev.lsn) {
		w.events = append(w.events, pendingEvent{rf, p.state, ev})
		p.state, p.dirty = p.state.apply(ev), true
	}
}

// db finds the last change of a database after the changes of the batch so far.
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

// DBCreate makes the directory of a database in a tablespace, as of lsn. The directory global needs
// none.
func (w *Writer) DBCreate(spc, db pg.OID, lsn pg.LSN) {
	ev, err := w.db(dbKey{spc, db})
	if err == nil && !ev.exists && w.at(lsn) {
		w.dbs = append(w.dbs, pendingDB{dbKey{spc, db}, dbEvent{lsn, true, ev.lastDrop}})
	}
}

// DBDrop removes the directory of a database in a tablespace as of lsn, with all its relations. The
// caller must remove the files in it.
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

// maxFile bounds a file's content, in bytes. The largest files are those of two-phase transactions,
// which PostgreSQL allocates in one piece, of 1 GiB at most.
const maxFile = 1 << 30

// checkFile reports ErrInvalid for a path or content that no file can have.
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

// State stores the control data at s.LSN. s is copied. Resolve reads the WAL from the nearest stored
// state on, so the caller should store one every 256 KiB of WAL or so.
func (w *Writer) State(s *control.State) {
	if w.at(s.LSN) {
		w.states = append(w.states, stateVersion{s.LSN, s.Encode()})
	}
}

// Commit publishes the batch: the head becomes upTo, a record boundary, and prev, the
// start of the record that ends there. All of the batch becomes visible at once, or nothing and an
// error. The WAL up to upTo must be durable. The Writer must not be used any more.
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

// Abort drops the batch. It does nothing after Commit.
func (w *Writer) Abort() {
	if !w.done {
		w.finish()
	}
}

// finish ends the Writer and gives the turn back.
func (w *Writer) finish() {
	w.done = true
	w.account()
	w.w = nil // t keeps the Writer for the next batch, and the window must not stay in memory so long
	w.t.giveTurn()
}

// account charges the window, and the repository's Memory, with the memory that the batch took.
func (w *Writer) account() {
	w.t.r.mem.add(w.size)
	w.w.mu.Lock()
	defer w.w.mu.Unlock()
	w.w.size += w.size
	w.size = 0
}
