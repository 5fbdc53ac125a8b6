package repo

import (
	"encoding/binary"
	"fmt"
	"sync"

	"zenith/internal/pg"
	"zenith/internal/varint"
	"zenith/repo/store"
)

// headSizes caches the newest sizes of a timeline: a Writer needs one with almost each record. Only
// the holder of the turn changes it. A state in it is right for every LSN from its own on.
type headSizes struct {
	mu   sync.RWMutex
	rels map[pg.RelFork]relState // as windows and the store have them: drops of databases not counted
	dbs  map[dbKey]dbEvent
}

// maxHeadSizes is how many forks the cache may have; then it is emptied.
const maxHeadSizes = 100_000

func newHeadSizes() *headSizes {
	return &headSizes{rels: make(map[pg.RelFork]relState), dbs: make(map[dbKey]dbEvent)}
}

func (h *headSizes) rel(rf pg.RelFork) (relState, bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	s, ok := h.rels[rf]
	return s, ok
}

func (h *headSizes) db(k dbKey) (dbEvent, bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	e, ok := h.dbs[k]
	return e, ok
}

func (h *headSizes) setRel(rf pg.RelFork, s relState) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.rels) >= maxHeadSizes {
		clear(h.rels)
	}
	h.rels[rf] = s
}

func (h *headSizes) setDB(k dbKey, e dbEvent) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dbs[k] = e
}

func (h *headSizes) clear() {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.rels)
	clear(h.dbs)
}

// lookupRel finds rf's size along sights. It does not count drops of rf's database. c is nil, or a
// cursor that was made after sights.
func lookupRel(s store.Store, c *cursor, sights []sight, rf pg.RelFork) (st relState, err error) {
	p := probe{object: appendRelFork(nil, kindRelSize, rf)}
	p.window = func(w *window, limit pg.LSN) (pg.LSN, bool) {
		var ok bool
		st, ok = w.rel(rf, limit)
		return st.lsn, ok
	}
	p.store = func(body []byte, at, limit pg.LSN) (err error) {
		st, err = decodeRelChunk(body, at, limit)
		return err
	}
	if _, err := p.find(s, c, sights); err != nil {
		return st, fmt.Errorf("size of %v: %w", rf, err)
	}
	return st, nil
}

// lookupSize finds rf's size along sights, and counts the last drop of its database.
func lookupSize(s store.Store, sights []sight, rf pg.RelFork) (relState, error) {
	st, err := lookupRel(s, nil, sights, rf)
	if err != nil {
		return st, err
	}
	return st.afterDrop(rf, func(k dbKey) (dbEvent, error) { return lookupDB(s, nil, sights, k) })
}

// afterDrop gives the state of rf after the last drop of its database, which db finds. Shared
// relations and SLRUs have no database that could be dropped.
func (s relState) afterDrop(rf pg.RelFork, db func(dbKey) (dbEvent, error)) (relState, error) {
	if s.lsn == 0 || rf.IsSLRU() || rf.DBOID == 0 {
		return s, nil
	}
	ev, err := db(dbKey{rf.SpcOID, rf.DBOID})
	return s.dropDB(ev.lastDrop), err
}

// lookupDB finds the last change of a database along sights; the zero event if there is none. c is
// nil, or a cursor that was made after sights.
func lookupDB(s store.Store, c *cursor, sights []sight, k dbKey) (ev dbEvent, err error) {
	p := probe{object: appendDB(nil, kindDatabase, k.spc, k.db)}
	p.window = func(w *window, limit pg.LSN) (pg.LSN, bool) {
		e, ok := w.db(k, limit)
		if ok {
			ev = e
		}
		return e.lsn, ok
	}
	p.store = func(body []byte, at, _ pg.LSN) (err error) {
		ev, err = decodeDB(body, at)
		return err
	}
	if _, err := p.find(s, c, sights); err != nil {
		return ev, fmt.Errorf("database %d/%d: %w", k.spc, k.db, err)
	}
	return ev, nil
}

// encodeDB makes a database's value: exists u8 | uvarint last drop's LSN.
func encodeDB(e dbEvent) []byte {
	return binary.AppendUvarint(appendBool(nil, e.exists), uint64(e.lastDrop))
}

// decodeDB takes a database's value apart; at is the LSN of its key. b is not empty.
func decodeDB(b []byte, at pg.LSN) (dbEvent, error) {
	d := varint.Reader{Rest: b[1:]}
	ev := dbEvent{lsn: at, exists: b[0] != 0, lastDrop: pg.LSN(d.Uint())}
	if d.Bad {
		return dbEvent{}, fmt.Errorf("database of %d bytes: %w", len(b), ErrCorrupt)
	}
	return ev, nil
}
