package segment

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"sync"
	"sync/atomic"

	"zenith/internal/durable"
	"zenith/internal/pg"
)

// maxOpen is how many segments of a WAL's own are open at most. Mapped ones take address space and
// no file descriptors: see openFile.
const maxOpen = 64

// Timeline is what a WAL asks of its timeline.
type Timeline interface {
	// LastLSN is the timeline's head: the WAL below it is complete and never changes. It only
	// grows.
	LastLSN() pg.LSN
	// Forgotten gives the error for a read at lsn, where no segment is, if the segment may have been
	// removed since nobody needs it any more; else nil, and the read ends with io.EOF.
	Forgotten(lsn pg.LSN) error
	// Held reports whether a server has the timeline's own segment of that name in its pg_wal. Then
	// no other file may take the segment's place.
	Held(name string) bool
}

// WAL reads the WAL of a timeline: its own segments from its start on, its ancestors' below. It is
// an xlog.Source, safe for concurrent use.
type WAL struct {
	Dir
	timeline Timeline
	start    pg.LSN
	history  atomic.Pointer[pg.History] // of the timeline's own segments; changed under mu
	oldest   []*WAL                     // of the root timeline, ..., of the parent, and this one: by start

	mu    sync.Mutex
	files map[pg.LSN]*file // by the segment's first LSN
	clock int64

	frames [maxFrames]frame // a ring: the frames of packed segments that were decompressed last
	stale  int              // the oldest of frames

	packMu sync.Mutex // held while another file takes a segment's place
	packed pg.LSN     // guarded by packMu: Pack has looked at the segments below
}

// New makes the WAL of a timeline that begins at start, on history's timelines of PostgreSQL; parent, if not
// nil, is its ancestor's.
func New(d Dir, history pg.History, t Timeline, start pg.LSN, parent *WAL) *WAL {
	w := &WAL{Dir: d, timeline: t, start: start, files: make(map[pg.LSN]*file)}
	w.history.Store(&history)
	if parent != nil {
		w.oldest = parent.oldest
	}
	w.oldest = append(slices.Clip(w.oldest), w)
	return w
}

// SetStart says where the timeline begins, if that was not known at New. The caller must not read
// at the same time.
func (w *WAL) SetStart(start pg.LSN) { w.start = start }

// owner gives the WAL whose own segments have at: w or an ancestor's; and the LSN from which on a
// descendant's segments have the WAL.
func (w *WAL) owner(at pg.LSN) (o *WAL, end pg.LSN) {
	// If a branch begins where its parent does, the branch is the owner.
	i := sort.Search(len(w.oldest), func(i int) bool { return w.oldest[i].start > at })
	if end = math.MaxUint64; i < len(w.oldest) {
		end = w.oldest[i].start
	}
	return w.oldest[max(i-1, 0)], end
}

// VersionAt is the PostgreSQL that wrote the WAL at at: along a branch's ancestors it may be
// another one than the branch's own.
func (w *WAL) VersionAt(at pg.LSN) *pg.Version {
	o, _ := w.owner(at)
	return o.Version
}

// ReadWAL reads raw WAL bytes from at. It may read fewer than len(p), but at least one. It returns
// io.EOF if there is no WAL at at, and the error of Timeline.Forgotten if it was removed.
func (w *WAL) ReadWAL(p []byte, at pg.LSN) (int, error) {
	r := w.Reader()
	defer r.Close()
	return r.read(p, at)
}

// open gives the segment that begins at seg. The caller must call done when it has read from it.
func (w *WAL) open(seg pg.LSN) (*file, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock++
	f := w.files[seg]
	if f != nil && !f.final && !w.stillThere(f, seg) {
		w.drop(seg)
		f = nil
	}
	if f == nil {
		// Once the head is in a segment, another file takes its place only by way of forget. Until
		// the head is behind it, its file may still grow, so one that is too short to be mapped is
		// opened again when it is full.
		head := w.timeline.LastLSN()
		var err error
		if f, err = openFile(w.SegmentPath(seg), w.SegSize); err != nil {
			return nil, err
		}
		f.final = head >= seg+pg.LSN(w.SegSize) || head > seg && f.mapped()
		if len(w.files) >= maxOpen {
			w.evict()
		}
		w.files[seg] = f
	}
	f.used = w.clock
	f.readers++
	return f, nil
}

// stillThere reports whether f is the file of the segment that begins at seg.
func (w *WAL) stillThere(f *file, seg pg.LSN) bool {
	if w.timeline.LastLSN() >= seg+pg.LSN(w.SegSize) {
		return false // it is full now: opened again, it can be mapped
	}
	there, err := os.Stat(w.SegmentPath(seg))
	return err == nil && os.SameFile(f.info, there)
}

// done releases a file that open gave.
func (w *WAL) done(f *file) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if f.readers--; f.readers == 0 && f.dropped {
		f.from.Close() // read only: nothing can be lost
	}
}

// drop forgets that the segment that begins at seg is open, and closes it as soon as nobody reads
// it. The caller has mu.
func (w *WAL) drop(seg pg.LSN) {
	f := w.files[seg]
	if f == nil {
		return
	}
	delete(w.files, seg)
	if f.dropped = true; f.readers == 0 {
		f.from.Close() // read only: nothing can be lost
	}
}

// forget has the next reader of the segment that begins at seg open it anew: another file is in its
// place, or none.
func (w *WAL) forget(seg pg.LSN) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drop(seg)
}

// evict closes the segment that was used longest ago. The caller has mu.
func (w *WAL) evict() {
	oldest := int64(math.MaxInt64)
	var seg pg.LSN
	for s, f := range w.files {
		if f.used < oldest {
			oldest, seg = f.used, s
		}
	}
	w.drop(seg)
}

// Close closes all segments of w's own; one that is being read is closed by its last reader.
func (w *WAL) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for seg := range w.files {
		w.drop(seg)
	}
}

// Remove removes segments of the timeline's own, durably. One that is not there is no error.
func (w *WAL) Remove(list []Segment) error {
	for _, s := range list {
		if err := os.Remove(filepath.Join(w.Path, s.Name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		w.forget(s.Start)
	}
	return durable.SyncDir(w.Path)
}
