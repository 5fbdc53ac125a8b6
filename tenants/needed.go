package tenants

import (
	"context"

	"zenith/fusefs"
	"zenith/internal/api"
	"zenith/internal/postgres"
	"zenith/internal/tree"
	"zenith/repo/datadir"
)

// viewFiles are the files of a view, as postgres.DataFiles.
type viewFiles struct {
	ctx  context.Context // of the one call that reads them
	view *datadir.View
}

// ReadFile implements postgres.DataFiles.
func (f viewFiles) ReadFile(name string) ([]byte, error) {
	e, err := f.view.Lookup(f.ctx, name)
	if err != nil || e.Dir {
		return nil, notExist(err)
	}
	p := make([]byte, e.File.Size())
	return p, tree.ReadFull(f.ctx, e.File, p, 0)
}

// List implements postgres.DataFiles.
func (f viewFiles) List(dir string) (names []string, err error) {
	entries, err := f.view.ReadDir(f.ctx, dir)
	for _, e := range entries {
		names = append(names, e.Name)
	}
	return names, err
}

// needed finds the settings that the state on a mount needs, beside those that the user sets.
func (m *mount) needed(ctx context.Context, user map[string]string) ([]api.Setting, string, error) {
	s := postgres.State{Files: viewFiles{ctx, m.view}, Had: m.view.Snapshot().State().Settings}
	if m.mode == api.ModeWritable { // no other mount has the slots of the branch's servers
		var err error
		if s.PhysicalSlots, s.LogicalSlots, err = fusefs.KeptSlots(m.branch.tl.WorkDir()); err != nil {
			return nil, "", err
		}
	}
	return postgres.Needed(s, user)
}
