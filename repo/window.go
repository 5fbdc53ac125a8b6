package repo

import (
	"cmp"
	"slices"
	"sync"
	"time"

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
	pages  pageTable[pageLog]
	rels   map[pg.RelFork]*relLog
	dbs    map[dbKey][]dbEvent
	files  map[string][]fileVersion
	states []stateVersion
	images []pg.Page
	opened time.Time // when WAL was first published in it
	size   int64     // bytes of memory, about
}

// endpoint is a record boundary: the end of a record and its start.
type endpoint struct{ lsn, prev pg.LSN }

// pageLog is what a window has of a page.
type pageLog struct{ versions []version }

// version is one link of a page, packed: LSNs are in units of 8 bytes above the window's start,
// which is enough for 32 GiB.
type version struct {
	end, start uint32
	what       uint32 // linkFlags in the low bits; above, the record's size, or which of the window's images
}

const versionFlagBits = 2

func (w *window) version(end, start pg.LSN, flags linkFlags, n int) version {
	return version{uint32((end - w.start) / 8), uint32((start - w.start) / 8), uint32(n)<<versionFlagBits | uint32(flags)}
}

// links appends vs to dst.
func (w *window) links(dst []link, vs []version) []link {
	for _, v := range vs {
		l := link{
			end: w.start + pg.LSN(v.end)*8, start: w.start + pg.LSN(v.start)*8,
			flags: linkFlags(v.what & (1<<versionFlagBits - 1)), size: int(v.what >> versionFlagBits),
		}
		if l.flags&linkImage != 0 {
			l.raw, l.size = w.images[l.size], pg.BlockSize
		}
		dst = append(dst, l)
	}
	return dst
}

type relLog struct {
	before relState
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
	versionCost = 12 + 6
	pageCost    = 150
	eventCost   = 24
	smallCost   = 100
)

func newWindow(start endpoint) *window {
	return &window{
		start: start.lsn,
		end:   start,
		rels:  make(map[pg.RelFork]*relLog),
		dbs:   make(map[dbKey][]dbEvent),
		files: make(map[string][]fileVersion),
	}
}

// page appends to dst tag's newest links at or below lsn, oldest first: all of them, or n.
func (w *window) page(dst []link, tag pg.BufferTag, lsn pg.LSN, n int) []link {
	w.mu.RLock()
	defer w.mu.RUnlock()
	p := w.pages.find(tag)
	if p == nil {
		return dst
	}
	if lsn < w.start {
		return dst
	}
	top := uint64(lsn-w.start) / 8
	end, _ := slices.BinarySearchFunc(p.versions, top+1, func(v version, top uint64) int { return cmp.Compare(uint64(v.end), top) })
	return w.links(dst, p.versions[max(0, end-n):end])
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
	s := r.before
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

// image keeps a page. Only the holder of the turn calls it.
func (w *window) image(page pg.Page) (index int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.images = append(w.images, slices.Clone(page[:pg.BlockSize]))
	return len(w.images) - 1
}
