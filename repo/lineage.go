package repo

import (
	"bytes"

	"zenith/internal/pg"
	"zenith/repo/store"
)

// member is a timeline of a lineage, and the LSN up to which its history counts: its cap.
type member struct {
	t   *Timeline
	cap pg.LSN
}

// lineage is a timeline at an LSN and its ancestors, the youngest first. All versions of a member
// are above those of the members behind it: LSNs descend along a lineage.
type lineage []member

// lineage gives the lineage of t at an LSN.
func (t *Timeline) lineage(at pg.LSN) lineage {
	var l lineage
	for ; t != nil; t = t.parent {
		// A branch has versions of its own from its start on: files, and the control data.
		if at >= t.info.StartLSN {
			l = append(l, member{t, at})
		}
		at = min(at, t.info.StartLSN)
	}
	return l
}

// sight is where a member's history up to its cap was at one moment: up to limit in the store, above
// that in the windows. Windows can be read even after their flush, so a sight stays true, together
// with an iterator over the store that was made after it.
type sight struct {
	no      timelineNo
	cap     pg.LSN
	limit   pg.LSN
	windows []*window // nil if limit is cap
}

// look gives the members' sights, as of now. An iterator that is used with them must be made after
// the call: an older one might lack a version that was flushed in between, and that the sights do not
// look for in a window.
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

// settled reports whether all of the history is in the store, where it stays.
func settled(sights []sight) bool {
	for i := range sights {
		if sights[i].windows != nil {
			return false
		}
	}
	return true
}

// eachWindow calls fn with each window in which some of the history is, and the LSN up to which it
// counts.
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
// It seeks as little as it can. Within an object younger timelines sort before older ones. So the
// first seek lands on the version of the youngest member that has one, unless there is a version in
// between that does not count: of a timeline that is not in the lineage, or of an ancestor above the
// branch point.
type cursor struct {
	it     store.Iterator
	object []byte
	key    []byte // the key to seek; reused
	last   []byte // the store has no key from here up to the iterator's
	sought bool   // last is set

	room [3][pageKeySize + versionSize + 1]byte // for object, key and last, unless they are longer

	asked timelineNo // the timeline of the last find in this object

	// About the entry that the iterator is on:
	on  bool // it is a version of object
	no  timelineNo
	lsn pg.LSN
}

// anyTimeline is above all numbers of timelines.
const anyTimeline = ^timelineNo(0)

// newCursor makes a cursor over the objects that begin with prefix. The caller closes it.
func newCursor(s store.Store, prefix []byte) *cursor {
	c := &cursor{it: s.Iterator(prefix)}
	c.object, c.key, c.last = c.room[0][:0], c.room[1][:0], c.room[2][:0]
	return c
}

// close closes the cursor. Its error, if any, becomes *err if there is none yet.
func (c *cursor) close(err *error) { closeIterator(c.it, err) }

// reset makes object the cursor's object. It is cheapest in ascending order.
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
}

// reaches reports whether there is no entry between the iterator's and key.
func (c *cursor) reaches(key []byte) bool {
	return !c.it.Valid() || bytes.Compare(key, c.it.Key()) <= 0
}

// examine takes apart the key that the iterator is on.
func (c *cursor) examine() {
	c.on = false
	if !c.it.Valid() {
		return
	}
	object, no, lsn, ok := splitVersion(c.it.Key())
	c.on = ok && bytes.Equal(object, c.object)
	c.no, c.lsn = no, lsn
}

// find moves to the newest version of the object that timeline no has at or below lsn. Within an
// object the caller must ask for younger timelines first.
func (c *cursor) find(no timelineNo, lsn pg.LSN) (at pg.LSN, ok bool) {
	if no < c.asked && c.asked != anyTimeline && (!c.on || c.no < no) {
		return 0, false // the next version is an older timeline's, or another object's
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

// value gives the value of the version that the cursor is on, unstamped: at least one byte.
func (c *cursor) value() ([]byte, error) { return unstamped(c.it) }

// unstamped gives the value that it is on, unstamped: at least one byte.
func unstamped(it store.Iterator) ([]byte, error) {
	value, err := it.Value()
	if err != nil {
		return nil, err
	}
	return unstamp(it.Key(), value)
}

// newest moves to the newest version of the object that is in the store, along sights.
func (c *cursor) newest(sights []sight) (s *sight, at pg.LSN, ok bool) {
	for i := range sights {
		if at, ok := c.find(sights[i].no, sights[i].limit); ok {
			return &sights[i], at, true
		}
	}
	return nil, 0, false
}

// nextObject makes the first object at or above start the cursor's; nil means the first above the
// current one. It reports whether there is one.
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
