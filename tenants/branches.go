package tenants

import (
	"context"
	"errors"

	"zenith/internal/api"
	"zenith/internal/pg"
	"zenith/repo"
)

// BranchList gives a tenant's branches in the order of their creation.
func (m *Manager) BranchList(ctx context.Context, tenant string) ([]api.Branch, error) {
	t, release, err := m.tenant(ctx, tenant)
	if err != nil {
		return nil, err
	}
	defer release()
	list := []api.Branch{}
	for _, tl := range t.repo.Timelines() {
		list = append(list, describe(tl))
	}
	return list, nil
}

// describe is the contract's branch object for a timeline.
func describe(tl *repo.Timeline) api.Branch {
	b := api.Branch{Name: tl.Name(), TimelineID: tl.ID().String(), LatestValidLSN: tl.LastLSN()}
	if parent, at := tl.Ancestor(); parent != nil {
		b.AncestorID, b.AncestorLSN = new(parent.ID().String()), &at
	}
	return b
}

// BranchCreate makes a branch at a point.
func (m *Manager) BranchCreate(ctx context.Context, tenant, name, point string) (api.Branch, error) {
	if err := api.CheckName(name); err != nil {
		return api.Branch{}, err
	}
	t, release, err := m.tenant(ctx, tenant)
	if err != nil {
		return api.Branch{}, err
	}
	defer release()
	parent, at, _, err := t.point(ctx, point)
	if err != nil {
		return api.Branch{}, err
	}
	tl, err := t.repo.Branch(ctx, repo.TimelineID{}, name, parent.tl, at.LSN)
	if errors.Is(err, repo.ErrExists) {
		return api.Branch{}, t.errNameTaken(name)
	}
	if err != nil {
		return api.Branch{}, classify(err)
	}
	return describe(tl), nil
}

// errNameTaken says why a branch cannot have a name: there is one, or one for which that name
// would be a directory, or the other way round.
func (t *tenant) errNameTaken(name string) error {
	for _, tl := range t.repo.Timelines() {
		if other := tl.Name(); repo.Nested(name, other) {
			return api.Errorf(api.ErrExists, "branch %s: there is a branch %s, and as with files only one of the two can be", name, other)
		}
	}
	return api.Errorf(api.ErrExists, "branch %s: already exists", name)
}

// BranchDelete removes a branch that nobody uses.
func (m *Manager) BranchDelete(ctx context.Context, tenant, name string) error {
	t, release, err := m.tenant(ctx, tenant)
	if err != nil {
		return err
	}
	defer release()
	b, err := t.lookup(name)
	if err != nil {
		return err
	}
	if c := t.computeOn(b); c != nil {
		return api.Errorf(api.ErrBusy, "branch %s: postgres runs on it (pg stop %s)", name, c.name)
	}
	// Taken like a writer, so that nobody mounts it meanwhile.
	if err := b.acquire("its deletion"); err != nil {
		return err
	}
	defer b.release()
	if b.mounted() {
		return api.Errorf(api.ErrBusy, "branch %s: is mounted (zenith mount list), or streamed from", name)
	}
	if err := t.destroyStopped(ctx, b.tl.Name()); err != nil {
		return err
	}
	err = t.repo.Delete(ctx, b.tl.Name())
	if errors.Is(err, repo.ErrBusy) {
		return api.Errorf(api.ErrBusy, "branch %s: has branches of its own", name)
	}
	if err != nil {
		return classify(err)
	}
	t.mu.Lock()
	delete(t.branches, b.tl.ID())
	failed := t.unstarted[b.tl.ID()]
	delete(t.unstarted, b.tl.ID())
	t.mu.Unlock()
	err = b.slots.remove()
	if failed != nil {
		err = errors.Join(err, t.forgetReceiver(b.tl.ID()))
	}
	return err
}

// destroyStopped removes the computes of a branch that is going away. None of them runs.
func (t *tenant) destroyStopped(ctx context.Context, branch string) error {
	var err error
	for _, c := range t.listComputes() {
		if name, _, _ := t.splitPoint(c.name); name == branch {
			if serr := c.stop(ctx, api.StopOptions{Destroy: true}); !errors.Is(serr, api.ErrNotFound) {
				err = errors.Join(err, serr)
			}
		}
	}
	return err
}

// LSN gives the LSN that a point means.
func (m *Manager) LSN(ctx context.Context, tenant, point string) (pg.LSN, error) {
	t, release, err := m.tenant(ctx, tenant)
	if err != nil {
		return 0, err
	}
	defer release()
	_, at, _, err := t.point(ctx, point)
	return at.LSN, err
}

// IdentifySystem describes a branch as IDENTIFY_SYSTEM does.
func (m *Manager) IdentifySystem(ctx context.Context, tenant, branch string) (api.SystemID, error) {
	t, release, err := m.tenant(ctx, tenant)
	if err != nil {
		return api.SystemID{}, err
	}
	defer release()
	if branch == "" {
		branch = MainBranch
	}
	b, err := t.lookup(branch)
	if err != nil {
		return api.SystemID{}, err
	}
	head, err := b.catchup(ctx)
	info := b.tl.Info()
	return api.SystemID{SysID: info.SysID, TLI: info.TLI, XLogPos: head}, err
}
