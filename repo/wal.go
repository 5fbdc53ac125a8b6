package repo

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"sync"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// WAL reads the WAL of a timeline from segment files: its own from StartLSN up, its
// ancestors' below. It is an xlog.Source, safe for concurrent use.
type WAL struct {
	t *Timeline

	mu    sync.Mutex
	files map[pg.LSN]*walFile // by the segment's first LSN
	clock int64

	frames [walFrames]walFrame // of packed segments, the last that were read
	oldest int
}

type walFile struct {
	f      *os.File
	packed *packedWAL // nil: plain
	used   int64
}

// walFrame is a stretch of a packed segment.
type walFrame struct {
	seg   pg.LSN
	i     int
	bytes []byte // never changed; nil: none
}

// walFrames is how many frames are kept.
const walFrames = 16

// maxWALFiles is how many segments of a timeline are kept open.
const maxWALFiles = 8

func newWAL(t *Timeline) *WAL { return &WAL{t: t, files: make(map[pg.LSN]*walFile)} }

// ReadWAL reads raw WAL bytes from at. It may read fewer than asked for; io.EOF when
// there are none, ErrOutOfRange where they were forgotten.
func (w *WAL) ReadWAL(p []byte, at pg.LSN) (int, error) {
	for w.t.parent != nil && at < w.t.info.StartLSN {
		if n := w.t.info.StartLSN - at; pg.LSN(len(p)) > n {
			p = p[:n]
		}
		w = w.t.parent.wal
	}
	off := int64(at % pg.LSN(w.t.info.SegSize))
	if room := int64(w.t.info.SegSize) - off; int64(len(p)) > room {
		p = p[:room]
	}
	n, err := w.readSegment(p, at, off)
	if n > 0 {
		return n, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = io.EOF
		if at < w.t.OwnHorizon() && at >= w.t.info.StartLSN {
			err = w.t.errForgotten(at)
		}
	}
	return 0, err
}

// readSegment reads from the own segment that holds at.
func (w *WAL) readSegment(p []byte, at pg.LSN, off int64) (int, error) {
	for {
		f, err := w.open(at - pg.LSN(off))
		if err != nil {
			return 0, err
		}
		n, err := 0, error(nil)
		if f.packed != nil {
			n, err = w.readPacked(f, p, at-pg.LSN(off), int(off))
		} else {
			n, err = f.f.ReadAt(p, off)
		}
		if !errors.Is(err, os.ErrClosed) {
			return n, err
		}
		// Another reader closed it to make room.
	}
}

// open gives the segment that begins at seg.
func (w *WAL) open(seg pg.LSN) (*walFile, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock++
	if have := w.files[seg]; have != nil {
		// Below the head nobody puts another file in a segment's place.
		if seg+pg.LSN(w.t.info.SegSize) <= w.t.LastLSN() || have.isAt(w.t.SegmentPath(seg)) {
			have.used = w.clock
			return have, nil
		}
		have.f.Close() // read only: nothing can be lost
		delete(w.files, seg)
	}
	f, err := os.Open(w.t.SegmentPath(seg))
	if err != nil {
		return nil, err
	}
	packed, err := openPacked(f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if len(w.files) >= maxWALFiles {
		w.evict()
	}
	opened := &walFile{f: f, packed: packed, used: w.clock}
	w.files[seg] = opened
	return opened, nil
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
		if b, err = f.packed.read(f.f, i); err != nil {
			return 0, err
		}
		w.mu.Lock()
		w.frames[w.oldest] = walFrame{seg, i, b}
		w.oldest = (w.oldest + 1) % walFrames
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
	if f := w.files[seg]; f != nil {
		f.f.Close() // read only: nothing can be lost
		delete(w.files, seg)
	}
}

func (f *walFile) isAt(path string) bool {
	there, err := os.Stat(path)
	if err != nil {
		return false
	}
	mine, err := f.f.Stat()
	return err == nil && os.SameFile(mine, there)
}

func (w *WAL) evict() {
	oldest := int64(math.MaxInt64)
	var seg pg.LSN
	for s, f := range w.files {
		if f.used < oldest {
			oldest, seg = f.used, s
		}
	}
	w.files[seg].f.Close()
	delete(w.files, seg)
}

func (w *WAL) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for seg, f := range w.files {
		f.f.Close()
		delete(w.files, seg)
	}
}

// record reads the record of size bytes at start, page headers taken out, into buf if it
// is big enough.
func (w *WAL) record(buf []byte, start pg.LSN, size int) ([]byte, error) {
	if cap(buf) < size {
		buf = make([]byte, size)
	}
	buf = buf[:size]
	at, rest := start, buf
	for len(rest) > 0 {
		if at%xlog.PageSize == 0 {
			at = xlog.RecordStart(at, w.t.info.SegSize)
		}
		n := min(len(rest), int(xlog.PageSize-at%xlog.PageSize))
		if err := w.readFull(rest[:n], at); err != nil {
			return nil, err
		}
		at, rest = at+pg.LSN(n), rest[n:]
	}
	if err := xlog.CheckCRC(buf); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return buf, nil
}

func (w *WAL) readFull(p []byte, at pg.LSN) error {
	for len(p) > 0 {
		n, err := w.ReadWAL(p, at)
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("wal at %v is not there: %w", at, ErrCorrupt)
		}
		if err != nil {
			return err
		}
		p, at = p[n:], at+pg.LSN(n)
	}
	return nil
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
