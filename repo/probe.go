package repo

import (
	"fmt"
	"slices"

	"zenith/internal/pg"
	"zenith/repo/store"
)

// probe looks for the newest version of one object along a lineage. Sizes, databases,
// files and states are read through it. Pages, which need more than the newest version,
// are read through pageReader.fill.
type probe struct {
	object []byte
	// window looks in w for the newest version at or below limit. It passes the version on to the
	// probe's caller, and gives its LSN.
	window func(w *window, limit pg.LSN) (pg.LSN, bool)
	// store passes a version from the store at at on to the probe's caller. body is its value,
	// unstamped and not empty. Of a value with several versions, those above limit do not count.
	store func(body []byte, at, limit pg.LSN) error
	// beyond says that the store may have versions that are newer than those in windows: files
	// that PutFile stored.
	beyond bool
}

// find runs the probe. If c is nil, it makes a cursor when it needs one; else c must have been made
// after sights.
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
		if c == nil { // made only now: hot pages are found in windows, without a cursor
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

// findInWindows looks in a member's windows, the newest first.
func (p *probe) findInWindows(m *sight) (at pg.LSN, found bool) {
	for _, w := range m.windows {
		if at, found := p.window(w, m.cap); found {
			return at, true
		}
	}
	return 0, false
}

// eachObject calls fn with each object that begins with prefix, in order: those in the store, and
// those in extra, which need not be sorted. c is a cursor on the object, which fn may move.
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
