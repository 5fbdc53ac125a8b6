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
}

type walFile struct {
	f    *os.File
	used int64
}

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
		n, err := f.ReadAt(p, off)
		if !errors.Is(err, os.ErrClosed) {
			return n, err
		}
		// Another reader closed it to make room.
	}
}

// open gives the segment that begins at seg.
func (w *WAL) open(seg pg.LSN) (*os.File, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock++
	if have := w.files[seg]; have != nil {
		// Below the head nobody puts another file in a segment's place.
		if seg+pg.LSN(w.t.info.SegSize) <= w.t.LastLSN() || have.isAt(w.t.SegmentPath(seg)) {
			have.used = w.clock
			return have.f, nil
		}
		have.f.Close() // read only: nothing can be lost
		delete(w.files, seg)
	}
	f, err := os.Open(w.t.SegmentPath(seg))
	if err != nil {
		return nil, err
	}
	if len(w.files) >= maxWALFiles {
		w.evict()
	}
	w.files[seg] = &walFile{f, w.clock}
	return f, nil
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

// forget closes the segment that begins at seg.
func (w *WAL) forget(seg pg.LSN) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if f := w.files[seg]; f != nil {
		f.f.Close() // read only: nothing can be lost
		delete(w.files, seg)
	}
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
