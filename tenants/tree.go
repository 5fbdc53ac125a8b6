package tenants

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"zenith/fusefs"
	"zenith/internal/api"
	"zenith/internal/pg"
	"zenith/repo"
	"zenith/repo/datadir"
)

// tree shows a composed data directory to fusefs, which does not know package datadir.
type tree struct {
	view  *datadir.View
	close func() // nil: nothing to do
}

// ReadDir lists a directory.
func (t tree) ReadDir(ctx context.Context, path string) ([]fusefs.Entry, error) {
	entries, err := t.view.ReadDir(ctx, path)
	list := make([]fusefs.Entry, len(entries))
	for i, e := range entries {
		list[i] = fsEntry(e)
	}
	return list, err
}

// Lookup gives the one entry at path.
func (t tree) Lookup(ctx context.Context, path string) (fusefs.Entry, error) {
	e, err := t.view.Lookup(ctx, path)
	return fsEntry(e), err
}

func fsEntry(e datadir.Entry) fusefs.Entry {
	f := fusefs.Entry{Name: e.Name, Dir: e.Dir}
	if e.File != nil {
		f.File = e.File
	}
	return f
}

// ModTime is the time that the files show.
func (t tree) ModTime() time.Time { return t.view.ModTime() }

// Close says that nobody uses the state any more.
func (t tree) Close() error {
	if t.close != nil {
		t.close()
	}
	return nil
}

// everything is what the mount of the whole tree shows.
type everything struct{ m *Manager }

// Tenants lists the tenants' ids.
func (s everything) Tenants(ctx context.Context) ([]string, error) { return s.m.TenantList(ctx) }

// Branches lists a tenant's branches.
func (s everything) Branches(ctx context.Context, tenant string) ([]fusefs.Branch, error) {
	ctx, done := context.WithCancel(ctx) // a FUSE request's own has no end
	defer done()
	list := []fusefs.Branch{}
	branches, err := s.m.BranchList(ctx, tenant)
	for _, b := range branches {
		list = append(list, fusefs.Branch{Name: b.Name, Timeline: b.TimelineID})
	}
	return list, notExist(err)
}

// Timelines lists the ids of a tenant's timelines.
func (s everything) Timelines(ctx context.Context, tenant string) ([]string, error) {
	ctx, done := context.WithCancel(ctx)
	defer done()
	list := []string{}
	branches, err := s.m.BranchList(ctx, tenant)
	for _, b := range branches {
		list = append(list, b.TimelineID)
	}
	return list, notExist(err)
}

// Resolve gives what a point means.
func (s everything) Resolve(ctx context.Context, tenant, at string) (string, pg.LSN, error) {
	ctx, done := context.WithCancel(ctx)
	defer done()
	t, err := s.m.tenant(ctx, tenant)
	if err != nil {
		return "", 0, notExist(err)
	}
	b, p, _, err := t.point(ctx, at)
	if err != nil {
		return "", 0, notExist(err)
	}
	return b.tl.ID().String(), p.LSN, nil
}

// Snapshot gives the state of a timeline at an LSN.
func (s everything) Snapshot(ctx context.Context, tenant, timeline string, lsn pg.LSN) (fusefs.Tree, error) {
	ctx, done := context.WithCancel(ctx)
	defer done()
	t, err := s.m.tenant(ctx, tenant)
	if err != nil {
		return nil, notExist(err)
	}
	b, err := t.lookup(timeline)
	if err != nil {
		return nil, notExist(err)
	}
	at, err := b.resolve(ctx, point{lsn: lsn})
	if err != nil {
		return nil, notExist(err)
	}
	release, err := b.pin(at.LSN)
	if err != nil {
		return nil, notExist(err)
	}
	view, err := b.view(ctx, at.LSN)
	if err != nil {
		release()
		return nil, err
	}
	return tree{view: view, close: release}, nil
}

// view composes the branch's state at a record boundary.
func (b *branch) view(ctx context.Context, lsn pg.LSN) (*datadir.View, error) {
	snap, err := b.tl.At(ctx, lsn)
	if err != nil {
		return nil, classify(err)
	}
	return compose(ctx, snap)
}

func compose(ctx context.Context, snap *repo.Snapshot) (*datadir.View, error) {
	view, err := datadir.New(ctx, snap)
	return view, classify(err)
}

// notExist makes what cannot be shown absent: a path has no better way to say it.
func notExist(err error) error {
	for _, kind := range []error{api.ErrNotFound, api.ErrOutOfRange, api.ErrBadArgument} {
		if errors.Is(err, kind) {
			return fs.ErrNotExist
		}
	}
	return err
}
