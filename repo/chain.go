package repo

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"zenith/internal/pg"
	"zenith/internal/xlog"
	"zenith/repo/segment"
	"zenith/repo/store"
)

// chain is what a page is rebuilt from: a base and the records after it.
type chain struct {
	tag    pg.BufferTag
	links  []link  // newest first
	base   pg.Page // nil: zeros, or packed
	packed []byte  // the base as a stored image; nil: base
	noRedo bool    // a chunk was marked with chunkNoRedo
	cached bool    // the cache had versions of the page

	// The newest version, which names the page in the cache.
	topNo  timelineNo
	topLSN pg.LSN

	// The first chunk met says how many links precede it; the older ones must have them.
	stored bool
	want   int // -1 if unknown
	older  int

	chunks  chunkDecoder // backs packed
	scratch []link       // one chunk's, oldest first
	image   pg.Page      // backs base
	rec     xlog.Record
	buf     []byte // a record's bytes
}

var chains = sync.Pool{New: func() any { return new(chain) }}

func newChain(tag pg.BufferTag) *chain {
	c := chains.Get().(*chain)
	c.tag, c.links, c.base, c.packed, c.noRedo = tag, c.links[:0], nil, nil, false
	c.topNo, c.topLSN, c.stored, c.older, c.want = 0, 0, false, 0, -1
	c.chunks.vals, c.scratch = c.chunks.vals[:0], c.scratch[:0]
	return c
}

// free gives c back, unless it grew too big to keep.
func (c *chain) free() {
	if cap(c.chunks.vals) > 1<<20 || cap(c.buf) > 1<<20 || cap(c.links) > 1<<14 {
		return
	}
	clear(c.links[:cap(c.links)]) // they point into windows
	clear(c.scratch[:cap(c.scratch)])
	chains.Put(c)
}

// pageReader says where to look for a page's chain.
type pageReader struct {
	r         *Repository
	epoch     uint64 // of the repository when c was opened
	cache     *pageCache
	l         []sight
	c         *cursor      // opened when needed; over the page, or more
	wide      []byte       // prefix of a cursor for more than one page; nil: the page
	checkKept func() error // nil: what is read is sure to be kept
}

func (r *pageReader) cursor(tag pg.BufferTag) *cursor {
	var key [pageKeySize]byte
	object := appendPage(key[:0], tag)
	if r.c == nil {
		prefix := r.wide
		if prefix == nil {
			prefix = object
		}
		r.epoch = r.r.epoch.Load()
		r.c = newCursor(r.r.store, prefix)
	}
	r.c.reset(object)
	return r.c
}

func (r *pageReader) close(err *error) {
	if r.c != nil {
		r.c.close(err)
	}
}

// renew drops a cursor that may have seen chains before they were cut. The caller holds
// reading.
func (r *pageReader) renew() (err error) {
	if r.c != nil && r.epoch != r.r.epoch.Load() {
		r.close(&err)
		r.c = nil
	}
	return err
}

// collect fills ch with the chain of its page; versions at or below cut are dead.
func (r *pageReader) collect(ch *chain, cut pg.LSN) error {
	var cur *cursor
	ch.cached = r.cache != nil && r.cache.knows(ch.tag)
	for i := range r.l {
		m := &r.l[i]
		if m.cap <= cut {
			return nil
		}
		for _, w := range m.windows {
			if ch.takeWindow(r.cache, w, m, cut) {
				return ch.complete()
			}
		}
		if cur == nil {
			cur = r.cursor(ch.tag)
		}
		for at, ok := cur.find(m.no, m.limit); ok; at, ok = cur.next(m.no) {
			done, err := ch.takeStored(r.cache, cur.it, m.no, at, m.limit, cut)
			if done || err != nil {
				return err
			}
		}
	}
	return ch.complete()
}

// windowLinks is how many links are taken from a window at a time.
const windowLinks = 256

// takeWindow adds w's links, and reports whether the chain's base was reached.
func (c *chain) takeWindow(cache *pageCache, w *window, m *sight, cut pg.LSN) bool {
	for limit := m.cap; ; {
		c.scratch = w.page(c.scratch[:0], c.tag, limit, windowLinks)
		if c.take(cache, m.no, limit, cut) {
			return true
		}
		if len(c.scratch) < windowLinks {
			return false
		}
		limit = c.scratch[0].end - 1
	}
}

// take adds scratch's links up to limit, newest first, and reports whether the chain's
// base was reached.
func (c *chain) take(cache *pageCache, no timelineNo, limit, cut pg.LSN) bool {
	for i := len(c.scratch) - 1; i >= 0; i-- {
		l := &c.scratch[i]
		if l.end > limit {
			continue
		}
		if l.end <= cut {
			c.want = -1 // the rest is dead
			return true
		}
		if c.topped(cache, no, l.end) {
			return true
		}
		if l.flags&linkImage != 0 {
			c.takeImage(l)
			return true
		}
		c.links = append(c.links, *l)
		if c.want >= 0 {
			c.older++
		}
		if l.flags&linkRestore != 0 {
			return true
		}
	}
	return false
}

// takeImage makes a link's page the chain's base.
func (c *chain) takeImage(l *link) {
	if !l.stored {
		c.base = pg.Page(l.raw)
		return
	}
	c.packed = l.raw
	if c.older += l.depth; l.depth < 0 {
		c.want = -1
	}
}

// topped notes a version, and takes the page as it was then from the cache if it is there.
func (c *chain) topped(cache *pageCache, no timelineNo, at pg.LSN) bool {
	if c.topLSN == 0 {
		c.topNo, c.topLSN = no, at
	}
	if !c.cached || !cache.get(c.tag, no, at, c.room()) {
		return false
	}
	c.base, c.want = c.image, -1 // the rest was not looked at
	return true
}

// room gives the page that backs base.
func (c *chain) room() pg.Page {
	if c.image == nil {
		c.image = make(pg.Page, pg.BlockSize)
	}
	return c.image
}

// takeStored adds the version that it is on.
func (c *chain) takeStored(cache *pageCache, it store.Iterator, no timelineNo, at, limit, cut pg.LSN) (done bool, err error) {
	if at <= cut {
		c.want = -1
		return true, nil
	}
	body, err := unstamped(it)
	if err != nil {
		return false, fmt.Errorf("version of %v at %v: %w", c.tag, at, err)
	}
	if isImage(body) {
		if c.topped(cache, no, at) {
			return true, nil
		}
		c.base = c.room()
		if err := decodeImage(body, c.base); err != nil {
			return false, fmt.Errorf("version of %v at %v: %w", c.tag, at, err)
		}
		return true, c.complete()
	}
	return c.takeChunk(cache, body, no, at, limit, cut)
}

func (c *chain) takeChunk(cache *pageCache, body []byte, no timelineNo, at, limit, cut pg.LSN) (done bool, err error) {
	h, err := decodeChunkHeader(body)
	if err == nil {
		c.scratch, err = c.chunks.links(c.scratch[:0], &h, at)
	}
	if err != nil {
		return false, fmt.Errorf("versions of %v at %v: %w", c.tag, at, err)
	}
	c.noRedo = c.noRedo || h.flags&chunkNoRedo != 0
	first := !c.stored
	c.stored = true
	if c.take(cache, no, limit, cut) {
		return true, c.complete()
	}
	if first {
		c.want = h.before
	}
	return false, nil
}

// complete checks that the chain is whole, where its base was reached.
func (c *chain) complete() error {
	if c.want >= 0 && c.older != c.want {
		return fmt.Errorf("versions of %v: %d older records of %d: %w", c.tag, c.older, c.want, ErrCorrupt)
	}
	return nil
}

// build brings dst to the newest version.
func (c *chain) build(redo RedoFunc, wal *segment.WAL, dst pg.Page) error {
	dst = dst[:pg.BlockSize]
	switch {
	case c.base != nil:
		copy(dst, c.base)
	case c.packed != nil:
		if err := decodeImage(c.packed, dst); err != nil {
			return fmt.Errorf("rebuild %v: %w", c.tag, err)
		}
	default:
		clear(dst)
	}
	slices.Reverse(c.links)
	return c.apply(redo, wal, c.links, dst)
}

// applyTogether is how many records are copied from the WAL before they are applied.
const applyTogether = 64

// apply applies records, oldest first.
func (c *chain) apply(redo RedoFunc, wal *segment.WAL, links []link, page pg.Page) error {
	for len(links) > 0 {
		some := links[:min(len(links), applyTogether)]
		var n int
		var lost error
		c.buf, n, lost = readRecords(wal, c.buf[:0], some)
		rest := c.buf
		for i := range some[:n] {
			l := &some[i]
			if err := c.redo(redo, wal.VersionAt(l.start), l, rest[:l.size:l.size], page); err != nil {
				return err
			}
			rest = rest[l.size:]
		}
		if errors.Is(lost, ErrOutOfRange) {
			// A copy of a page has the record that redo refused: see Refused.
			lost = fmt.Errorf("%w: %w", ErrUnsupported, lost)
		}
		if lost != nil {
			return fmt.Errorf("rebuild %v: %w", c.tag, lost)
		}
		links = links[n:]
	}
	return nil
}

// redo applies one record, which a PostgreSQL v wrote.
func (c *chain) redo(redo RedoFunc, v *pg.Version, l *link, raw []byte, page pg.Page) error {
	err := checkRecord(raw)
	if err == nil {
		if err = xlog.Decode(v, raw, l.start, l.end, &c.rec); err != nil {
			err = fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
	}
	if err != nil {
		return fmt.Errorf("rebuild %v: record at %v: %w", c.tag, l.start, err)
	}
	err = redo(page, c.tag, &c.rec)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrCorrupt):
		return fmt.Errorf("rebuild %v at %v: %w", c.tag, l.end, err)
	}
	return fmt.Errorf("rebuild %v at %v: %w: %w", c.tag, l.end, ErrUnsupported, err)
}

// readRecords appends the records of links to dst, one behind the other, unchecked: they lie all
// over the WAL, and copied in one go they are waited for together. n is how many were there before
// an error.
func readRecords(wal *segment.WAL, dst []byte, links []link) (_ []byte, n int, err error) {
	r := wal.Reader()
	defer r.Close()
	for n = range links {
		if dst, err = r.AppendRecord(dst, links[n].start, links[n].size); err != nil {
			return dst, n, err
		}
	}
	return dst, len(links), nil
}

// checkRecord looks at a record's CRC-32C.
func checkRecord(b []byte) error {
	if err := xlog.CheckCRC(b); err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return nil
}
