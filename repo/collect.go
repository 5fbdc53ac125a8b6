package repo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"zenith/internal/pg"
	"zenith/repo/store"
)

// CollectOptions are Collect's options; the zero value forgets nothing but what deleted timelines
// have left.
type CollectOptions struct {
	// Horizons says below which LSN the history of each timeline is to be forgotten. A horizon
	// never moves back, and never beyond the head. What is still in memory of the history below is
	// flushed first.
	Horizons map[TimelineID]pg.LSN
	// DeletedBefore has branches forgotten that were deleted before that time, also those that
	// are to be kept longer.
	DeletedBefore time.Time
	// Thorough has the store rewritten, so that all space comes back at once. Else it is rewritten
	// when so much was deleted that it pays.
	Thorough bool
	// Rest is called between batches with the time that the last one took, to pause; its error ends
	// Collect. nil: no pauses.
	Rest func(ctx context.Context, worked time.Duration) error
	// Tell is called with how many bytes of keys were looked at; total is 0: it is not known. nil:
	// nobody is told.
	Tell func(what string, done, total int64)
}

// Collected says what Collect did.
type Collected struct {
	Relations int64 // relation forks with versions that were looked at
	Truncated int64 // pages whose records became an image
	Deleted   int64 // versions of anything that were deleted
	Dropped   int64 // dropped forks of which nothing is left

	Branches []TimelineID // that were deleted before, and cannot be brought back any more
	Segments int64        // WAL segments that were removed
}

// Collect forgets what is below the horizons, and whatever deleted timelines have left. One
// collection runs at a time; a second call waits. ErrClosed if the repository is closed meanwhile.
//
// The horizon is stored first; then versions are deleted, those of pages first; then, all of
// that being durable, WAL is removed. So a crash at any place leaves more than is needed, and
// nothing that points at what is not there. The next collection deletes the rest.
//
// Readers go on meanwhile. A trimmed chunk takes the place of a chunk by one write to its key, and
// says the same to every kept point; so a reader may meet the one or the other. The versions below
// it are deleted when it is durable, and when every reader has ended that may have met the chunk:
// readers hold Repository.reading, and cursors do not outlive a change of Repository.epoch. A reader
// of a point that is forgotten meanwhile learns it after the read, and gets ErrOutOfRange.
func (r *Repository) Collect(ctx context.Context, o CollectOptions) (Collected, error) {
	select {
	case <-r.collecting:
	case <-ctx.Done():
		return Collected{}, ctx.Err()
	case <-r.closing:
		return Collected{}, ErrClosed
	}
	defer func() { r.collecting <- struct{}{} }()
	c := &collection{r: r, o: o, plans: make(map[timelineNo]*plan), freed: make(map[timelineNo]int64), page: make(pg.Page, pg.BlockSize)}
	var err error
	if c.done.Branches, err = r.expire(o.DeletedBefore); err != nil {
		return c.done, err
	}
	c.dead = r.listGone()
	err = c.run(ctx)
	return c.done, err
}

// Garbage reports whether a timeline is gone, or has been deleted for long enough to be, and no
// collection has deleted its versions yet.
func (r *Repository) Garbage() bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, g := range r.gone {
		if !g.collected {
			return true
		}
	}
	now := time.Now()
	for _, k := range r.kept {
		if !now.Before(*k.row.Until) {
			return true
		}
	}
	return false
}

// gone is a timeline that was deleted, or never finished.
type gone struct {
	beforeOpen bool // it was so at Open: nobody can be writing its versions any more
	collected  bool // a collection has deleted the versions that were there
}

// listGone copies r.gone.
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

	scanned int64                // keys that were looked at
	looked  int64                // bytes of these keys
	freed   map[timelineNo]int64 // bytes of versions that were deleted, by timeline
	batch   batch
	last    [][]byte // keys that are deleted when all else is
	cursor  *cursor  // to rebuild pages with; closed at the end of each batch
	page    pg.Page  // the page that is rebuilt
	chunks  chunkDecoder
	rf      pg.RelFork // the fork that done.Relations counted last
}

// plan says what stays of a timeline.
type plan struct {
	t       *Timeline
	horizon pg.LSN
	points  []pg.LSN        // the kept points below the horizon, and the horizon; ascending
	segs    map[pg.LSN]bool // the segments below floor that stay, by their first LSN
	floor   pg.LSN          // all segments from here on stay

	sights map[pg.LSN][]sight // at points; dropped at the end of each batch
	rf     pg.RelFork
	rels   map[pg.LSN]relState // the state of rf at points
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
	if err := errors.Join(c.settle(), c.removeRows()); err != nil {
		return err
	}
	changed := c.done.Deleted + c.done.Truncated
	if c.o.Thorough || changed*compactShare > c.scanned {
		return c.r.store.Compact(ctx)
	}
	return nil
}

// compactShare is how many entries there may be for each one that changed if rewriting the store is
// to pay.
const compactShare = 8

// plan moves t's horizon to the last record boundary at or below target, and finds out what must
// stay. If nothing below the horizon can be forgotten there is no plan.
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
		if horizon, err = t.replayable(ctx, max(horizon, at.LSN)); err != nil {
			return err
		}
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

// advance moves the horizon up to h, durably, unless somebody holds it. It gives the horizon, and the
// points below it that are pinned, ascending.
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
		t.horizon.Store(old) // nothing was deleted yet, so the points below can still be read
		return 0, nil, fmt.Errorf("store the horizon: %w", err)
	}
	return h, points, nil
}

// pointsBelow lists the points below h that are pinned, ascending. The caller has pinMu.
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

// states stores the control data at each of the plan's points, since the WAL from which Resolve
// would compute them may go. It notes the segments that stay because the data directory at a point
// shows them: those with the record that ends there.
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

// segment gives the first LSN of the segment that has lsn.
func (p *plan) segment(lsn pg.LSN) pg.LSN { return lsn - lsn%pg.LSN(p.t.info.SegSize) }

// keepWAL notes that the segments with WAL in [from, to) stay.
func (p *plan) keepWAL(from, to pg.LSN) {
	for at := p.segment(from); at < to; at += pg.LSN(p.t.info.SegSize) {
		p.segs[at] = true
	}
}

// newBatch drops the sights: after a batch of deletions they must be looked at again.
func (p *plan) newBatch() { p.sights = make(map[pg.LSN][]sight) }

// look gives the sights at one of the points.
func (p *plan) look(at pg.LSN) []sight {
	l, ok := p.sights[at]
	if !ok {
		l = p.t.lineage(at).look()
		p.sights[at] = l
	}
	return l
}

// rel gives rf's state at one of the points.
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
