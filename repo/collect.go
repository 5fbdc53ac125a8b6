package repo

import (
	"context"
	"fmt"
	"slices"
	"time"

	"zenith/internal/pg"
	"zenith/repo/store"
)

// CollectOptions are Collect's.
type CollectOptions struct {
	// Horizons says whose history is to be forgotten, and before which LSN. A horizon does
	// not move back. What of it is still in memory is flushed first.
	Horizons map[TimelineID]pg.LSN
	// Thorough gives all of the space back at once. Else it comes when there is so much of it
	// that rewriting the store pays.
	Thorough bool
	// Rest is called between batches with the time that the last one took; nil: no rest.
	Rest func(ctx context.Context, worked time.Duration) error
	// Tell is told how many bytes of the store's keys were looked at; nil: nobody is told.
	Tell func(what string, done, total int64)
}

// Collected says what Collect did.
type Collected struct {
	Relations int64 // forks of which versions were looked at
	Truncated int64 // pages whose records became an image
	Deleted   int64 // versions, of anything
	Dropped   int64 // dropped forks that left no trace
	Segments  int64 // of WAL
}

// Collect forgets what is below the horizons, and whatever deleted timelines have left. One
// collection runs at a time.
//
// The horizon is stored first; then versions are deleted, those of pages first; then, all of
// that being durable, WAL is removed. So a crash at any place leaves more than is needed, and
// nothing that points at what is not there. The next collection deletes the rest.
//
// Readers go on meanwhile. A base takes the place of a chunk by one write to its key, and says
// the same to every point that is needed; so a reader may meet the one or the other. The
// versions below it are deleted when it is durable, and when every reader is gone that may
// have met the chunk: readers hold Repository.reading, and cursors do not outlive a change
// of Repository.cuts. A reader of a point that is forgotten meanwhile is told afterwards.
func (r *Repository) Collect(ctx context.Context, o CollectOptions) (Collected, error) {
	select {
	case <-r.collecting:
	case <-ctx.Done():
		return Collected{}, ctx.Err()
	case <-r.closing:
		return Collected{}, ErrClosed
	}
	defer func() { r.collecting <- struct{}{} }()
	c := &collection{r: r, o: o, plans: make(map[timelineNo]*plan), page: make(pg.Page, pg.BlockSize)}
	c.dead = r.listGone()
	err := c.run(ctx)
	return c.done, err
}

// Garbage reports whether deleted timelines have left what was not collected yet.
func (r *Repository) Garbage() bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, g := range r.gone {
		if !g.collected {
			return true
		}
	}
	return false
}

// gone is a timeline that was deleted.
type gone struct {
	beforeOpen bool // before Open: nobody can be writing for it any more
	collected  bool // a collection has deleted what it found of it
}

func (r *Repository) listGone() map[timelineNo]gone {
	r.mu.RLock()
	defer r.mu.RUnlock()
	all := make(map[timelineNo]gone, len(r.gone))
	for no, g := range r.gone {
		all[no] = g
	}
	return all
}

// collection is one run of Collect.
type collection struct {
	r     *Repository
	o     CollectOptions
	plans map[timelineNo]*plan
	dead  map[timelineNo]gone
	done  Collected

	scanned int64 // keys
	looked  int64 // bytes of keys
	batch   batch
	last    [][]byte // keys to be deleted when all else is
	cursor  *cursor  // to rebuild pages with, good for one batch
	page    pg.Page
	chunks  chunkDecoder
	rf      pg.RelFork // the last that was counted
}

// plan is what is to be kept of a timeline.
type plan struct {
	t       *Timeline
	horizon pg.LSN
	points  []pg.LSN // ascending: those that are needed below the horizon, and the horizon
	segs    map[pg.LSN]bool
	floor   pg.LSN // the segment from which on all WAL is kept; below, what is in segs

	sights map[pg.LSN][]sight // of points, good for one batch
	rels   map[pg.LSN]relState
	rf     pg.RelFork // whose rels are
}

func (c *collection) run(ctx context.Context) error {
	for _, t := range c.r.Timelines() {
		if h, ok := c.o.Horizons[t.ID()]; ok {
			if err := c.plan(ctx, t, h); err != nil && !t.isDeleted() {
				return fmt.Errorf("forget history of %s: %w", t.Name(), err)
			}
		}
	}
	if len(c.plans) == 0 && len(c.dead) == 0 {
		return nil
	}
	if err := c.versions(ctx); err != nil {
		return err
	}
	for _, p := range c.plans {
		if err := c.removeWAL(p); err != nil {
			return fmt.Errorf("remove wal of %s: %w", p.t.Name(), err)
		}
	}
	if err := c.removeRows(); err != nil {
		return err
	}
	changed := c.done.Deleted + c.done.Truncated
	if c.o.Thorough || changed*compactShare > c.scanned {
		return c.r.store.Compact(ctx)
	}
	return nil
}

// compactShare: the store is rewritten when one in so many of its entries changed.
const compactShare = 8

// plan moves t's horizon and finds out what must stay.
func (c *collection) plan(ctx context.Context, t *Timeline, target pg.LSN) error {
	if target > t.view.Load().flushed.lsn {
		if err := t.Flush(ctx); err != nil {
			return err
		}
		target = min(target, t.view.Load().flushed.lsn)
	}
	horizon := t.OwnHorizon()
	if target > horizon {
		at, err := t.Resolve(ctx, target)
		if err != nil {
			return err
		}
		horizon = max(horizon, at.LSN)
	}
	if horizon == t.info.StartLSN {
		return nil
	}
	if err := t.lineage(horizon).complete(); err != nil {
		return err
	}
	horizon, points, err := t.advance(horizon)
	if err != nil || horizon == t.info.StartLSN {
		return err
	}
	p := &plan{t: t, horizon: horizon, points: append(points, horizon), segs: make(map[pg.LSN]bool)}
	p.newBatch()
	if err := p.states(ctx); err != nil {
		return err
	}
	c.plans[t.no] = p
	return nil
}

// advance moves the horizon to h, durably, unless it is held. It gives where it is then, and
// the points below that are needed, in order.
func (t *Timeline) advance(h pg.LSN) (pg.LSN, []pg.LSN, error) {
	t.r.pinMu.Lock()
	old := t.horizon.Load()
	if t.pinned.held > 0 {
		h = t.OwnHorizon()
	}
	move := h > t.OwnHorizon()
	if move {
		t.horizon.Store(uint64(h))
	}
	points := t.pointsBelow(h)
	t.r.pinMu.Unlock()
	if !move {
		return h, points, nil
	}
	if err := t.r.update(rowOp(timelineKey(kindHorizon, t.no), horizonRow{rowLSN(h)})); err != nil {
		t.r.pinMu.Lock()
		defer t.r.pinMu.Unlock()
		t.horizon.Store(old) // nothing was deleted
		return 0, nil, fmt.Errorf("store the horizon: %w", err)
	}
	return h, points, nil
}

// pointsBelow lists the points below h that something needs. The caller has pinMu.
func (t *Timeline) pointsBelow(h pg.LSN) []pg.LSN {
	all := t.r.branchPoints(t)
	for at := range t.pinned.pins {
		all = append(all, at)
	}
	now := time.Now()
	for at, l := range t.pinned.leases {
		if now.Before(l.Until) {
			all = append(all, at)
		}
	}
	all = slices.DeleteFunc(all, func(at pg.LSN) bool { return at >= h })
	slices.Sort(all)
	return slices.Compact(all)
}

// states stores the control data at each point, so that no WAL is needed to get there, and
// notes the segments that a data directory shows there: those with the last record before.
func (p *plan) states(ctx context.Context) error {
	for _, at := range p.points {
		s, err := p.t.stateBefore(at)
		if err != nil {
			return err
		}
		if s.LSN != at {
			point, err := p.t.resolve(ctx, at)
			if err == nil && point.LSN != at {
				err = fmt.Errorf("%v is inside the record after %v: %w", at, point.LSN, ErrCorrupt)
			}
			if err != nil {
				return err
			}
			s = point.State
			key := appendVersion(appendState(nil), p.t.no, at)
			if err := p.t.r.store.Update([]store.Op{stampedOp(key, s.Encode())}); err != nil {
				return err
			}
		}
		p.keepWAL(min(s.Prev, at), at+1)
		p.floor = p.segment(min(s.Prev, at))
	}
	return nil
}

func (p *plan) segment(lsn pg.LSN) pg.LSN { return lsn - lsn%pg.LSN(p.t.info.SegSize) }

// keepWAL keeps the segments with WAL in [from, to).
func (p *plan) keepWAL(from, to pg.LSN) {
	for at := p.segment(from); at < to; at += pg.LSN(p.t.info.SegSize) {
		p.segs[at] = true
	}
}

// forget drops what is good for one batch only.
func (p *plan) newBatch() { p.sights = make(map[pg.LSN][]sight) }

// look gives the sights at a point.
func (p *plan) look(at pg.LSN) []sight {
	l, ok := p.sights[at]
	if !ok {
		l = p.t.lineage(at).look()
		p.sights[at] = l
	}
	return l
}

// rel gives rf's state at a point.
func (p *plan) rel(at pg.LSN, rf pg.RelFork) (relState, error) {
	if p.rf != rf || p.rels == nil {
		p.rf, p.rels = rf, make(map[pg.LSN]relState)
	}
	if st, ok := p.rels[at]; ok {
		return st, nil
	}
	st, err := lookupSize(p.t.r.store, p.look(at), rf)
	if err == nil {
		p.rels[at] = st
	}
	return st, err
}
