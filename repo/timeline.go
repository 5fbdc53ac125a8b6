package repo

import (
	"context"
	"path/filepath"
	"sync"
	"sync/atomic"

	"zenith/internal/pg"
	"zenith/repo/segment"
)

// Timeline is one line of WAL with the history of its pages. All methods are safe for
// concurrent use; there is one Writer at a time.
type Timeline struct {
	r      *Repository
	no     timelineNo
	info   Info // but for the name, which may change
	name   atomic.Pointer[string]
	parent *Timeline
	first  pg.LSN // the root ancestor's start, before which there never was anything
	wal    *segment.WAL
	head   watermark

	// turn holds one token: whoever takes it may change the open window, seal it, or
	// write past it.
	turn chan struct{}
	// writer is reused by whoever has the turn.
	writer *Writer

	view atomic.Pointer[view] // changed under mu
	mu   sync.Mutex
	// heads knows sizes at the head, merged but perhaps not published: see sizes.go.
	heads *headSizes

	tails    tails
	flushMu  sync.Mutex
	row      flushedRow // as stored
	flushErr error      // of the last try, nil if it worked
	deleted  bool

	horizon atomic.Uint64             // an LSN; 0 if nothing was forgotten. Changed under the repository's pinMu
	pinned  pinned                    // guarded by pinMu
	heldWAL func(segment string) bool // guarded by pinMu: see HoldWAL
}

// view is where the parts of a timeline's history are: above flushed.lsn in windows, the
// newest (open) one first; up to it in the store.
type view struct {
	windows []*window
	flushed endpoint
}

func (v *view) open() *window { return v.windows[0] }

// Info is what never changes about a timeline, but for its name.
type Info struct {
	ID       TimelineID
	Name     string
	Parent   TimelineID  // zero if it has no ancestor
	StartLSN pg.LSN      // the first LSN that can be read; for a branch: the branch point
	Version  *pg.Version // the PostgreSQL whose WAL and data it is, from StartLSN on
	TLI      pg.TLI      // PostgreSQL's timeline, of its WAL's page headers
	SegSize  int         // of its WAL segments
	SysID    uint64      // the cluster's system identifier
}

func newTimeline(r *Repository, no timelineNo, info Info, parent *Timeline, row flushedRow) *Timeline {
	t := &Timeline{r: r, no: no, info: info, parent: parent, first: info.StartLSN, row: row, turn: make(chan struct{}, 1)}
	t.name.Store(&info.Name)
	if parent != nil {
		t.first = parent.first
	}
	at := endpoint{row.LSN, row.Prev}
	t.head.init(at)
	t.view.Store(&view{windows: []*window{newWindow(at)}, flushed: at})
	t.heads = newHeadSizes()
	var above *segment.WAL
	if parent != nil {
		above = parent.wal
	}
	t.wal = segment.New(segment.Dir{Path: t.WALDir(), Config: t.WALConfig()}, walTimeline{t}, info.StartLSN, above)
	t.turn <- struct{}{}
	return t
}

// ID is the timeline's id.
func (t *Timeline) ID() TimelineID { return t.info.ID }

// Name is the branch name.
func (t *Timeline) Name() string { return *t.name.Load() }

// Info gives what never changes about t, and its name.
func (t *Timeline) Info() Info {
	info := t.info
	info.Name = t.Name()
	return info
}

// Ancestor gives the timeline that t was branched from and the LSN, or nil.
func (t *Timeline) Ancestor() (*Timeline, pg.LSN) {
	if t.parent == nil {
		return nil, 0
	}
	return t.parent, t.info.StartLSN
}

// Version is the PostgreSQL whose WAL and data t is, from StartLSN on.
func (t *Timeline) Version() *pg.Version { return t.info.Version }

// StartLSN is the first LSN that can be read on t itself. A branch reads older
// LSNs of its ancestors too: see FirstLSN.
func (t *Timeline) StartLSN() pg.LSN { return t.info.StartLSN }

// LastLSN is the published head: the end of the last record whose effects can be read.
func (t *Timeline) LastLSN() pg.LSN { return t.head.get().lsn }

// Head gives LastLSN and the start of the record that ends there, as one pair.
func (t *Timeline) Head() (last, prev pg.LSN) {
	e := t.head.get()
	return e.lsn, e.prev
}

// WaitLSN waits until LastLSN is at or beyond lsn.
func (t *Timeline) WaitLSN(ctx context.Context, lsn pg.LSN) error {
	return t.head.wait(ctx, t.r.done, lsn)
}

// Awaited reports whether somebody waits in WaitLSN.
func (t *Timeline) Awaited() bool { return t.head.awaited() }

func (t *Timeline) dir() string { return filepath.Join(t.r.timelinesDir(), t.info.ID.String()) }

// WorkDir is the directory for the working tree of t's writable mount. It is there.
func (t *Timeline) WorkDir() string { return filepath.Join(t.dir(), "work") }

// takeTurn waits for the right to change the timeline.
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

// watermark is an endpoint that moves forward and can be waited for.
type watermark struct {
	at      atomic.Pointer[endpoint]
	mu      sync.Mutex
	changed chan struct{} // closed and forgotten at the next change; nil if nobody waits
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
