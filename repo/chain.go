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
	base   pg.Page // nil: the base is packed, or zeros
	packed []byte  // the base as the value of an image; nil: the base is in base, or zeros
	noRedo bool    // a chunk has the flag chunkNoRedo
	cached bool    // the cache has some version of the page
	hit    bool    // the cache had the version that is the base

	// The newest version: the key of the page in the cache.
	topNo  timelineNo
	topLSN pg.LSN

	// The newest chunk says how many records of the chain precede it. complete checks that the older
	// versions had as many.
	stored bool // a chunk was met
	want   int  // what it says; -1 if it does not know
	older  int  // how many the older versions had

	chunks  chunkDecoder // owns the bytes of packed
	scratch []link       // the links of one chunk or window, oldest first
	image   pg.Page      // owns the bytes of base
	rec     xlog.Record
	buf     []byte // the bytes of the records that are applied next
}

var chains = sync.Pool{New: func() any { return new(chain) }}

// newChain gives an empty chain of a page. The caller calls free when it is done with it.
func newChain(tag pg.BufferTag) *chain {
	c := chains.Get().(*chain)
	c.tag, c.links, c.base, c.packed, c.noRedo = tag, c.links[:0], nil, nil, false
	c.hit = false
	c.topNo, c.topLSN, c.stored, c.older, c.want = 0, 0, false, 0, -1
	c.chunks.vals, c.scratch = c.chunks.vals[:0], c.scratch[:0]
	return c
}

// free puts c back into the pool, unless its buffers grew too large to keep.
func (c *chain) free() {
	if cap(c.chunks.vals) > 1<<20 || cap(c.buf) > 1<<20 || cap(c.links) > 1<<14 {
		return
	}
	clear(c.links[:cap(c.links)]) // they point to images of windows, which would be kept in memory
	clear(c.scratch[:cap(c.scratch)])
	chains.Put(c)
}

// pageReader finds the chains of pages as they are at one point. It is for one goroutine.
type pageReader struct {
	r         *Repository
	epoch     uint64     // the repository's when c was opened
	cache     *pageCache // nil: pages are rebuilt from what is stored
	l         []sight
	c         *cursor      // nil until it is needed
	wide      []byte       // the prefix of the keys of all pages that will be read; nil: only one will be
	checkKept func() error // reports an error if the point was forgotten meanwhile; nil: it cannot be
}

// cursor gives a cursor on the versions of tag.
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

// close closes the cursor. Its error, if any, becomes *err if there is none yet.
func (r *pageReader) close(err *error) {
	if r.c != nil {
		r.c.close(err)
	}
}

// renew drops a cursor from before the last collection's batch of deletions: its iterator might show
// part of what was deleted. The caller holds Repository.reading.
func (r *pageReader) renew() (err error) {
	if r.c != nil && r.epoch != r.r.epoch.Load() {
		r.close(&err)
		r.c = nil
	}
	return err
}

// fill fills ch with the chain of its page. Versions at or below cut are dead. The newest are
// looked for first: in the windows of the youngest member, then in the store, then in those of its
// ancestors, until a base is reached.
func (r *pageReader) fill(ch *chain, cut pg.LSN) error {
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

// windowLinks is how many links are taken from a window under one hold of its lock.
const windowLinks = 256

// takeWindow adds the links that w has up to m's cap, and reports whether the base was reached.
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

// take adds the links of scratch that are not above limit, newest first, and reports whether the
// base was reached. no is the timeline whose links they are.
func (c *chain) take(cache *pageCache, no timelineNo, limit, cut pg.LSN) bool {
	for i := len(c.scratch) - 1; i >= 0; i-- {
		l := &c.scratch[i]
		if l.end > limit {
			continue
		}
		if l.end <= cut {
			c.want = -1 // the older records are dead, and are not counted
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

// takeImage makes the page of an image link the base.
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

// topped is called with each version that is met. It notes the newest one. If the cache has the page
// as of the version, that is the base, and topped reports true.
func (c *chain) topped(cache *pageCache, no timelineNo, at pg.LSN) bool {
	if c.topLSN == 0 {
		c.topNo, c.topLSN = no, at
	}
	if !c.cached || !cache.get(c.tag, no, at, c.room()) {
		return false
	}
	c.hit = true
	c.base, c.want = c.image, -1 // the older records are not read, and cannot be counted
	return true
}

// room gives c.image, to be filled.
func (c *chain) room() pg.Page {
	if c.image == nil {
		c.image = make(pg.Page, pg.BlockSize)
	}
	return c.image
}

// takeStored adds the version of timeline no at LSN at, whose value it is on, and reports whether the
// base was reached. Links above limit do not count.
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

// takeChunk is takeStored for a chunk, of which body is the value.
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

// complete reports an error if a part of the chain is missing. It is called when the base was
// reached.
func (c *chain) complete() error {
	if c.want >= 0 && c.older != c.want {
		return fmt.Errorf("versions of %v: %d older records of %d: %w", c.tag, c.older, c.want, ErrCorrupt)
	}
	return nil
}

// build makes dst the page at the chain's newest version.
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

// applyTogether is how many records are copied from the WAL before the first of them is applied.
const applyTogether = 64

// apply applies the records of links, oldest first, to page.
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
			// The record is one that Bulk.Refused stored for the copy of a page: redo would refuse it.
			// It is an old record of another page, whose WAL may be forgotten by now.
			lost = fmt.Errorf("%w: %w", ErrUnsupported, lost)
		}
		if lost != nil {
			return fmt.Errorf("rebuild %v: %w", c.tag, lost)
		}
		links = links[n:]
	}
	return nil
}

// redo applies one record, raw, which a PostgreSQL v wrote.
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

// readRecords appends the records of links to dst, one behind the other, and does not check them.
// They lie all over the WAL, in memory that may have to be fetched: copied by one loop, the fetches
// overlap. n is how many were read before an error.
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

// checkRecord checks the CRC-32C of a record.
func checkRecord(b []byte) error {
	if err := xlog.CheckCRC(b); err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return nil
}
