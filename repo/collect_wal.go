package repo

import (
	"slices"
	"time"

	"zenith/internal/pg"
	"zenith/repo/segment"
	"zenith/repo/store"
)

// removeWAL removes the segments of a timeline that nothing needs. No version in the store
// points at them any more.
func (c *collection) removeWAL(p *plan) error {
	segments, err := p.unneeded()
	if err != nil || len(segments) == 0 {
		return err
	}
	c.r.awaitReaders() // a reader may have collected a chain that points at them before it was trimmed
	c.done.Segments += int64(len(segments))
	return p.t.wal.Remove(segments)
}

// unneeded lists the segments that no point, no version that stayed and no running server needs.
func (p *plan) unneeded() ([]segment.Segment, error) {
	segments, err := p.t.wal.Segments()
	return slices.DeleteFunc(segments, func(s segment.Segment) bool {
		return s.Start >= p.floor || p.segs[s.Start] || walTimeline{p.t}.Held(s.Name)
	}), err
}

// removeRows removes the rows of leases that have ended and of gone timelines that have no versions
// any more.
func (c *collection) removeRows() error {
	ops, err := c.oldLeases()
	if err != nil {
		return err
	}
	for no, g := range c.dead {
		if g.beforeOpen {
			for _, k := range [...]kind{kindFlushed, kindHorizon, kindIndexed, kindSpace, kindTimeline} {
				ops = append(ops, store.Op{Key: timelineKey(k, no)})
			}
		}
	}
	for len(ops) > 0 {
		n := min(len(ops), 1000)
		if err := c.r.store.Update(ops[:n]); err != nil {
			return err
		}
		ops = ops[n:]
	}
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	for no, g := range c.dead {
		if g.beforeOpen {
			delete(c.r.gone, no)
		} else {
			c.r.gone[no] = gone{collected: true}
		}
	}
	return nil
}

// oldLeases drops leases that have ended, and gives the writes that delete their rows.
func (c *collection) oldLeases() (ops []store.Op, err error) {
	c.r.leasing.Lock()
	defer c.r.leasing.Unlock()
	now := time.Now()
	err = readLeases(c.r.store, func(no timelineNo, at pg.LSN, row leaseRow) {
		if now.After(row.Until) {
			ops = append(ops, store.Op{Key: leaseKey(no, at)})
		}
	})
	c.r.pinMu.Lock()
	defer c.r.pinMu.Unlock()
	for _, t := range c.r.Timelines() {
		for at, l := range t.pinned.leases {
			if now.After(l.Until) {
				delete(t.pinned.leases, at)
			}
		}
	}
	return ops, err
}
