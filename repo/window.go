package repo

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"zenith/internal/pg"
)

// window holds in memory what a stretch of WAL changed, until it is flushed. A timeline has one open
// window, which its Writer adds to, and a few sealed ones behind it.
//
// Entries above the head may be in it, of a batch that is being committed; readers do not look for
// them.
type window struct {
	start pg.LSN // all entries are above it

	mu      sync.RWMutex // guards all below. Only the holder of the turn changes anything
	end     endpoint     // the head when the last batch was committed to the window
	pages   pageTable[pageLog]
	rels    map[pg.RelFork]*relLog
	dbs     map[dbKey][]dbEvent
	files   map[string][]fileVersion
	states  []stateVersion
	commits []commitChunk
	running []byte    // what transactions had done that had not ended at end; nil: not known
	images  []pg.Page // what version.what refers to
	opened  time.Time // when the first batch was committed to it
	size    int64     // bytes of memory, about
}

// endpoint is a record boundary: the end of a record, and its start.
type endpoint struct{ lsn, prev pg.LSN }

// pageLog is a window's links of a page, oldest first.
type pageLog struct{ versions []version }

// version is a link, packed: LSNs are in units of 8 bytes above the window's start, which is enough
// for windows of 32 GiB.
type version struct {
	end, start uint32
	what       uint32 // linkFlags in the low bits; above them the record's size, or an index into images
}

// versionFlagBits is how many bits of what the flags take.
const versionFlagBits = 2

// version packs a link. n is the record's size, or an index into images.
func (w *window) version(end, start pg.LSN, flags linkFlags, n int) version {
	return version{uint32((end - w.start) / 8), uint32((start - w.start) / 8), uint32(n)<<versionFlagBits | uint32(flags)}
}

// links appends vs, unpacked, to dst.
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

// relLog is a window's events of a fork.
type relLog struct {
	before relState   // the state before events
	last   relState   // the state after events
	events []relEvent // oldest first
}

// dbKey names a database directory.
type dbKey struct{ spc, db pg.OID }

// dbEvent is a creation or a drop of a database.
type dbEvent struct {
	lsn      pg.LSN
	exists   bool
	lastDrop pg.LSN // of the last drop up to and with this event; 0 if there was none
}

// fileVersion is a file as of an LSN.
type fileVersion struct {
	lsn     pg.LSN
	content []byte // nil: there is no such file
}

// stateVersion is a control.State, encoded.
type stateVersion struct {
	lsn     pg.LSN
	encoded []byte
}

// How many bytes of memory entries take, about.
const (
	versionCost = 12 + 6
	pageCost    = 150
	eventCost   = 24
	smallCost   = 100
)

// newWindow makes an empty window for the WAL behind start.
func newWindow(start endpoint) *window {
	return &window{
		start: start.lsn,
		end:   start,
		rels:  make(map[pg.RelFork]*relLog),
		dbs:   make(map[dbKey][]dbEvent),
		files: make(map[string][]fileVersion),
	}
}

// page appends to dst the newest n links of tag at or below lsn, oldest first; all if there are fewer.
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

// rel gives rf's state at lsn, if the window has an event of rf at or below it.
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

// db gives the last event of a database at or below lsn.
func (w *window) db(k dbKey, lsn pg.LSN) (dbEvent, bool) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return newest(w.dbs[k], lsn, func(e dbEvent) pg.LSN { return e.lsn })
}

// file gives the last version of a file at or below lsn.
func (w *window) file(path string, lsn pg.LSN) (fileVersion, bool) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return newest(w.files[path], lsn, func(f fileVersion) pg.LSN { return f.lsn })
}

// state gives the last control data at or below lsn.
func (w *window) state(lsn pg.LSN) (stateVersion, bool) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return newest(w.states, lsn, func(s stateVersion) pg.LSN { return s.lsn })
}

// newest finds the last of es that is not above lsn. es ascend by at.
func newest[E any](es []E, lsn pg.LSN, at func(E) pg.LSN) (e E, ok bool) {
	for i := len(es) - 1; i >= 0; i-- {
		if at(es[i]) <= lsn {
			return es[i], true
		}
	}
	return e, false
}

// image keeps a copy of page for a version to refer to. The caller has the turn.
func (w *window) image(page pg.Page) (index int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.images = append(w.images, slices.Clone(page[:pg.BlockSize]))
	return len(w.images) - 1
}
