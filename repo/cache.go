package repo

import (
	"hash/maphash"
	"sync"
	"sync/atomic"

	"zenith/internal/pg"
)

// pageCache keeps pages that took redo to rebuild, by their tag and newest version: the
// next LSNs of a page then need only the records since.
type pageCache struct {
	seed   maphash.Seed
	rooms  *atomic.Int64 // pages that the caches of all repositories may still add
	shards [16]cacheShard
}

type cacheShard struct {
	mu    sync.Mutex
	pages map[pg.BufferTag]*cacheEntry
	hand  *cacheEntry // a ring of entries, for the clock
	room  int         // entries that may still be added here
	added int64       // entries of the ring
}

// cacheEntry is one version of a page. Versions of one page are a list.
type cacheEntry struct {
	tag  pg.BufferTag
	no   timelineNo
	lsn  pg.LSN
	page pg.Page
	used bool

	more       *cacheEntry // another version of tag
	next, prev *cacheEntry // the ring
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

// knows reports whether there are versions of tag.
func (c *pageCache) knows(tag pg.BufferTag) bool {
	s := c.shard(tag)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pages[tag] != nil
}

// get copies the page as version lsn of timeline no left it, if it is there.
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

// put keeps a copy of page.
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

// close gives back the room that the pages took. Nothing is kept from then on.
func (c *pageCache) close() {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		c.rooms.Add(s.added)
		s.added, s.room, s.pages, s.hand = 0, 0, nil, nil
		s.mu.Unlock()
	}
}

// grow reports whether the ring may get another entry. The first one is free: without any
// there would be nothing to use again.
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

// slot gives an entry of the ring that is in no list.
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
