package repo

import (
	"slices"

	"zenith/internal/pg"
)

// probe looks for the newest version of one object along a lineage. Sizes, databases,
// files and states are read through it; pages, which need more than the newest version,
// have chain.collect.
type probe struct {
	object []byte
	// window finds the version at or below limit, keeps it, and tells its LSN.
	window func(w *window, limit pg.LSN) (pg.LSN, bool)
	// store keeps a version from the store.
	store func(value []byte, at, limit pg.LSN) error
	// beyond says that the store may have versions that are newer than the windows'.
	beyond bool
}

// storeLimit is the LSN up to which a member's history is complete in the store.
func storeLimit(m member) pg.LSN { return min(m.cap, m.t.view.Load().flushed.lsn) }

// run runs the probe. c may be nil: run opens a cursor if it needs one.
func (p *probe) run(s Store, c *cursor, l lineage) (found bool, err error) {
	if c == nil {
		// Opened late: what is hot is in the windows.
		defer func() {
			if c != nil {
				c.close(&err)
			}
		}()
	}
	for _, m := range l {
		v := m.t.view.Load()
		limit := m.cap
		var inWindow pg.LSN
		if m.cap > v.flushed.lsn {
			limit = v.flushed.lsn
			for _, w := range v.windows {
				if inWindow, found = p.window(w, m.cap); found {
					break
				}
			}
			if found && !p.beyond {
				return true, nil
			}
			if p.beyond {
				limit = m.cap
			}
		}
		if c == nil {
			c = newCursor(s, p.object)
		}
		if len(c.object) == 0 || !slices.Equal(c.object, p.object) {
			c.reset(p.object)
		}
		at, ok := c.find(m.t.no, limit)
		if ok && (!found || at >= inWindow) {
			value, err := c.it.Value()
			if err == nil {
				err = p.store(value, at, m.cap)
			}
			return true, err
		}
		if found {
			return true, nil
		}
	}
	return false, nil
}

// eachObject calls fn with the objects that begin with prefix, in order, those in the
// store and those in extra, which need not be sorted.
func eachObject(s Store, prefix []byte, extra []string, fn func(c *cursor, object []byte) error) (err error) {
	c := newCursor(s, prefix)
	defer c.close(&err)
	slices.Sort(extra)
	extra = slices.Compact(extra)
	more := c.nextObject(prefix)
	var object []byte
	for more || len(extra) > 0 {
		if more && (len(extra) == 0 || string(c.object) <= extra[0]) {
			object = append(object[:0], c.object...)
		} else {
			object = append(object[:0], extra[0]...)
			c.reset(object)
		}
		if len(extra) > 0 && extra[0] == string(object) {
			extra = extra[1:]
		}
		if err := fn(c, object); err != nil {
			return err
		}
		c.reset(object)
		more = c.nextObject(nil)
	}
	return nil
}

// eachWindow calls fn with the windows that a lineage's history may be in.
func (l lineage) eachWindow(fn func(w *window, limit pg.LSN)) {
	for _, m := range l {
		v := m.t.view.Load()
		if m.cap <= v.flushed.lsn {
			continue
		}
		for _, w := range v.windows {
			fn(w, m.cap)
		}
	}
}
