package repo

import (
	"context"
	"path/filepath"
	"sync"
	"sync/atomic"

	"zenith/internal/pg"
	"zenith/internal/xlog"
	"zenith/repo/segment"
)

// Timeline is one line of WAL with the history of its pages. All methods are safe for
// concurrent use; there is one Writer at a time.
type Timeline struct {
	r      *Repository
	no     timelineNo
	info   Info                  // its Name and TLI may be out of date
	label  atomic.Pointer[label] // replaced under the turn and the repository's mu
	parent *Timeline
	first  pg.LSN // the start of the root of the lineage, before which there never was anything
	wal    *segment.WAL
	head   watermark

	turn   chan struct{} // has a token: the turn. Whoever takes it has the turn
	writer *Writer       // reused by each Begin

	view  atomic.Pointer[view] // changed under mu
	mu    sync.Mutex
	heads *headSizes // at the end of the last merged batch, which is perhaps not published yet

	index commitIndex

	tails    tails
	flushing sync.Mutex // held while a window is flushed
	flushMu  sync.Mutex // guards row, flushErr and deleted
	row      flushedRow // as it was stored last
	flushErr error      // of the last flush; nil if it worked
	deleted  bool

	stored  atomic.Int64              // bytes of its versions in the store: see space.go
	horizon atomic.Uint64             // an LSN; 0 if nothing was forgotten. Changed under the repository's pinMu
	pinned  pinned                    // guarded by the repository's pinMu
	heldWAL func(segment string) bool // see HoldWAL; guarded by the repository's pinMu
}

// view says where a timeline's history is: up to flushed.lsn in the store, above that in windows, of
// which the first is the open one, and then come sealed ones, the newest first.
type view struct {
	windows []*window
	flushed endpoint
}

func (v *view) open() *window { return v.windows[0] }

// Info describes a timeline. Only the name and the TLI ever change.
type Info struct {
	ID       TimelineID
	Name     string
	Parent   TimelineID  // zero if it has no ancestor
	StartLSN pg.LSN      // the first LSN that can be read; for a branch: the branch point
	Version  *pg.Version // the PostgreSQL whose WAL and data it is, from StartLSN on
	TLI      pg.TLI      // PostgreSQL's timeline on which its WAL goes on: the last one of History
	SegSize  int         // of its WAL segments
	SysID    uint64      // the cluster's system identifier
}

// newTimeline makes a timeline of which the store has all up to row.LSN. info.TLI is not used: history has it.
func newTimeline(r *Repository, no timelineNo, info Info, history pg.History, parent *Timeline, row flushedRow) *Timeline {
	t := &Timeline{r: r, no: no, info: info, parent: parent, first: info.StartLSN, row: row, turn: make(chan struct{}, 1)}
	t.label.Store(&label{name: info.Name})
	if parent != nil {
		t.first = parent.first
	}
	at := endpoint{row.LSN, row.Prev}
	t.head.init(at)
	t.view.Store(&view{windows: []*window{newWindow(at)}, flushed: at})
	t.heads = newHeadSizes()
	t.index.set(info.StartLSN)
	var above *segment.WAL
	if parent != nil {
		above = parent.wal
	}
	cfg := xlog.Config{Version: info.Version, SegSize: info.SegSize, SysID: info.SysID}
	t.wal = segment.New(segment.Dir{Path: t.WALDir(), Config: cfg}, history, walTimeline{t}, info.StartLSN, above)
	t.turn <- struct{}{}
	return t
}

// ID is t's id.
func (t *Timeline) ID() TimelineID { return t.info.ID }

// Name is the branch name that t has now.
func (t *Timeline) Name() string { return t.label.Load().name }

// Info describes t, with the name and the TLI that it has now.
func (t *Timeline) Info() Info {
	info := t.info
	info.Name, info.TLI = t.Name(), t.History().TLI()
	return info
}

// Ancestor gives the timeline that t branches off from, and the LSN of the branch point; nil if t has
// no ancestor.
func (t *Timeline) Ancestor() (*Timeline, pg.LSN) {
	if t.parent == nil {
		return nil, 0
	}
	return t.parent, t.info.StartLSN
}

// Version is the PostgreSQL whose WAL and data t is, from StartLSN on.
func (t *Timeline) Version() *pg.Version { return t.info.Version }

// VersionAt is the PostgreSQL whose data directory t is at lsn: below the branch point that is
// the ancestor's.
func (t *Timeline) VersionAt(lsn pg.LSN) *pg.Version {
	for t.parent != nil && lsn < t.info.StartLSN {
		t = t.parent
	}
	return t.info.Version
}

// StartLSN is where t itself begins: the branch point of a branch. Lower LSNs are read on its
// ancestors: see FirstLSN.
func (t *Timeline) StartLSN() pg.LSN { return t.info.StartLSN }

// LastLSN is the head: the end of the last record whose effects can be read.
func (t *Timeline) LastLSN() pg.LSN { return t.head.get().lsn }

// Head gives LastLSN, and the start of the record that ends there, as of one moment.
func (t *Timeline) Head() (last, prev pg.LSN) {
	e := t.head.get()
	return e.lsn, e.prev
}

// WaitLSN waits until LastLSN is at or beyond lsn. ErrClosed if the repository is closed meanwhile.
func (t *Timeline) WaitLSN(ctx context.Context, lsn pg.LSN) error {
	return t.head.wait(ctx, t.r.done, lsn)
}

// Awaited reports whether somebody waits in WaitLSN.
func (t *Timeline) Awaited() bool { return t.head.awaited() }

func (t *Timeline) dir() string { return filepath.Join(t.r.timelinesDir(), t.info.ID.String()) }

// WorkDir is the directory for the working tree of t's writable mount. MakeDirs makes it.
func (t *Timeline) WorkDir() string { return filepath.Join(t.dir(), "work") }

// takeTurn waits for the turn. ErrNotFound if t was deleted, ErrClosed if the repository is closed.
func (t *Timeline) takeTurn(ctx context.Context) error {
	select {
	case <-t.turn:
	case <-ctx.Done():
		return ctx.Err()
	case <-t.r.done:
		return ErrClosed
	}
	if t.isDeleted() {
		t.giveTurn()
		return errDeleted(t)
	}
	return nil
}

func (t *Timeline) giveTurn() { t.turn <- struct{}{} }

func (t *Timeline) isDeleted() bool {
	t.flushMu.Lock()
	defer t.flushMu.Unlock()
	return t.deleted
}

// watermark is an endpoint that only moves forward, and for which goroutines can wait.
type watermark struct {
	at      atomic.Pointer[endpoint]
	mu      sync.Mutex
	changed chan struct{} // closed, and set to nil, at the next change; nil if nobody waits
}

func (w *watermark) init(e endpoint) { w.at.Store(&e) }
func (w *watermark) get() endpoint   { return *w.at.Load() }

func (w *watermark) set(e endpoint) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at.Store(&e)
	if w.changed != nil {
		close(w.changed)
		w.changed = nil
	}
}

func (w *watermark) awaited() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.changed != nil
}

// wait waits until the watermark is at or beyond lsn. done ends it with ErrClosed.
func (w *watermark) wait(ctx context.Context, done <-chan struct{}, lsn pg.LSN) error {
	for {
		w.mu.Lock()
		if w.at.Load().lsn >= lsn {
			w.mu.Unlock()
			return nil
		}
		if w.changed == nil {
			w.changed = make(chan struct{})
		}
		changed := w.changed
		w.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-done:
			return ErrClosed
		}
	}
}
