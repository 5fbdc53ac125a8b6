package xlog

import "zenith/internal/pg"

// How much is read at a time. A reader begins with little, since at the end of WAL it reads the same place
// again and again; each read from there on is twice as long.
const (
	minChunk = 2 * PageSize
	maxChunk = 16 * PageSize
)

// window is a piece of WAL in memory.
type window struct {
	src   Source
	buf   []byte
	at    pg.LSN // page aligned
	n     int    // bytes of buf that are filled
	chunk int    // how much to read next
}

// drop forgets what was read, since it may have been rewritten.
func (w *window) drop() {
	w.n, w.chunk = 0, minChunk
}

// has reports whether need bytes from at on are there.
func (w *window) has(at pg.LSN, need int) bool {
	return at >= w.at && at+pg.LSN(need) <= w.at+pg.LSN(w.n)
}

// page gives the bytes of the page at, need of them at least and as many as are there.
// Fewer are errShortWAL. They are valid until the next call. The source's error behind these bytes is
// none of the page: what is read ahead may lie in WAL that was removed, which no record asked for needs.
func (w *window) page(at pg.LSN, need int) ([]byte, error) {
	if !w.has(at, need) {
		err := w.fill(at)
		if err != nil && w.n < need {
			return nil, err
		}
		if w.n < need {
			return nil, errShortWAL
		}
	}
	off := int(at - w.at)
	return w.buf[off:min(off+PageSize, w.n)], nil
}

// fill reads a chunk from at on. With an error, the n bytes before it are there.
func (w *window) fill(at pg.LSN) error {
	if w.chunk == 0 {
		w.chunk = minChunk
	}
	if w.buf == nil {
		w.buf = make([]byte, maxChunk)
	}
	w.at, w.n = at, 0
	n, err := readMost(w.src, w.buf[:w.chunk], at)
	w.n = n
	w.chunk = min(2*w.chunk, maxChunk)
	return err
}
