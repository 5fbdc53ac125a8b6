package repo

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"zenith/internal/pg"
	"zenith/internal/xlog"
	"zenith/repo/store"
)

// removeWAL removes the segments of a timeline that nothing needs. No version in the store
// points at them any more.
func (c *collection) removeWAL(p *plan) error {
	names, err := p.unneeded()
	if err != nil || len(names) == 0 {
		return err
	}
	c.r.cut() // who has collected a chain that points at them reads to its end
	for _, name := range names {
		if err := os.Remove(filepath.Join(p.t.WALDir(), name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		_, start, _ := xlog.ParseSegmentName(name, p.t.info.SegSize)
		p.t.wal.forget(start)
		c.done.Segments++
	}
	return SyncDir(p.t.WALDir())
}

// unneeded lists the segments below the horizon that neither a point nor a version that was
// left needs, nor a running server.
func (p *plan) unneeded() (names []string, err error) {
	p.t.r.pinMu.Lock()
	held := p.t.heldWAL
	p.t.r.pinMu.Unlock()
	entries, err := os.ReadDir(p.t.WALDir())
	if errors.Is(err, fs.ErrNotExist) { // nothing was ever written there, or the timeline is deleted
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		_, start, ok := xlog.ParseSegmentName(e.Name(), p.t.info.SegSize)
		if !ok || start >= p.floor || p.segs[start] || held != nil && held(e.Name()) {
			continue
		}
		names = append(names, e.Name())
	}
	return names, nil
}

// removeRows removes leases that are over, and what says that there were timelines, of which
// nothing is left.
func (c *collection) removeRows() error {
	ops, err := c.oldLeases()
	if err != nil {
		return err
	}
	for no, g := range c.dead {
		if g.before {
			for _, k := range [...]kind{kindFlushed, kindHorizon, kindTimeline} {
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
		if g.before {
			delete(c.r.gone, no)
		} else {
			c.r.gone[no] = gone{swept: true}
		}
	}
	return nil
}

// oldLeases forgets leases that are over, and gives the deletion of their rows.
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
