package segment

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// Reader reads a WAL and keeps the segment open that it read from last. It is for one goroutine,
// and for a short time: a segment that it has open takes space even when it is removed.
type Reader struct {
	top   *WAL
	owner *WAL   // top, or the ancestor that was read from last; nil at first
	end   pg.LSN // where the segments of the owner's descendant take over

	w   *WAL   // the owner of f
	seg pg.LSN // the first LSN of f
	f   *file  // the segment that is open; nil if none is
}

// Reader gives a Reader of w. Close it.
func (w *WAL) Reader() Reader { return Reader{top: w} }

// Close releases the segment that r has open. r may be used again.
func (r *Reader) Close() {
	if r.f != nil {
		r.w.done(r.f)
		r.f = nil
	}
}

// read is WAL.ReadWAL.
func (r *Reader) read(p []byte, at pg.LSN) (int, error) {
	if r.owner == nil || at < r.owner.start || at >= r.end {
		r.owner, r.end = r.top.owner(at)
	}
	w := r.owner
	if at < r.end && pg.LSN(len(p)) > r.end-at {
		p = p[:r.end-at]
	}
	off := int64(at % pg.LSN(w.SegSize))
	if room := int64(w.SegSize) - off; int64(len(p)) > room {
		p = p[:room]
	}
	n, err := 0, r.open(w, at-pg.LSN(off))
	if err == nil {
		n, err = r.f.read(w, r.seg, p, off)
	}
	if n > 0 {
		return n, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = io.EOF
		if forgotten := w.timeline.Forgotten(at); forgotten != nil {
			err = forgotten
		}
	}
	return 0, err
}

// open makes r.f the segment of w that begins at seg.
func (r *Reader) open(w *WAL, seg pg.LSN) (err error) {
	if r.f != nil && r.w == w && r.seg == seg {
		return nil
	}
	r.Close()
	r.w, r.seg = w, seg
	r.f, err = w.open(seg)
	return err
}

// readFull fills p with the WAL at at.
func (r *Reader) readFull(p []byte, at pg.LSN) error {
	for len(p) > 0 {
		n, err := r.read(p, at)
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("wal at %v is not there: %w", at, pg.ErrCorrupt)
		}
		if err != nil {
			return err
		}
		p, at = p[n:], at+pg.LSN(n)
	}
	return nil
}

// Record reads the record of size bytes at start, without the page headers in between, into buf or
// a larger buffer. It does not check the record.
func (w *WAL) Record(buf []byte, start pg.LSN, size int) ([]byte, error) {
	r := w.Reader()
	defer r.Close()
	return r.AppendRecord(buf[:0], start, size)
}

// AppendRecord appends the record of size bytes at start to dst, without the page headers in
// between. It does not check the record.
func (r *Reader) AppendRecord(dst []byte, start pg.LSN, size int) ([]byte, error) {
	from := len(dst)
	dst = append(dst, make([]byte, size)...)
	for at, rest := start, dst[from:]; len(rest) > 0; {
		if at%xlog.PageSize == 0 {
			at = xlog.RecordStart(at, r.top.SegSize)
		}
		n := min(len(rest), int(xlog.PageSize-at%xlog.PageSize))
		if err := r.readFull(rest[:n], at); err != nil {
			return dst[:from], fmt.Errorf("record at %v: %w", start, err)
		}
		at, rest = at+pg.LSN(n), rest[n:]
	}
	return dst, nil
}
