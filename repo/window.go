package repo

import (
	"slices"
	"sync"

	"zenith/internal/pg"
)

// window holds what a stretch of WAL changed, in memory, until it is flushed. There is
// one open window per timeline, which its Writer adds to, and a few sealed ones behind it.
//
// Entries above the published LSN may be there; readers do not ask for them.
type window struct {
	start pg.LSN // everything in it is above start; the store is complete up to there

	mu     sync.RWMutex // of all below; only the holder of the write turn changes it
	end    endpoint     // what Writers published in it last: its end, once it is sealed
	pages  map[pg.BufferTag]*pageLog
	rels   map[pg.RelFork]*relLog
	dbs    map[dbKey][]dbEvent
	files  map[string][]fileVersion
	states []stateVersion
	arena  arena
	size   int64 // bytes of memory, about
}

// endpoint is a record boundary: the end of a record and its start.
type endpoint struct{ lsn, prev pg.LSN }

type pageLog struct{ versions []version }

// version is one link of a page, packed: LSNs are multiples of 8, which leaves room for
// linkFlags in the low bits of start.
type version struct {
	end          pg.LSN
	startAndFlag pg.LSN
	off, size    uint32 // in the arena
}

func (v version) start() pg.LSN    { return v.startAndFlag &^ 7 }
func (v version) flags() linkFlags { return linkFlags(v.startAndFlag & 7) }

type relLog struct {
	base   relState
	last   relState
	events []relEvent
}

type dbKey struct{ spc, db pg.OID }

// dbEvent is a creation or a drop of a database. lastDrop includes this event.
type dbEvent struct {
	lsn      pg.LSN
	exists   bool
	lastDrop pg.LSN
}

type fileVersion struct {
	lsn     pg.LSN
	content []byte // nil: removed
}

type stateVersion struct {
	lsn     pg.LSN
	encoded []byte
}

// What an entry costs in memory, about.
const (
	versionCost = 24 + 8
	pageCost    = 200
	eventCost   = 24
	smallCost   = 100
)

func newWindow(start endpoint) *window {
	return &window{
		start: start.lsn,
		end:   start,
		pages: make(map[pg.BufferTag]*pageLog),
		rels:  make(map[pg.RelFork]*relLog),
		dbs:   make(map[dbKey][]dbEvent),
		files: make(map[string][]fileVersion),
	}
}

// empty reports whether the window holds nothing and spans no WAL.
func (w *window) empty() bool {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.size == 0 && w.end.lsn == w.start
}

// page appends to dst tag's newest links at or below lsn, oldest first: all of them, or n.
func (w *window) page(dst []link, tag pg.BufferTag, lsn pg.LSN, n int) []link {
	w.mu.RLock()
	defer w.mu.RUnlock()
	p := w.pages[tag]
	if p == nil {
		return dst
	}
	end, _ := slices.BinarySearchFunc(p.versions, lsn+1, func(v version, l pg.LSN) int { return compareLSN(v.end, l) })
	return w.arena.links(dst, p.versions[max(0, end-n):end])
}

// rel gives rf's state at lsn, if the window knows of a change at or below it.
func (w *window) rel(rf pg.RelFork, lsn pg.LSN) (relState, bool) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	r := w.rels[rf]
	switch {
	case r == nil || r.events[0].lsn > lsn:
		return relState{}, false
	case r.last.lsn <= lsn:
		return r.last, true
	}
	s := r.base
	for _, ev := range r.events {
		if ev.lsn > lsn {
			break
		}
		s = s.apply(ev)
	}
	return s, true
}

func (w *window) db(k dbKey, lsn pg.LSN) (dbEvent, bool) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return newest(w.dbs[k], lsn, func(e dbEvent) pg.LSN { return e.lsn })
}

func (w *window) file(path string, lsn pg.LSN) (fileVersion, bool) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return newest(w.files[path], lsn, func(f fileVersion) pg.LSN { return f.lsn })
}

func (w *window) state(lsn pg.LSN) (stateVersion, bool) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return newest(w.states, lsn, func(s stateVersion) pg.LSN { return s.lsn })
}

// newest finds the last of es, which ascend, that is not above lsn.
func newest[E any](es []E, lsn pg.LSN, at func(E) pg.LSN) (e E, ok bool) {
	for i := len(es) - 1; i >= 0; i-- {
		if at(es[i]) <= lsn {
			return es[i], true
		}
	}
	return e, false
}

func compareLSN(a, b pg.LSN) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

const arenaSlab = 256 << 10

// arena holds bytes that are only added. Each piece lies within one slab.
type arena struct {
	slabs [][]byte
	used  int // of the last slab
}

// fits reports whether alloc will not touch slabs.
func (a *arena) fits(n int) bool { return len(a.slabs) > 0 && a.used+n <= arenaSlab }

// alloc gives room for n bytes, at most a slab's, and where it is. grown is what it took
// from the system.
func (a *arena) alloc(n int) (b []byte, off uint32, grown int64) {
	if len(a.slabs) == 0 || a.used+n > arenaSlab {
		a.slabs = append(a.slabs, make([]byte, arenaSlab))
		a.used, grown = 0, arenaSlab
	}
	i := len(a.slabs) - 1
	b, off = a.slabs[i][a.used:a.used+n], uint32(i*arenaSlab+a.used)
	a.used += n
	return b, off, grown
}

func (a *arena) bytes(off, n uint32) []byte {
	in := off % arenaSlab
	return a.slabs[off/arenaSlab][in : in+n : in+n]
}

func (a *arena) links(dst []link, vs []version) []link {
	for _, v := range vs {
		l := link{end: v.end, start: v.start(), flags: v.flags(), size: int(v.size)}
		if l.flags&linkPointer == 0 {
			l.raw = a.bytes(v.off, v.size)
		}
		dst = append(dst, l)
	}
	return dst
}
