package repo

import (
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"sync"

	"zenith/internal/pg"
)

// WAL reads the WAL of a timeline from segment files: its own from StartLSN up, its
// ancestors' below. It is an xlog.Source, safe for concurrent use.
type WAL struct {
	t      *Timeline
	oldest []*WAL // of the root, ..., of the parent, and this one: by StartLSN

	mu    sync.Mutex
	files map[pg.LSN]*walFile // by the segment's first LSN
	clock int64

	frames [walFrames]walFrame // of packed segments, the last that were read
	stale  int                 // of frames, the one that was read first
}

// walFrame is a stretch of a packed segment.
type walFrame struct {
	seg   pg.LSN
	i     int
	bytes []byte // never changed; nil: none
}

// walFrames is how many frames are kept.
const walFrames = 64

// maxWALFiles is how many segments of a timeline are kept open. They take address space
// rather than file descriptors: see openSegment.
const maxWALFiles = 64

func newWAL(t *Timeline) *WAL {
	w := &WAL{t: t, files: make(map[pg.LSN]*walFile)}
	if t.parent != nil {
		w.oldest = t.parent.wal.oldest
	}
	w.oldest = append(slices.Clip(w.oldest), w)
	return w
}

// owner gives whose segments have at, and where those of the next one begin.
func (w *WAL) owner(at pg.LSN) (o *WAL, end pg.LSN) {
	// Of two that begin at the same LSN the younger one is it.
	i := sort.Search(len(w.oldest), func(i int) bool { return w.oldest[i].t.info.StartLSN > at })
	if end = maxLSN; i < len(w.oldest) {
		end = w.oldest[i].t.info.StartLSN
	}
	return w.oldest[max(i-1, 0)], end
}

// version is the PostgreSQL that wrote the WAL at at: along a branch's ancestors it may be
// another one than the branch's own.
func (w *WAL) version(at pg.LSN) *pg.Version {
	o, _ := w.owner(at)
	return o.t.Version()
}

// ReadWAL reads raw WAL bytes from at. It may read fewer than asked for; io.EOF when
// there are none, ErrOutOfRange where they were forgotten.
func (w *WAL) ReadWAL(p []byte, at pg.LSN) (int, error) {
	r := w.reader()
	defer r.close()
	return r.read(p, at)
}

// open gives the segment that begins at seg; the caller says when it is done with it.
func (w *WAL) open(seg pg.LSN) (*walFile, error) {
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
		head := w.t.LastLSN()
		var err error
		if f, err = openSegment(w.t.SegmentPath(seg), w.t.info.SegSize); err != nil {
			return nil, err
		}
		f.final = head >= seg+pg.LSN(w.t.info.SegSize) || head > seg && f.mapped()
		if len(w.files) >= maxWALFiles {
			w.evict()
		}
		w.files[seg] = f
	}
	f.used = w.clock
	f.readers++
	return f, nil
}

// stillThere reports whether f is the file of the segment that begins at seg.
func (w *WAL) stillThere(f *walFile, seg pg.LSN) bool {
	if w.t.LastLSN() >= seg+pg.LSN(w.t.info.SegSize) {
		return false // it is full now, and can be mapped
	}
	there, err := os.Stat(w.t.SegmentPath(seg))
	return err == nil && os.SameFile(f.info, there)
}

// done says that the caller of open has read what it wanted.
func (w *WAL) done(f *walFile) {
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

// read reads from off on; f is the segment of w that begins at seg.
func (f *walFile) read(w *WAL, seg pg.LSN, p []byte, off int64) (int, error) {
	if f.packed == nil {
		return f.from.ReadAt(p, off)
	}
	return w.readPacked(f, p, seg, int(off))
}

// readPacked reads from the frame of f, the segment that begins at seg, that has off.
func (w *WAL) readPacked(f *walFile, p []byte, seg pg.LSN, off int) (int, error) {
	if off >= f.packed.size {
		return 0, io.EOF
	}
	i := off / f.packed.frame
	b := w.frame(seg, i)
	if b == nil {
		var err error
		if b, err = f.packed.read(f.from, i); err != nil {
			return 0, fmt.Errorf("%s: %w", w.t.SegmentPath(seg), err)
		}
		w.mu.Lock()
		w.frames[w.stale] = walFrame{seg, i, b}
		w.stale = (w.stale + 1) % walFrames
		w.mu.Unlock()
	}
	return copy(p, b[off-i*f.packed.frame:]), nil
}

func (w *WAL) frame(seg pg.LSN, i int) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	for k := range w.frames {
		if f := &w.frames[k]; f.i == i && f.seg == seg {
			return f.bytes
		}
	}
	return nil
}

// forget closes the segment that begins at seg: another file is in its place.
func (w *WAL) forget(seg pg.LSN) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drop(seg)
}

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

func (w *WAL) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for seg := range w.files {
		w.drop(seg)
	}
}

// SyncDir makes the names in dir durable.
func SyncDir(dir string) error {
	d, err := os.Open(filepath.Clean(dir))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
