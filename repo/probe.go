package repo

import (
	"fmt"
	"slices"

	"zenith/internal/pg"
	"zenith/repo/store"
)

// probe looks for the newest version of one object along a lineage. Sizes, databases,
// files and states are read through it; pages, which need more than the newest version,
// have chain.collect.
type probe struct {
	object []byte
	// window finds the version at or below limit, keeps it, and tells its LSN.
	window func(w *window, limit pg.LSN) (pg.LSN, bool)
	// store keeps a version from the store, of which body is unsealed and not empty.
	store func(body []byte, at, limit pg.LSN) error
	// beyond says that the store may have versions that are newer than the windows'.
	beyond bool
}

// run runs the probe. c may be nil: run opens a cursor if it needs one. Otherwise c was
// made after sights.
func (p *probe) find(s store.Store, c *cursor, sights []sight) (found bool, err error) {
	if c == nil {
		defer func() {
			if c != nil {
				c.close(&err)
			}
		}()
	}
	for i := range sights {
		m := &sights[i]
		inWindow, found := p.findInWindows(m)
		if found && !p.beyond {
			return true, nil
		}
		limit := m.limit
		if p.beyond {
			limit = m.cap
		}
		if c == nil { // opened late: what is hot is in the windows
			c = newCursor(s, p.object)
		}
		if !slices.Equal(c.object, p.object) {
			c.reset(p.object)
		}
		if at, ok := c.find(m.no, limit); ok && (!found || at >= inWindow) {
			body, err := c.value()
			if err == nil {
				err = p.store(body, at, m.cap)
			}
			if err != nil {
				err = fmt.Errorf("at %v: %w", at, err)
			}
			return true, err
		}
		if found {
			return true, nil
		}
	}
	return false, nil
}

func (p *probe) findInWindows(m *sight) (at pg.LSN, found bool) {
	for _, w := range m.windows {
		if at, found := p.window(w, m.cap); found {
			return at, true
		}
	}
	return 0, false
}

// eachObject calls fn with the objects that begin with prefix, in order, those in the
// store and those in extra, which need not be sorted.
func eachObject(s store.Store, prefix []byte, extra []string, fn func(c *cursor, object []byte) error) (err error) {
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
