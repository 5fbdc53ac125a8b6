package tenants

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"zenith/internal/api"
	"zenith/internal/pg"
	"zenith/repo"
)

// Retention says how much history is kept: a point is forgotten when it is older than Time
// and more than Bytes of WAL behind the head.
type Retention struct {
	Time  time.Duration
	Bytes int64

	// Deleted is how long a deleted branch can be brought back, at least; 0: defaultDeleted.
	Deleted time.Duration
}

// defaultDeleted is how long deleted branches are kept where nothing is set.
const defaultDeleted = 24 * time.Hour

func (r Retention) deleted() time.Duration { return cmp.Or(r.Deleted, defaultDeleted) }

// DefaultRetention is what is kept where nothing is set.
var DefaultRetention = Retention{Time: 7 * 24 * time.Hour}

// retentions say how much history is kept, of all tenants and of single ones.
type retentions struct {
	all    Retention
	single map[string]Retention // by the tenant's id
}

// SetRetention changes how much history is kept, from the next collection on.
func (m *Manager) SetRetention(all Retention, single map[string]Retention) {
	m.retain.Store(&retentions{cmp.Or(all, DefaultRetention), single})
}

// retention gives what is kept of a tenant.
func (m *Manager) retention(id repo.TenantID) Retention {
	retain := m.retain.Load()
	if r, ok := retain.single[id.String()]; ok {
		return r
	}
	return retain.all
}

// leaseTime is how long a lease lasts.
const leaseTime = 10 * time.Minute

// Lease keeps the point that an LSN means from being collected for ten minutes from now.
func (m *Manager) Lease(ctx context.Context, tenant, name string, lsn pg.LSN) (time.Time, error) {
	b, release, err := m.lookup(ctx, tenant, name)
	if err != nil {
		return time.Time{}, err
	}
	defer release()
	if _, err := b.resolve(ctx, api.Point{LSN: lsn}); err != nil {
		return time.Time{}, err
	}
	until := time.Now().Add(leaseTime).Truncate(time.Microsecond)
	err = b.tl.Lease(ctx, lsn, until)
	if errors.Is(err, repo.ErrOutOfRange) {
		return until, b.outOfRange(api.Point{LSN: lsn})
	}
	return until, classify(err)
}

// GC forgets the history of one branch, or of all of the tenant's if name is "", that is not
// to be retained, and what deleted branches have left.
func (m *Manager) GC(ctx context.Context, tenant, name string, o api.GCOptions) (api.GCResult, error) {
	began := time.Now()
	t, release, err := m.tenant(ctx, tenant)
	if err != nil {
		return api.GCResult{}, err
	}
	defer release()
	horizons, err := t.horizonsOf(ctx, name, o.Retain)
	if err == nil && o.Retain.Set && !o.Force {
		err = t.checkYoung(ctx, horizons, began.Add(-young))
	}
	if err != nil {
		return api.GCResult{}, err
	}
	c := repo.CollectOptions{Horizons: horizons, Thorough: true, Tell: o.Progress}
	if o.Force && name == "" {
		c.DeletedBefore = began.Add(-o.Retain.Time)
	}
	res, err := t.collectAll(ctx, c)
	return api.GCResult{
		Relations: res.Relations, Truncated: res.Truncated, Deleted: res.Deleted, Dropped: res.Dropped, Elapsed: time.Since(began),
	}, classify(err)
}

// collectAll collects, and removes what there is of branches besides the repository.
func (t *tenant) collectAll(ctx context.Context, o repo.CollectOptions) (repo.Collected, error) {
	began := time.Now()
	res, err := t.repo.Collect(ctx, o)
	t.m.meters.collected(began, res, err)
	for _, id := range res.Branches {
		err = errors.Join(err, removeSlots(t.dir, id))
	}
	return res, err
}

// horizonsOf finds out up to where a branch may be forgotten, or each of the tenant's if name is "".
func (t *tenant) horizonsOf(ctx context.Context, name string, r api.Retain) (map[repo.TimelineID]pg.LSN, error) {
	keep := t.m.retention(t.id)
	if r.Set {
		keep = Retention{Time: r.Time, Bytes: r.Bytes}
	}
	timelines := t.repo.Timelines()
	if name != "" {
		b, err := t.lookup(name)
		if err != nil {
			return nil, err
		}
		timelines = []*repo.Timeline{b.tl}
	}
	return t.horizons(ctx, timelines, keep)
}

// horizons gives the LSN below which each timeline may be forgotten.
func (t *tenant) horizons(ctx context.Context, timelines []*repo.Timeline, keep Retention) (map[repo.TimelineID]pg.LSN, error) {
	all := make(map[repo.TimelineID]pg.LSN)
	for _, tl := range timelines {
		b, err := t.branch(tl)
		if errors.Is(err, api.ErrNotFound) {
			continue // it was deleted just now
		}
		if err == nil {
			_, err = b.catchup(ctx)
		}
		if err == nil {
			all[tl.ID()], err = b.horizon(ctx, keep)
		}
		if err != nil {
			return nil, classify(fmt.Errorf("forget history of %s: %w", tl.Name(), err))
		}
	}
	return all, t.keepForSlots(all)
}

// keepForSlots lowers horizons to the WAL that replication slots need: a slot needs that of its branch and, in
// front of the branch point, that of the ancestors.
func (t *tenant) keepForSlots(horizons map[repo.TimelineID]pg.LSN) error {
	// Before and behind the live ones: a branch that is deleted or comes back meanwhile is seen once, at least.
	if err := t.keepForDeleted(horizons); err != nil {
		return err
	}
	for _, tl := range t.repo.Timelines() {
		b, err := t.branch(tl)
		if errors.Is(err, api.ErrNotFound) {
			continue // it was deleted just now, and keepForDeleted sees it
		}
		if err != nil {
			return err
		}
		keepFrom(horizons, tl, b.slots.horizon())
	}
	return t.keepForDeleted(horizons)
}

// keepFrom lowers horizons of a timeline and its ancestors to an LSN; 0: nothing is needed.
func keepFrom(horizons map[repo.TimelineID]pg.LSN, tl *repo.Timeline, need pg.LSN) {
	for o := tl; need != 0 && o != nil; o, _ = o.Ancestor() {
		if h, ok := horizons[o.ID()]; ok && need < h {
			horizons[o.ID()] = need
		}
	}
}

// keepForDeleted is keepForSlots for the slots of deleted branches, which are there again when these come back.
func (t *tenant) keepForDeleted(horizons map[repo.TimelineID]pg.LSN) error {
	all := t.repo.Deleted()
	parents := make(map[repo.TimelineID]repo.TimelineID)
	for _, d := range all {
		parents[d.ID] = d.Parent
	}
	for _, d := range all {
		need := openSlots(t.dir, d.ID, t.log.With("branch", d.Name)).horizon()
		if need == 0 {
			continue
		}
		id := d.Parent
		for _, deleted := parents[id]; deleted; _, deleted = parents[id] { // a deleted ancestor keeps all that it has
			id = parents[id]
		}
		tl, err := t.repo.Timeline(id)
		if errors.Is(err, repo.ErrNotFound) { // it has no ancestor, or was brought back just now, and counts as such
			continue
		}
		if err != nil {
			return err
		}
		keepFrom(horizons, tl, need)
	}
	return nil
}

// horizon gives the LSN below which the branch may be forgotten, 0 if all of it must be kept.
func (b *branch) horizon(ctx context.Context, keep Retention) (pg.LSN, error) {
	h := b.tl.LastLSN()
	if h < pg.LSN(keep.Bytes) {
		return 0, nil
	}
	h -= pg.LSN(keep.Bytes)
	if keep.Time == 0 {
		return h, nil
	}
	at, err := b.tl.FindTime(ctx, time.Now().Add(-keep.Time))
	if errors.Is(err, repo.ErrOutOfRange) {
		return 0, nil // all of the branch is younger than that
	}
	return min(h, at.LSN), err
}

// How the background collects. A collection goes through all of the store's index: it must
// be worth it.
const (
	defaultCollectEvery = time.Hour
	visitClosedEvery    = 24 * time.Hour // how often a tenant that nobody uses is opened and collected
	collectWorth        = 64 << 20       // bytes of WAL
)

// runCollector collects what is not to be retained, now and then, until the Manager closes.
func (m *Manager) runCollector() {
	visited := make(map[string]time.Time)
	m.every(m.cfg.CollectEvery, func(time.Time) { m.eachTenant(func(id string) { m.collectDue(id, visited) }) })
}

// collectDue collects a tenant, one that is closed only when it was not visited for long.
func (m *Manager) collectDue(id string, visited map[string]time.Time) {
	last, ok := visited[id]
	if !ok && !m.isOpen(id) {
		visited[id] = time.Now() // closed tenants wait a day: to open all of them at the start would be slow
	} else if m.isOpen(id) || time.Since(last) >= visitClosedEvery {
		visited[id] = time.Now()
		if err := m.collect(m.ctx, id); err != nil && m.ctx.Err() == nil {
			m.log.Error("forget history", "tenant", id, "err", err)
		}
	}
}

// isOpen reports whether a tenant is in use.
func (m *Manager) isOpen(id string) bool {
	tid, err := repo.ParseTenantID(id)
	m.mu.Lock()
	defer m.mu.Unlock()
	return err == nil && m.tenants[tid] != nil
}

// collect forgets a tenant's history by its settings, if enough of it can be forgotten to be worth a pass
// over the index, or deleted branches have left something.
func (m *Manager) collect(ctx context.Context, id string) error {
	t, release, err := m.tenant(ctx, id)
	if err != nil {
		return err
	}
	defer release()
	o := repo.CollectOptions{Rest: rest}
	if o.Horizons, err = t.horizons(ctx, t.repo.Timelines(), m.retention(t.id)); err != nil {
		return err
	}
	worth := pg.LSN(0)
	for _, tl := range t.repo.Timelines() {
		if h := tl.OwnHorizon(); o.Horizons[tl.ID()] > h {
			worth += o.Horizons[tl.ID()] - h
		}
	}
	if worth < collectWorth && !t.repo.Garbage() {
		return nil
	}
	began := time.Now()
	res, err := t.collectAll(ctx, o)
	t.log.Info("forgot history", "truncated", res.Truncated, "deleted", res.Deleted, "segments", res.Segments, "took", time.Since(began), "err", err)
	return err
}

// rest waits as long as the collection has just worked, up to a second, so that it takes no more than half of
// the machine.
func rest(ctx context.Context, worked time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(min(worked, time.Second)):
		return nil
	}
}
