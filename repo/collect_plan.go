package repo

import (
	"bytes"
	"context"
	"fmt"

	"zenith/internal/pg"
)

// Forgettable is what Collect would forget of a timeline.
type Forgettable struct {
	From, To pg.LSN // where its kept history begins now, and where it would begin
	Versions int64  // that would be deleted, of anything: about so many
}

// WouldForget says what Collect would forget for these horizons, and forgets nothing. Timelines of
// which nothing would be forgotten are not in the answer.
func (r *Repository) WouldForget(ctx context.Context, horizons map[TimelineID]pg.LSN) (map[TimelineID]*Forgettable, error) {
	all := make(map[TimelineID]*Forgettable)
	byNo := make(map[timelineNo]*forgetting)
	for _, t := range r.Timelines() {
		target, ok := horizons[t.ID()]
		from := max(t.OwnHorizon(), t.StartLSN())
		if !ok || target <= from {
			continue
		}
		if target > t.view.Load().flushed.lsn { // what is in memory is not counted
			if err := t.Flush(ctx); err != nil {
				return nil, fmt.Errorf("flush %s: %w", t.Name(), err)
			}
			target = min(target, t.view.Load().flushed.lsn)
		}
		at, err := t.Resolve(ctx, target)
		if err != nil {
			return nil, fmt.Errorf("horizon of %s: %w", t.Name(), err)
		}
		if at.LSN, err = t.replayable(ctx, at.LSN); err != nil {
			return nil, fmt.Errorf("horizon of %s: %w", t.Name(), err)
		}
		if at.LSN <= from {
			continue
		}
		f := &Forgettable{From: from, To: at.LSN}
		all[t.ID()] = f
		r.pinMu.Lock()
		points := append(t.pointsBelow(at.LSN), at.LSN)
		r.pinMu.Unlock()
		byNo[t.no] = &forgetting{f, points}
	}
	if len(all) == 0 {
		return all, nil
	}
	for _, k := range collectors {
		if err := r.countForgettable(ctx, k.kind, byNo); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// forgetting is a timeline of which something would be forgotten.
type forgetting struct {
	*Forgettable
	points []pg.LSN // ascending: those that are needed below the horizon, and the horizon
}

// countForgettable counts the versions of a kind below the horizons that no point needs.
func (r *Repository) countForgettable(ctx context.Context, k kind, byNo map[timelineNo]*forgetting) (err error) {
	it := r.store.Iterator([]byte{byte(k)})
	defer closeIterator(it, &err)
	var g group
	n := 0
	for it.Seek([]byte{byte(k)}); it.Valid(); it.Next() {
		if n++; n%batchScan == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		object, no, lsn, ok := splitVersion(it.Key())
		if !ok {
			return fmt.Errorf("key %x: %w", it.Key(), ErrCorrupt)
		}
		f := byNo[no]
		if f != nil && (no != g.no || !bytes.Equal(object, g.object)) {
			g = group{object: bytes.Clone(object), no: no, points: f.points}
		}
		if f != nil && lsn <= f.To && len(g.serve(lsn)) == 0 {
			f.Versions++
		}
	}
	return nil
}
