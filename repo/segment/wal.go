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

	"zenith/internal/durable"
	"zenith/internal/pg"
)

// maxOpen is how many segments of a Dir are kept open. They take address space rather than file
// descriptors: see openFile.
const maxOpen = 64

// Timeline is what a WAL has to know of its timeline.
type Timeline interface {
	// LastLSN is the end of the last record that has been read and is durable. It only grows.
	LastLSN() pg.LSN
	// Forgotten gives the error for a read at lsn, an LSN of the timeline's own, if the segment may
	// have been removed because nobody needs it; else nil.
	Forgotten(lsn pg.LSN) error
	// Held reports whether a server has the timeline's own segment of that name in its pg_wal: it
	// must stay the file that it is.
	Held(name string) bool
}

// WAL reads the WAL of a timeline: its own segments from its start on, its ancestors' below. It is
// an xlog.Source, safe for concurrent use.
type WAL struct {
	Dir
	timeline Timeline
	start    pg.LSN
	oldest   []*WAL // of the root, ..., of the parent, and this one: by start

	mu    sync.Mutex
	files map[pg.LSN]*file // by the segment's first LSN
	clock int64

	frames [maxFrames]frame // of packed segments, the last that were read
	stale  int              // of frames, the one that was read first

	packMu sync.Mutex // held while another file takes a segment's place
	packed pg.LSN     // guarded by packMu: segments below are packed, or not to be
}

// New makes the WAL of a timeline that begins at start; parent, if not nil, is its ancestor's.
func New(d Dir, t Timeline, start pg.LSN, parent *WAL) *WAL {
	w := &WAL{Dir: d, timeline: t, start: start, files: make(map[pg.LSN]*file)}
	if parent != nil {
		w.oldest = parent.oldest
	}
	w.oldest = append(slices.Clip(w.oldest), w)
	return w
}

// SetStart sets where a timeline begins that was made by New without knowing. It must come before
// any reader.
func (w *WAL) SetStart(start pg.LSN) { w.start = start }

// owner gives the WAL whose segments have at, and where those of the next one begin.
func (w *WAL) owner(at pg.LSN) (o *WAL, end pg.LSN) {
	// Of two that begin at the same LSN the younger one is it.
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

// ReadWAL reads raw WAL bytes from at. It may read fewer than asked for; io.EOF when
// there are none, and the timeline's own error where they were forgotten.
func (w *WAL) ReadWAL(p []byte, at pg.LSN) (int, error) {
	r := w.Reader()
	defer r.Close()
	return r.read(p, at)
}

// open gives the segment that begins at seg; the caller says when it is done with it.
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
		// Once the head is in a segment, only what forget is told of takes its place. Its size may
		// still grow while it is the head's, so it is looked at again when it is full.
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
		return false // it is full now, and can be mapped
	}
	there, err := os.Stat(w.SegmentPath(seg))
	return err == nil && os.SameFile(f.info, there)
}

// done says that the caller of open has read what it wanted.
func (w *WAL) done(f *file) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if f.readers--; f.readers == 0 && f.dropped {
		f.from.Close() // read only: nothing can be lost
	}
}

// drop closes the segment that begins at seg, if it is open, when nobody reads it any
// more. The caller has mu.
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

// forget closes the segment that begins at seg: another file is in its place, or none.
func (w *WAL) forget(seg pg.LSN) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drop(seg)
}

// evict closes the segment that was opened or read longest ago. The caller has mu.
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

// Close closes all segments. A read that is under way ends as if nothing had happened.
func (w *WAL) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for seg := range w.files {
		w.drop(seg)
	}
}

// Remove removes segments of the timeline's own, durably. One that is gone already is no error.
func (w *WAL) Remove(list []Segment) error {
	for _, s := range list {
		if err := os.Remove(filepath.Join(w.Path, s.Name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		w.forget(s.Start)
	}
	return durable.SyncDir(w.Path)
}
