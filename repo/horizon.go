package repo

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"zenith/internal/pg"
)

// A timeline's horizon is where its kept history begins: points below it are forgotten, but
// those that something needs. It is stored before anything is deleted and moves forward only.
//
// A point below the horizon is needed while it is pinned: by a Pin or a lease, or because a
// branch begins there. Points that are not at once both refused and needed: pins come and go,
// and the horizon moves, under one lock.

// horizonRow is how far a timeline's history was forgotten.
type horizonRow struct{ LSN rowLSN }

// leaseRow is a point that is kept for a while.
type leaseRow struct {
	UpTo  rowLSN // LSNs from the point up to here mean the point
	Until time.Time
}

// pinned are the points of a timeline that something needs. The repository's pinMu guards it.
type pinned struct {
	pins   map[pg.LSN]int
	leases map[pg.LSN]leaseRow
	held   int // the horizon does not move
}

// owner is the timeline of t's lineage that has lsn in its own WAL.
func (t *Timeline) owner(lsn pg.LSN) *Timeline {
	for t.parent != nil && lsn < t.info.StartLSN {
		t = t.parent
	}
	return t
}

// OwnHorizon is where t's own kept history begins: at its start, if nothing was forgotten.
func (t *Timeline) OwnHorizon() pg.LSN { return max(pg.LSN(t.horizon.Load()), t.info.StartLSN) }

// FirstLSN is the first LSN from which on everything can be read through t, its ancestors
// included. Below it there may be pinned points.
func (t *Timeline) FirstLSN() pg.LSN {
	for t.OwnHorizon() == t.info.StartLSN && t.parent != nil && t.parent.OwnHorizon() <= t.info.StartLSN {
		t = t.parent
	}
	return t.OwnHorizon()
}

// Horizon is FirstLSN if history before it was forgotten; 0 if nothing was.
func (t *Timeline) Horizon() pg.LSN {
	if first := t.FirstLSN(); first > t.first {
		return first
	}
	return 0
}

// needed finds the pinned point of t, below its horizon, that lsn means.
func (t *Timeline) needed(lsn pg.LSN) (pg.LSN, bool) {
	t.r.pinMu.Lock()
	defer t.r.pinMu.Unlock()
	return t.neededLocked(lsn)
}

func (t *Timeline) neededLocked(lsn pg.LSN) (pg.LSN, bool) {
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

// branchPoints lists where t's children begin.
func (r *Repository) branchPoints(t *Timeline) (all []pg.LSN) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, c := range r.byID {
		if c.parent == t {
			all = append(all, c.info.StartLSN)
		}
	}
	return all
}

// reach gives the LSN to look at for who asks for lsn: itself, or the pinned point that it
// means; ErrOutOfRange if it was forgotten.
func (t *Timeline) keptPoint(lsn pg.LSN) (pg.LSN, error) {
	o := t.owner(lsn)
	if lsn >= o.OwnHorizon() {
		return lsn, nil
	}
	if at, ok := o.needed(lsn); ok {
		return at, nil
	}
	return 0, o.errForgotten(lsn)
}

func (t *Timeline) errForgotten(lsn pg.LSN) error {
	return fmt.Errorf("%v is below the horizon of %s, %v: %w", lsn, t.Name(), t.OwnHorizon(), ErrOutOfRange)
}

// kept reports an error if what was read at a point may have been collected meanwhile: it is
// asked after a read, since the horizon moves before anything is deleted.
func (t *Timeline) checkKept(lsn pg.LSN) error {
	_, err := t.keptPoint(lsn)
	return err
}

// Pin keeps a point, a record boundary that Resolve gave, from being collected until release
// is called. ErrOutOfRange if it is below the horizon and nothing else keeps it.
func (t *Timeline) Pin(lsn pg.LSN) (release func(), err error) {
	if head := t.LastLSN(); lsn > head {
		return nil, fmt.Errorf("%v is beyond the head of %s, %v: %w", lsn, t.Name(), head, ErrOutOfRange)
	}
	o := t.owner(lsn)
	o.r.pinMu.Lock()
	defer o.r.pinMu.Unlock()
	if lsn < o.OwnHorizon() {
		if at, ok := o.neededLocked(lsn); !ok || at != lsn {
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

// Hold keeps the horizons of t and its ancestors where they are until release is called: for
// who goes through the history.
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

// Lease keeps the point that lsn means until a time, over restarts. Leased again, it is kept
// until the later of the times.
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
	o.r.leasing.Lock() // rows are stored in the order in which they count
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

// loadPins reads the horizons and leases of the timelines.
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
