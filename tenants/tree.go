package tenants

import (
	"context"
	"errors"
	"io/fs"

	"zenith/internal/api"
	"zenith/internal/pg"
	"zenith/internal/tree"
	"zenith/repo"
	"zenith/repo/datadir"
)

// everything is what the mount of the whole tree shows, a fusefs.Source. Its methods are called by the
// goroutines that serve the mount.
type everything struct{ m *Manager }

// Tenants lists the tenants' ids.
func (s everything) Tenants(ctx context.Context) ([]string, error) { return s.m.TenantList(ctx) }

// Branches lists a tenant's branches.
func (s everything) Branches(ctx context.Context, tenant string) (map[string]string, error) {
	timelines := map[string]string{}
	branches, err := s.m.BranchList(ctx, tenant)
	for _, b := range branches {
		timelines[b.Name] = b.TimelineID
	}
	return timelines, notExist(err)
}

// Timelines lists the ids of a tenant's timelines.
func (s everything) Timelines(ctx context.Context, tenant string) ([]string, error) {
	list := []string{}
	branches, err := s.m.BranchList(ctx, tenant)
	for _, b := range branches {
		list = append(list, b.TimelineID)
	}
	return list, notExist(err)
}

// Resolve gives the timeline and the LSN that a point means.
func (s everything) Resolve(ctx context.Context, tenant, at string) (string, pg.LSN, error) {
	t, release, err := s.m.tenant(ctx, tenant)
	if err != nil {
		return "", 0, notExist(err)
	}
	defer release()
	b, p, _, err := t.point(ctx, at)
	if err != nil {
		return "", 0, notExist(err)
	}
	return b.tl.ID().String(), p.LSN, nil
}

// Snapshot gives the state of a timeline at an LSN, which garbage collection keeps until release.
func (s everything) Snapshot(ctx context.Context, tenant, timeline string, lsn pg.LSN) (tree.Tree, func(), error) {
	t, done, err := s.m.tenant(ctx, tenant)
	if err != nil {
		return nil, nil, notExist(err)
	}
	defer done() // from here on the pin keeps it open: busyLocked
	b, err := t.lookup(timeline)
	if err != nil {
		return nil, nil, notExist(err)
	}
	at, err := b.resolve(ctx, api.Point{LSN: lsn})
	if err != nil {
		return nil, nil, notExist(err)
	}
	release, err := b.pin(at.LSN)
	if err != nil {
		return nil, nil, notExist(err)
	}
	view, err := b.view(ctx, at.LSN)
	if err != nil {
		release()
		return nil, nil, err
	}
	return view, release, nil
}

// view composes the branch's state at a record boundary.
func (b *branch) view(ctx context.Context, lsn pg.LSN) (*datadir.View, error) {
	snap, err := b.tl.At(ctx, lsn)
	if err != nil {
		return nil, classify(err)
	}
	return compose(ctx, snap)
}

// readable is view with all pages readable: see remake.
func (b *branch) readable(ctx context.Context, lsn pg.LSN, libraries string) (*datadir.View, error) {
	if err := b.remake(ctx, lsn, libraries); err != nil {
		return nil, err
	}
	return b.view(ctx, lsn)
}

func compose(ctx context.Context, snap *repo.Snapshot) (*datadir.View, error) {
	view, err := datadir.New(ctx, snap)
	return view, classify(err)
}

// notExist turns errors about names that mean nothing into fs.ErrNotExist: to a process that opens a path,
// such a name is a file that is not there.
func notExist(err error) error {
	for _, kind := range []error{api.ErrNotFound, api.ErrOutOfRange, api.ErrBadArgument} {
		if errors.Is(err, kind) {
			return fs.ErrNotExist
		}
	}
	return err
}
