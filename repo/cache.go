package repo

import (
	"hash/maphash"
	"sync"
	"sync/atomic"

	"zenith/internal/pg"
)

// pageCache keeps pages that took redo to rebuild, by their tag and newest version. To rebuild such
// a page at a higher LSN takes only the records since.
type pageCache struct {
	seed   maphash.Seed
	rooms  *atomic.Int64 // how many pages the caches of all repositories together may still add
	shards [16]cacheShard
}

type cacheShard struct {
	mu    sync.Mutex
	pages map[pg.BufferTag]*cacheEntry
	hand  *cacheEntry // where the clock (CLOCK replacement) stands in the ring of all entries; nil: no entries
	room  int         // how many entries may still be added to the ring
	added int64       // how many entries the ring has
}

// cacheEntry is one version of a page.
type cacheEntry struct {
	tag  pg.BufferTag
	no   timelineNo
	lsn  pg.LSN
	page pg.Page
	used bool

	more       *cacheEntry // the next in the list of versions of tag
	next, prev *cacheEntry // in the ring
}

func newPageCache(bytes int64, rooms *atomic.Int64) *pageCache {
	c := &pageCache{seed: maphash.MakeSeed(), rooms: rooms}
	for i := range c.shards {
		c.shards[i].pages = make(map[pg.BufferTag]*cacheEntry)
		c.shards[i].room = max(1, int(bytes/pg.BlockSize)/len(c.shards))
	}
	return c
}

func (c *pageCache) shard(tag pg.BufferTag) *cacheShard {
	return &c.shards[maphash.Comparable(c.seed, tag)%uint64(len(c.shards))]
}

// knows reports whether any version of tag is cached.
func (c *pageCache) knows(tag pg.BufferTag) bool {
	s := c.shard(tag)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pages[tag] != nil
}

// get copies to dst the page as it is at the version of timeline no at lsn, and reports whether it
// was cached.
func (c *pageCache) get(tag pg.BufferTag, no timelineNo, lsn pg.LSN, dst pg.Page) bool {
	s := c.shard(tag)
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.find(tag, no, lsn)
	if e == nil {
		return false
	}
	e.used = true
	copy(dst, e.page)
	return true
}

func (s *cacheShard) find(tag pg.BufferTag, no timelineNo, lsn pg.LSN) *cacheEntry {
	e := s.pages[tag]
	for e != nil && (e.lsn != lsn || e.no != no) {
		e = e.more
	}
	return e
}

// put keeps a copy of page, whose newest version is timeline no's at lsn.
func (c *pageCache) put(tag pg.BufferTag, no timelineNo, lsn pg.LSN, page pg.Page) {
	s := c.shard(tag)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pages == nil || s.find(tag, no, lsn) != nil {
		return
	}
	e := s.slot(c.rooms)
	e.tag, e.no, e.lsn, e.used = tag, no, lsn, false
	e.page = append(e.page[:0], page[:pg.BlockSize]...)
	e.more = s.pages[tag]
	s.pages[tag] = e
}

// close drops all pages, and gives their room back to the other repositories' caches. put does
// nothing from then on.
func (c *pageCache) close() {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		c.rooms.Add(s.added)
		s.added, s.room, s.pages, s.hand = 0, 0, nil, nil
		s.mu.Unlock()
	}
}

// grow reports whether the ring may get another entry, and takes the room for it. The first entry
// is allowed even if the caches together are full: a ring without entries has none to use again.
func (s *cacheShard) grow(rooms *atomic.Int64) bool {
	if s.room == 0 {
		return false
	}
	if rooms.Add(-1) < 0 && s.hand != nil {
		rooms.Add(1)
		return false
	}
	s.room--
	s.added++
	return true
}

// slot gives an entry to fill: a new one, or the next one in the ring that was not used since the
// clock last passed. It is in the ring, and in no list.
func (s *cacheShard) slot(rooms *atomic.Int64) *cacheEntry {
	if s.grow(rooms) {
		e := new(cacheEntry)
		if s.hand == nil {
			e.next, e.prev = e, e
		} else {
			e.next, e.prev = s.hand, s.hand.prev
			e.prev.next, e.next.prev = e, e
		}
		s.hand = e
		return e
	}
	for s.hand.used {
		s.hand.used = false
		s.hand = s.hand.next
	}
	e := s.hand
	s.hand = e.next
	s.unlist(e)
	return e
}

// unlist takes e out of the list of its page's versions.
func (s *cacheShard) unlist(e *cacheEntry) {
	first := s.pages[e.tag]
	if first == e {
		if e.more == nil {
			delete(s.pages, e.tag)
		} else {
			s.pages[e.tag] = e.more
		}
		return
	}
	for p := first; p != nil; p = p.more {
		if p.more == e {
			p.more = e.more
			return
		}
	}
}
