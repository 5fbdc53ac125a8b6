package tenants

import (
	"context"

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
	return postgres.Needed(viewFiles{ctx, m.view}, m.view.Snapshot().State().Settings, user)
}
