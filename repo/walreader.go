package repo

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// walReader reads WAL and holds on to the segment it read from last. It is for one
// goroutine, and not for long.
type walReader struct {
	top *WAL
	of  *WAL // top or an ancestor, whose WAL there is up to end; nil: not looked for
	end pg.LSN
	w   *WAL // whose seg is
	seg pg.LSN
	f   *walFile // nil: none
}

func (w *WAL) reader() walReader { return walReader{top: w} }

func (r *walReader) close() {
	if r.f != nil {
		r.w.done(r.f)
		r.f = nil
	}
}

// read is WAL.ReadWAL.
func (r *walReader) read(p []byte, at pg.LSN) (int, error) {
	if r.of == nil || at < r.of.t.info.StartLSN || at >= r.end {
		r.of, r.end = r.top.owner(at)
	}
	w := r.of
	if at < r.end && pg.LSN(len(p)) > r.end-at {
		p = p[:r.end-at]
	}
	off := int64(at % pg.LSN(w.t.info.SegSize))
	if room := int64(w.t.info.SegSize) - off; int64(len(p)) > room {
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
		if at < w.t.OwnHorizon() && at >= w.t.info.StartLSN {
			err = w.t.errForgotten(at)
		}
	}
	return 0, err
}

// open turns to a segment of w's own.
func (r *walReader) open(w *WAL, seg pg.LSN) (err error) {
	if r.f != nil && r.w == w && r.seg == seg {
		return nil
	}
	r.close()
	r.w, r.seg = w, seg
	r.f, err = w.open(seg)
	return err
}

func (r *walReader) readFull(p []byte, at pg.LSN) error {
	for len(p) > 0 {
		n, err := r.read(p, at)
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

// record appends the record of size bytes at start, page headers taken out. It is not checked.
func (r *walReader) record(dst []byte, start pg.LSN, size int) ([]byte, error) {
	from := len(dst)
	dst = append(dst, make([]byte, size)...)
	for at, rest := start, dst[from:]; len(rest) > 0; {
		if at%xlog.PageSize == 0 {
			at = xlog.RecordStart(at, r.top.t.info.SegSize)
		}
		n := min(len(rest), int(xlog.PageSize-at%xlog.PageSize))
		if err := r.readFull(rest[:n], at); err != nil {
			return dst[:from], fmt.Errorf("record at %v: %w", start, err)
		}
		at, rest = at+pg.LSN(n), rest[n:]
	}
	return dst, nil
}

// record reads the record of size bytes at start into buf, if that is big enough, and checks it.
func (w *WAL) record(buf []byte, start pg.LSN, size int) ([]byte, error) {
	r := w.reader()
	defer r.close()
	b, err := r.record(buf[:0], start, size)
	if err == nil {
		err = checkRecord(b)
	}
	return b, err
}

// checkRecord looks at a record's CRC-32C.
func checkRecord(b []byte) error {
	if err := xlog.CheckCRC(b); err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return nil
}

// records appends the records of links, one behind the other, unchecked: they lie all over the
// WAL, and copied in one go they are waited for together. n is how many were there before an
// error.
func (w *WAL) records(dst []byte, links []link) (_ []byte, n int, err error) {
	r := w.reader()
	defer r.close()
	for n = range links {
		if dst, err = r.record(dst, links[n].start, links[n].size); err != nil {
			return dst, n, err
		}
	}
	return dst, len(links), nil
}
