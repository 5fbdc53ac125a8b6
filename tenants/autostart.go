package tenants

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"

	"zenith/internal/api"
	"zenith/internal/sidefile"
)

// Autostart says what the page server brings back when it starts: what was up when the last one ended, however it did.
type Autostart struct {
	Postgres bool // postgres servers
	Mounts   bool // mounts that users made
}

// upAgain is what is kept of a postgres that is to come back: how it was started the last time.
type upAgain struct {
	Allow      []string `toml:",omitempty"`
	AsOriginal bool     `toml:",omitempty"`
}

func (u *upAgain) options() api.ComputeOptions {
	return api.ComputeOptions{Allow: u.Allow, AsOriginal: u.AsOriginal}
}

// noteUp notes that a postgres which a client of the gateway has woken is to come back: now somebody has asked for it. The
// caller has the turn.
func (c *compute) noteUp() error {
	if c.saved.Up != nil || c.throwaway {
		return nil
	}
	next := c.saved
	next.Up = &upAgain{Allow: c.asked.Allow, AsOriginal: c.asked.AsOriginal}
	if err := c.save(next); err != nil {
		return err
	}
	c.change(func() { c.saved = next })
	return nil
}

// stayDown notes that a postgres that somebody has stopped is not to come back. One that was started again meanwhile is.
func (c *compute) stayDown(ctx context.Context) error {
	if err := c.take(ctx); err != nil {
		return err
	}
	defer c.give()
	if c.state != stateStopped {
		return nil
	}
	return c.noteDown()
}

// noteDown is stayDown for a caller that has the turn.
func (c *compute) noteDown() error {
	if c.saved.Up == nil || c.damaged {
		return nil
	}
	next := c.saved
	next.Up = nil
	if err := c.save(next); err != nil {
		return err
	}
	c.change(func() { c.saved = next })
	return nil
}

// userMount is a mount that a user made, as it is kept.
type userMount struct {
	Tenant  string `json:"tenant,omitempty"`
	Point   string `json:"point,omitempty"`
	Dir     string `json:"dir"`
	Scratch bool   `json:"scratch,omitempty"`
	UID     int    `json:"uid"` // of the caller; api.NoUID: the page server's own
}

// userMounts is the file that lists them, in the work directory.
type userMounts struct {
	Mounts []userMount `json:"mounts"`
}

var mountsKind = sidefile.Kind[userMounts]{Lost: "which mounts are to come back at a start", Perm: 0o600, Format: sidefile.JSON}

func (m *Manager) mountsPath() string { return filepath.Join(m.cfg.Dir, "pageserver.mounts") }

// keptMounts gives the list of users' mounts. If it cannot be read it is empty, and the log says so.
func (m *Manager) keptMounts() []userMount {
	kept, err := mountsKind.Read(m.mountsPath())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		warnDamage(m.log, err)
		return nil
	}
	return kept.Mounts
}

// keepMounts changes the list of users' mounts.
func (m *Manager) keepMounts(edit func([]userMount) []userMount) error {
	m.keeping.Lock()
	defer m.keeping.Unlock()
	return mountsKind.Write(m.mountsPath(), userMounts{edit(m.keptMounts())}, m.log)
}

// keepMount notes a mount that a user made at dir.
func (m *Manager) keepMount(ctx context.Context, dir string, o api.MountOptions) error {
	return m.keepMounts(func(list []userMount) []userMount {
		list = slices.DeleteFunc(list, func(u userMount) bool { return u.Dir == dir })
		return append(list, userMount{o.Tenant, o.Point, dir, o.Scratch, api.CallerOf(ctx).UID})
	})
}

// forgetMount notes that a user has taken a mount away.
func (m *Manager) forgetMount(dir string) error {
	return m.keepMounts(func(list []userMount) []userMount {
		return slices.DeleteFunc(list, func(u userMount) bool { return u.Dir == dir })
	})
}

// autostart brings back what was up, one after the other. What cannot be brought back is told to the log, and stays noted.
func (m *Manager) autostart(ids []string) {
	if m.cfg.Autostart.Postgres {
		for _, id := range ids {
			m.autostartComputes(id)
		}
	}
	if !m.cfg.Autostart.Mounts {
		return
	}
	for _, u := range m.keptMounts() {
		ctx := m.ctx
		if u.UID != api.NoUID {
			ctx = api.WithCaller(ctx, api.Caller{Owner: u.UID == 0, UID: u.UID})
		}
		_, err := m.Mount(ctx, api.MountOptions{Tenant: u.Tenant, Point: u.Point, Dir: u.Dir, Scratch: u.Scratch})
		if m.ctx.Err() != nil {
			return
		}
		if err != nil {
			m.log.Error("bring back a mount", "dir", u.Dir, "point", u.Point, "err", err)
			continue
		}
		m.log.Info("a mount is back", "dir", u.Dir, "point", u.Point)
	}
}

// autostartComputes starts the postgres servers of a tenant that were up. A tenant without any is not opened.
func (m *Manager) autostartComputes(id string) {
	files, err := filepath.Glob(filepath.Join(m.tenantsDir(), id, "pg", "*", "compute.toml"))
	if err != nil {
		m.log.Error("find postgres servers to bring back", "tenant", id, "err", err)
	}
	for _, file := range files {
		saved, err := computeKind.Read(file)
		if err != nil || saved.Up == nil || m.ctx.Err() != nil {
			continue // a damaged file is told when the tenant is opened
		}
		if _, err := m.PgStart(m.ctx, id, saved.Point, saved.Up.options()); err != nil && m.ctx.Err() == nil {
			m.log.Error("bring back postgres", "tenant", id, "name", saved.Point, "err", err)
			continue
		}
		m.log.Info("postgres is back", "tenant", id, "name", saved.Point)
	}
}
