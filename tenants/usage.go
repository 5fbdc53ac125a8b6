package tenants

import (
	"context"
	"path/filepath"
	"time"

	"zenith/internal/api"
	"zenith/repo"
)

// BranchDetails gives a tenant's branches in the order of their creation, with what takes a closer look.
func (m *Manager) BranchDetails(ctx context.Context, tenant string) ([]api.BranchDetail, error) {
	t, release, err := m.tenant(ctx, tenant)
	if err != nil {
		return nil, err
	}
	defer release()
	own := make(map[repo.TimelineID]int64)
	list := []api.BranchDetail{}
	for _, tl := range t.repo.Timelines() { // ancestors come first
		pages, wal, err := t.space(tl)
		if err != nil {
			return nil, err
		}
		own[tl.ID()] = pages + wal
		d := api.BranchDetail{Branch: describe(tl), OwnBytes: pages + wal, State: t.stateOn(tl), LastWrite: lastWrite(ctx, tl)}
		for o, _ := tl.Ancestor(); o != nil; o, _ = o.Ancestor() {
			d.Shared += own[o.ID()]
		}
		t.mu.Lock()
		d.Waits = t.waits[tl.ID()]
		t.mu.Unlock()
		list = append(list, d)
	}
	return list, nil
}

// lastWrite is the time of the last commit on the timeline itself, as far as it is ingested; nil: there is none.
func lastWrite(ctx context.Context, tl *repo.Timeline) *time.Time {
	at, err := tl.Resolve(ctx, tl.LastLSN())
	if err != nil || at.State.LastCommitLSN <= tl.StartLSN() {
		return nil
	}
	return new(at.State.LastCommit.Time())
}

// stateOn is what the postgres that was made for the head of a branch does, "" if there is none.
func (t *tenant) stateOn(tl *repo.Timeline) string {
	t.mu.Lock()
	c := t.computes[tl.Name()]
	t.mu.Unlock()
	if c == nil {
		return ""
	}
	return c.describe().Status
}

// space gives the bytes on disk of a timeline's own pages, about, and of its own WAL.
func (t *tenant) space(tl *repo.Timeline) (pages, wal int64, err error) {
	wal, err = dirBytes(tl.WALDir())
	return tl.StoredBytes(), wal, err
}

// DiskUsage gives the room that each branch takes, those that were deleted and are kept behind the others.
func (m *Manager) DiskUsage(ctx context.Context, tenant string) ([]api.Usage, error) {
	t, release, err := m.tenant(ctx, tenant)
	if err != nil {
		return nil, err
	}
	defer release()
	list := []api.Usage{}
	for _, tl := range t.repo.Timelines() {
		u := api.Usage{Branch: tl.Name(), TimelineID: tl.ID().String(), FirstLSN: tl.FirstLSN()}
		if u.PageBytes, u.WALBytes, err = t.space(tl); err != nil {
			return nil, err
		}
		if !t.hasChildren(tl) && t.tagOn(tl) == "" {
			u.GivesBack = u.PageBytes + u.WALBytes
		}
		if at, err := tl.Resolve(ctx, tl.FirstLSN()); err == nil {
			u.FirstTime = new(at.State.KnownSince())
		}
		list = append(list, u)
	}
	for _, d := range t.repo.Deleted() {
		u := api.Usage{Branch: d.Name, TimelineID: d.ID.String(), Deleted: true, FirstLSN: d.Start, PageBytes: d.Bytes}
		if u.WALBytes, err = dirBytes(filepath.Join(t.dir, "timelines", d.ID.String(), "wal")); err != nil {
			return nil, err
		}
		u.GivesBack = u.PageBytes + u.WALBytes
		list = append(list, u)
	}
	return list, nil
}
