package tenants

import (
	"context"
	"fmt"

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
	s := postgres.State{Files: viewFiles{ctx, m.view}, Had: m.view.Snapshot().State().Settings, Branch: m.mode == api.ModeWritable}
	if m.mode == api.ModeWritable { // no other mount has the slots of the branch's servers
		var err error
		if s.PhysicalSlots, s.LogicalSlots, err = fusefs.KeptSlots(m.branch.tl.WorkDir()); err != nil {
			return nil, "", err
		}
	}
	return postgres.Needed(s, user)
}

// images finds out whether the server on a mount is to log images of pages, though no page is ever torn
// there: extensions may rely on that for their new pages, and a stock standby cannot replay their records
// else. user is what the user sets. note says why, "" if it is not so.
func (m *mount) images(ctx context.Context, user map[string]string) (settings []api.Setting, note string, err error) {
	const name = "full_page_writes"
	if _, set := user[name]; set || m.mode != api.ModeWritable {
		return nil, "", nil
	}
	method, err := postgres.NeedsImages(viewFiles{ctx, m.view})
	if err != nil {
		return nil, "", fmt.Errorf("find out whether an extension needs %s: %w", name, err)
	}
	why := "the access method " + method + " may log"
	if method == "" {
		_, bare, err := m.view.Snapshot().HasForeign(ctx)
		if err != nil || !bare {
			return nil, "", err
		}
		why = "an extension logs"
	}
	return []api.Setting{{Name: name, Value: "on"}}, name + "=on: " + why + " new pages in a way that a standby can replay only with it", nil
}
