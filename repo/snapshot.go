package repo

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"zenith/internal/pg"
	"zenith/repo/control"
)

// Snapshot is the state of everything at one LSN of a timeline. It never changes, needs
// no Close, and is safe for concurrent use.
type Snapshot struct {
	t     *Timeline
	owner *Timeline // t or the ancestor that has the point in its own WAL
	l     lineage
	files lineage // for files: l, or from AtHead a bit further, to see what PutFile stored since
	point Point

	settled atomic.Pointer[[]sight] // the sights of l; nil until all of it is in the store

	mu   sync.RWMutex
	rels map[pg.RelFork]relState // a cache; drops of databases are counted
	dbs  map[dbKey]dbEvent       // a cache
}

// maxSnapshotSizes is how many forks a snapshot's cache may have; then it is emptied.
const maxSnapshotSizes = 1 << 16

// snapshot makes the snapshot at p.
func (t *Timeline) snapshot(p Point) *Snapshot {
	l := t.lineage(p.LSN)
	return &Snapshot{t: t, owner: t.owner(p.LSN), l: l, files: l, point: p, rels: make(map[pg.RelFork]relState), dbs: make(map[dbKey]dbEvent)}
}

// Timeline is the timeline that s is a state of.
func (s *Snapshot) Timeline() *Timeline { return s.t }

// Version is the PostgreSQL whose data directory s shows. Below a branch point it is the
// ancestor's, which may be another one than the timeline's own.
func (s *Snapshot) Version() *pg.Version { return s.t.VersionAt(s.point.LSN) }

// LSN is the record boundary that s is at.
func (s *Snapshot) LSN() pg.LSN { return s.point.LSN }

// State is the control data at LSN. The caller must not change it.
func (s *Snapshot) State() *control.State { return s.point.State }

// String names the snapshot as paths do: timeline@lsn.
func (s *Snapshot) String() string { return s.t.ID().String() + "@" + s.point.LSN.PathString() }

// RelSize gives a fork's size in blocks and whether it exists.
func (s *Snapshot) RelSize(ctx context.Context, rf pg.RelFork) (n pg.BlockNumber, exists bool, err error) {
	if err := ctx.Err(); err != nil {
		return 0, false, err
	}
	st, err := s.rel(finder{sights: s.sights()}, rf)
	return st.n, st.exists, s.unlessForgotten(err)
}

// isAt reports an error if s is not at lsn, since lsn is no record boundary.
func (s *Snapshot) isAt(lsn pg.LSN) error {
	if s.LSN() != lsn {
		return fmt.Errorf("%v is inside the record after %v: %w", lsn, s.LSN(), ErrInvalid)
	}
	return nil
}

// checkKept reports ErrOutOfRange if the point is not kept any more.
func (s *Snapshot) checkKept() error { return s.owner.checkKept(s.point.LSN) }

// unlessForgotten gives the error of a read that has ended with err. If the point was forgotten
// meanwhile that is ErrOutOfRange, whatever the read may have met.
func (s *Snapshot) unlessForgotten(err error) error {
	if kerr := s.checkKept(); kerr != nil {
		return kerr
	}
	return err
}

// sights gives the sights of l.
func (s *Snapshot) sights() []sight {
	if all := s.settled.Load(); all != nil {
		return *all
	}
	all := s.l.look()
	if settled(all) {
		s.settled.Store(&all)
	}
	return all
}

// finder is what versions are looked for with: sights, and a cursor that was made after them; nil if
// the lookup is to make its own.
type finder struct {
	c      *cursor
	sights []sight
}

// rel finds rf's state, and counts the last drop of its database.
func (s *Snapshot) rel(r finder, rf pg.RelFork) (relState, error) {
	s.mu.RLock()
	st, ok := s.rels[rf]
	s.mu.RUnlock()
	if ok {
		return st, nil
	}
	st, ok = s.t.heads.rel(rf)
	if !ok || st.lsn > s.point.LSN {
		var err error
		if st, err = lookupRel(s.t.r.store, r.c, r.sights, rf); err != nil {
			return st, err
		}
	}
	st, err := st.afterDrop(rf, func(k dbKey) (dbEvent, error) { return s.db(finder{sights: r.sights}, k) })
	if err != nil {
		return st, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.rels) >= maxSnapshotSizes {
		clear(s.rels)
	}
	s.rels[rf] = st
	return st, nil
}

// db finds the last change of a database.
func (s *Snapshot) db(r finder, k dbKey) (dbEvent, error) {
	s.mu.RLock()
	ev, ok := s.dbs[k]
	s.mu.RUnlock()
	if ok {
		return ev, nil
	}
	ev, ok = s.t.heads.db(k)
	if !ok || ev.lsn > s.point.LSN {
		var err error
		if ev, err = lookupDB(s.t.r.store, r.c, r.sights, k); err != nil {
			return ev, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dbs[k] = ev
	return ev, nil
}

// Relations calls fn with each existing fork in a database directory and its size in blocks, in
// order, until fn returns an error. The forks of shared relations are in spc 1664, db 0.
func (s *Snapshot) Relations(ctx context.Context, spc, db pg.OID, fn func(rf pg.RelFork, n pg.BlockNumber) error) error {
	in := func(rf pg.RelFork) bool { return rf.SpcOID == spc && rf.DBOID == db }
	return s.relations(ctx, appendDB(nil, kindRelSize, spc, db), in, fn)
}

// EachRelation calls fn with each existing fork of s, SLRU segments among them, in the order
// of the store, until fn returns an error.
func (s *Snapshot) EachRelation(ctx context.Context, fn func(rf pg.RelFork, n pg.BlockNumber) error) error {
	return s.relations(ctx, []byte{byte(kindRelSize)}, func(pg.RelFork) bool { return true }, fn)
}

// relations is Relations for the forks whose objects begin with prefix: in tells which.
func (s *Snapshot) relations(ctx context.Context, prefix []byte, in func(pg.RelFork) bool, fn func(rf pg.RelFork, n pg.BlockNumber) error) error {
	var extra []string
	sights := s.sights()
	eachWindow(sights, func(w *window, limit pg.LSN) {
		w.mu.RLock()
		defer w.mu.RUnlock()
		for rf, log := range w.rels {
			if in(rf) && log.events[0].lsn <= limit {
				extra = append(extra, string(appendRelFork(nil, kindRelSize, rf)))
			}
		}
	})
	err := eachObject(s.t.r.store, prefix, extra, func(c *cursor, object []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		rf, ok := parseRelFork(object)
		if !ok {
			return fmt.Errorf("key %x: %w", object, ErrCorrupt)
		}
		st, err := s.rel(finder{c, sights}, rf)
		if err != nil || !st.exists {
			return err
		}
		return fn(rf, st.n)
	})
	return s.unlessForgotten(err)
}

// SLRUSegments calls fn with each existing segment of an SLRU and its length in pages, in order,
// until fn returns an error.
func (s *Snapshot) SLRUSegments(ctx context.Context, slru pg.SLRU, fn func(segno uint32, n pg.BlockNumber) error) error {
	return s.Relations(ctx, pg.SLRUSpace, pg.OID(slru), func(rf pg.RelFork, n pg.BlockNumber) error {
		return fn(uint32(rf.RelNumber), n)
	})
}

// Databases calls fn with the tablespace and database of each database directory, in order, until fn
// returns an error.
func (s *Snapshot) Databases(ctx context.Context, fn func(spc, db pg.OID) error) error {
	var extra []string
	sights := s.sights()
	eachWindow(sights, func(w *window, limit pg.LSN) {
		w.mu.RLock()
		defer w.mu.RUnlock()
		for k := range w.dbs {
			extra = append(extra, string(appendDB(nil, kindDatabase, k.spc, k.db)))
		}
	})
	err := eachObject(s.t.r.store, []byte{byte(kindDatabase)}, extra, func(c *cursor, object []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		spc, db, ok := parseDB(object)
		if !ok {
			return fmt.Errorf("key %x: %w", object, ErrCorrupt)
		}
		ev, err := s.db(finder{c, sights}, dbKey{spc, db})
		if err != nil || !ev.exists {
			return err
		}
		return fn(spc, db)
	})
	return s.unlessForgotten(err)
}

// HasDatabase reports whether a database directory exists.
func (s *Snapshot) HasDatabase(ctx context.Context, spc, db pg.OID) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	ev, err := s.db(finder{sights: s.sights()}, dbKey{spc, db})
	return ev.exists, s.unlessForgotten(err)
}

// ReadFile gives a file's content: ErrNotFound if there is no such file. The caller must not change
// the content.
func (s *Snapshot) ReadFile(ctx context.Context, path string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f, err := s.file(finder{sights: s.files.look()}, path)
	err = s.unlessForgotten(err)
	if err == nil && f.content == nil {
		err = fmt.Errorf("file %q: %w", path, ErrNotFound)
	}
	return f.content, err
}

// file finds a file. Its content is nil if it does not exist.
func (s *Snapshot) file(r finder, path string) (f fileVersion, err error) {
	p := probe{object: appendFile(nil, path), beyond: true}
	p.window = func(w *window, limit pg.LSN) (pg.LSN, bool) {
		v, ok := w.file(path, limit)
		if ok {
			f = v
		}
		return v.lsn, ok
	}
	p.store = func(body []byte, at, _ pg.LSN) (err error) {
		f, err = decodeFile(body, at, func(i int) (fileVersion, error) {
			return s.file(finder{sights: r.sights}, partPath(path, i))
		})
		return err
	}
	if _, err := p.find(s.t.r.store, r.c, r.sights); err != nil {
		return f, fmt.Errorf("file %q: %w", path, err)
	}
	return f, nil
}

// Files calls fn with each file whose path begins with prefix and its size in bytes, in order of the
// paths, until fn returns an error.
func (s *Snapshot) Files(ctx context.Context, prefix string, fn func(path string, size int) error) error {
	var extra []string
	sights := s.files.look()
	eachWindow(sights, func(w *window, _ pg.LSN) {
		w.mu.RLock()
		defer w.mu.RUnlock()
		for path := range w.files {
			if len(path) >= len(prefix) && path[:len(prefix)] == prefix {
				extra = append(extra, string(appendFile(nil, path)))
			}
		}
	})
	err := eachFile(ctx, s.t.r.store, prefix, extra, func(c *cursor, path string) error {
		f, err := s.file(finder{c, sights}, path)
		if err != nil || f.content == nil {
			return err
		}
		return fn(path, len(f.content))
	})
	return s.unlessForgotten(err)
}
