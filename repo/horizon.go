package repo

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"zenith/internal/pg"
)

// A timeline's horizon is where its kept history begins: points below it are forgotten, but for
// those that are pinned. It is stored before anything is deleted, and moves forward only.
//
// A point below the horizon is pinned by a Pin, a lease or a tag, or because a branch begins there. Pins
// come and go, and the horizon moves, under one lock: so no caller is given a pin on a point that a
// collection has already decided to forget.

// horizonRow stores a timeline's horizon.
type horizonRow struct{ LSN rowLSN }

// leaseRow is a lease of a point.
type leaseRow struct {
	UpTo  rowLSN // the highest LSN that the point was leased for: LSNs from the point up to here mean it
	Until time.Time
}

// pinned are the pins of a timeline. The repository's pinMu guards it.
type pinned struct {
	pins   map[pg.LSN]int // how many Pins each point has
	leases map[pg.LSN]leaseRow
	held   int // how many Holds there are: while there is one the horizon does not move
}

// owner is the timeline of t's lineage that has lsn in its own WAL.
func (t *Timeline) owner(lsn pg.LSN) *Timeline {
	for t.parent != nil && lsn < t.info.StartLSN {
		t = t.parent
	}
	return t
}

// OwnHorizon is where the kept part of t's own history begins: at StartLSN if nothing was forgotten.
func (t *Timeline) OwnHorizon() pg.LSN { return max(pg.LSN(t.horizon.Load()), t.info.StartLSN) }

// FirstLSN is the LSN from which on all points of t and its ancestors can be read. Below it only
// pinned points can.
func (t *Timeline) FirstLSN() pg.LSN {
	for t.OwnHorizon() == t.info.StartLSN && t.parent != nil && t.parent.OwnHorizon() <= t.info.StartLSN {
		t = t.parent
	}
	return t.OwnHorizon()
}

// Horizon is FirstLSN if history below it was forgotten, else 0.
func (t *Timeline) Horizon() pg.LSN {
	if first := t.FirstLSN(); first > t.first {
		return first
	}
	return 0
}

// pinnedPoint finds the pinned point of t's own that lsn means: one at lsn, or one that was leased as
// lsn. The caller has pinMu.
func (t *Timeline) pinnedPoint(lsn pg.LSN) (pg.LSN, bool) {
	if t.pinned.pins[lsn] > 0 {
		return lsn, true
	}
	now := time.Now()
	for at, l := range t.pinned.leases {
		if at <= lsn && lsn <= pg.LSN(l.UpTo) && now.Before(l.Until) {
			return at, true
		}
	}
	return lsn, slices.Contains(t.r.branchPoints(t), lsn)
}

// branchPoints lists the LSNs at which t's children begin, those included that were deleted and are kept, and
// those that have a tag.
func (r *Repository) branchPoints(t *Timeline) (all []pg.LSN) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, c := range r.byID {
		if c.parent == t {
			all = append(all, c.info.StartLSN)
		}
	}
	for _, k := range r.kept {
		if k.row.Parent != nil && *k.row.Parent == t.no {
			all = append(all, pg.LSN(k.row.Start))
		}
	}
	for _, tag := range r.tags {
		if tag.t == t {
			all = append(all, pg.LSN(tag.row.LSN))
		}
	}
	return all
}

// keptPoint gives the LSN to read at when a caller wants lsn: lsn itself if nothing there was
// forgotten, else the pinned point that it means. ErrOutOfRange if it was forgotten.
func (t *Timeline) keptPoint(lsn pg.LSN) (pg.LSN, error) {
	o := t.owner(lsn)
	if lsn >= o.OwnHorizon() {
		return lsn, nil
	}
	o.r.pinMu.Lock()
	defer o.r.pinMu.Unlock()
	if at, ok := o.pinnedPoint(lsn); ok {
		return at, nil
	}
	return 0, o.errForgotten(lsn)
}

func (t *Timeline) errForgotten(lsn pg.LSN) error {
	return fmt.Errorf("%v is below the horizon of %s, %v: %w", lsn, t.Name(), t.OwnHorizon(), ErrOutOfRange)
}

// checkKept reports ErrOutOfRange if the point at lsn is not kept any more. It is called after a
// read: since the horizon moves before anything is deleted, a read of a point that is still kept
// afterwards saw all of it.
func (t *Timeline) checkKept(lsn pg.LSN) error {
	_, err := t.keptPoint(lsn)
	return err
}

// Pin keeps a point until release is called. lsn must be a record boundary that Resolve gave.
// ErrOutOfRange if it is beyond the head, or below the horizon and not pinned already.
func (t *Timeline) Pin(lsn pg.LSN) (release func(), err error) {
	if head := t.LastLSN(); lsn > head {
		return nil, fmt.Errorf("%v is beyond the head of %s, %v: %w", lsn, t.Name(), head, ErrOutOfRange)
	}
	o := t.owner(lsn)
	o.r.pinMu.Lock()
	defer o.r.pinMu.Unlock()
	if lsn < o.OwnHorizon() {
		if at, ok := o.pinnedPoint(lsn); !ok || at != lsn {
			return nil, o.errForgotten(lsn)
		}
	}
	if o.pinned.pins == nil {
		o.pinned.pins = make(map[pg.LSN]int)
	}
	o.pinned.pins[lsn]++
	return sync.OnceFunc(func() {
		o.r.pinMu.Lock()
		defer o.r.pinMu.Unlock()
		if o.pinned.pins[lsn]--; o.pinned.pins[lsn] == 0 {
			delete(o.pinned.pins, lsn)
		}
	}), nil
}

// Hold keeps the horizons of t and its ancestors where they are until release is called. It is for
// callers that read all history from some point on.
func (t *Timeline) Hold() (release func()) {
	add := func(n int) {
		t.r.pinMu.Lock()
		defer t.r.pinMu.Unlock()
		for o := t; o != nil; o = o.parent {
			o.pinned.held += n
		}
	}
	add(1)
	return sync.OnceFunc(func() { add(-1) })
}

// Lease keeps the point at or below lsn until a time, over restarts of the process. While it is kept,
// lsn can be read as that point. A second lease of the point extends the first; it never shortens it.
func (t *Timeline) Lease(ctx context.Context, lsn pg.LSN, until time.Time) error {
	p, err := t.Resolve(ctx, lsn)
	if err != nil {
		return err
	}
	release, err := t.Pin(p.LSN)
	if err != nil {
		return err
	}
	defer release()
	o := t.owner(p.LSN)
	o.r.leasing.Lock() // of two leases of a point, the later one must see the first one's row
	defer o.r.leasing.Unlock()
	row := leaseRow{UpTo: rowLSN(lsn), Until: until}
	o.r.pinMu.Lock()
	if old, ok := o.pinned.leases[p.LSN]; ok {
		row.UpTo = max(row.UpTo, old.UpTo)
		if old.Until.After(until) {
			row.Until = old.Until
		}
	}
	o.r.pinMu.Unlock()
	if err := o.r.update(rowOp(leaseKey(o.no, p.LSN), row)); err != nil {
		return fmt.Errorf("store lease: %w", err)
	}
	o.r.pinMu.Lock()
	defer o.r.pinMu.Unlock()
	if o.pinned.leases == nil {
		o.pinned.leases = make(map[pg.LSN]leaseRow)
	}
	o.pinned.leases[p.LSN] = row
	return nil
}

// loadPins reads the timelines' horizons and leases from the store.
func (r *Repository) loadPins(byNo map[timelineNo]*Timeline) error {
	for no, t := range byNo {
		var row horizonRow
		if _, err := readRow(r.store, timelineKey(kindHorizon, no), &row); err != nil {
			return err
		}
		t.horizon.Store(uint64(row.LSN))
	}
	return readLeases(r.store, func(no timelineNo, lsn pg.LSN, row leaseRow) {
		t := byNo[no]
		if t == nil {
			return
		}
		if t.pinned.leases == nil {
			t.pinned.leases = make(map[pg.LSN]leaseRow)
		}
		t.pinned.leases[lsn] = row
	})
}
