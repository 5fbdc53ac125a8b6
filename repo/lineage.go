package repo

import (
	"bytes"

	"zenith/internal/pg"
	"zenith/repo/store"
)

// member is a timeline of a lineage and the LSN up to which its history counts.
type member struct {
	t   *Timeline
	cap pg.LSN
}

// lineage is a timeline at an LSN with its ancestors, youngest first. What a member has
// is above what the members behind it have: LSNs descend along the lineage.
type lineage []member

func (t *Timeline) lineage(at pg.LSN) lineage {
	var l lineage
	for ; t != nil; t = t.parent {
		// At its start a branch may have entries of its own, below it never.
		if at >= t.info.StartLSN {
			l = append(l, member{t, at})
		}
		at = min(at, t.info.StartLSN)
	}
	return l
}

// sight is where a member's history up to its cap was when it was looked at: up to limit
// in the store, above that in the windows. Windows stay readable after their flush, so a
// sight remains true, for an iterator over the store that was made after it.
type sight struct {
	no      timelineNo
	cap     pg.LSN
	limit   pg.LSN
	windows []*window // nil if limit is cap
}

// look gives the members' sights. It comes before any iterator that is used with them.
func (l lineage) look() []sight {
	all := make([]sight, len(l))
	for i, m := range l {
		v := m.t.view.Load()
		all[i] = sight{no: m.t.no, cap: m.cap, limit: m.cap}
		if m.cap > v.flushed.lsn {
			all[i].limit, all[i].windows = v.flushed.lsn, v.windows
		}
	}
	return all
}

// settled reports whether the store has it all.
func settled(sights []sight) bool {
	for i := range sights {
		if sights[i].windows != nil {
			return false
		}
	}
	return true
}

// eachWindow calls fn with the windows in which some of the history may be.
func eachWindow(sights []sight, fn func(w *window, limit pg.LSN)) {
	for _, s := range sights {
		for _, w := range s.windows {
			fn(w, s.cap)
		}
	}
}

// cursor finds versions of objects in the store along a lineage. It is the one place
// that knows how versions are ordered.
//
// It seeks as little as it can. Younger timelines sort before older ones within an
// object, so where the youngest member with an entry has it, there the first seek lands,
// unless a stranger (a timeline not in the lineage, or an ancestor's entry above the
// branch point) lies in between.
type cursor struct {
	it     store.Iterator
	object []byte
	key    []byte // scratch
	last   []byte // the store has no key in [last, the iterator's)
	sought bool   // last is set
	seeks  int    // for tests: what the depth of a lineage costs

	room [3][pageKeySize + versionSize + 1]byte // for object, key and last, unless they are longer

	// About the entry that the iterator is on:
	asked timelineNo // the last find's, in this object
	on    bool       // it is a version of object
	no    timelineNo
	lsn   pg.LSN
}

// anyTimeline is above all numbers of timelines.
const anyTimeline = ^timelineNo(0)

// newCursor makes a cursor over the objects that begin with prefix. Close it.
func newCursor(s store.Store, prefix []byte) *cursor {
	c := &cursor{it: s.Iterator(prefix)}
	c.object, c.key, c.last = c.room[0][:0], c.room[1][:0], c.room[2][:0]
	return c
}

func (c *cursor) close(err *error) { closeIterator(c.it, err) }

// reset turns to another object; cheapest in ascending order.
func (c *cursor) reset(object []byte) {
	c.object, c.asked = append(c.object[:0], object...), anyTimeline
}

// moveTo puts the iterator on the first entry at or above key.
func (c *cursor) moveTo(key []byte) {
	if c.sought && bytes.Compare(key, c.last) >= 0 {
		if c.reaches(key) {
			return
		}
		if c.it.Next(); c.reaches(key) {
			c.last = append(c.last[:0], key...)
			return
		}
	}
	c.it.Seek(key)
	c.last, c.sought = append(c.last[:0], key...), true
	c.seeks++
}

// reaches reports whether there is no entry between the iterator's and key.
func (c *cursor) reaches(key []byte) bool {
	return !c.it.Valid() || bytes.Compare(key, c.it.Key()) <= 0
}

// look learns what the iterator is on.
func (c *cursor) examine() {
	c.on = false
	if !c.it.Valid() {
		return
	}
	object, no, lsn, ok := splitVersion(c.it.Key())
	c.on = ok && bytes.Equal(object, c.object)
	c.no, c.lsn = no, lsn
}

// find moves to the newest version of the object that timeline no has at or below lsn.
// Within an object, ask for younger timelines first.
func (c *cursor) find(no timelineNo, lsn pg.LSN) (at pg.LSN, ok bool) {
	if no < c.asked && c.asked != anyTimeline && (!c.on || c.no < no) {
		return 0, false // what is next is older, or another object's
	}
	c.asked = no
	c.key = appendVersion(append(c.key[:0], c.object...), no, lsn)
	c.moveTo(c.key)
	c.examine()
	return c.lsn, c.on && c.no == no
}

// next moves from a found version to the next older one of the same timeline.
func (c *cursor) next(no timelineNo) (at pg.LSN, ok bool) {
	c.last = append(append(c.last[:0], c.it.Key()...), 0)
	c.it.Next()
	c.examine()
	return c.lsn, c.on && c.no == no
}

// value gives what is stored where it is, unsealed: at least one byte.
func (c *cursor) value() ([]byte, error) { return unstamped(c.it) }

func unstamped(it store.Iterator) ([]byte, error) {
	value, err := it.Value()
	if err != nil {
		return nil, err
	}
	return unstamp(it.Key(), value)
}

// newest moves to the newest version along sights that is in the store.
func (c *cursor) newest(sights []sight) (s *sight, at pg.LSN, ok bool) {
	for i := range sights {
		if at, ok := c.find(sights[i].no, sights[i].limit); ok {
			return &sights[i], at, true
		}
	}
	return nil, 0, false
}

// nextObject moves to the first object at or above start, or above the current one if
// start is nil.
func (c *cursor) nextObject(start []byte) bool {
	if start == nil {
		start = after(c.object)
	}
	c.moveTo(start)
	if !c.it.Valid() {
		return false
	}
	object, _, _, ok := splitVersion(c.it.Key())
	c.reset(object)
	return ok
}
