package tenants

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/BurntSushi/toml"

	"zenith/internal/api"
	"zenith/repo"
)

// compute is a postgres on a mount of its own, or the settings to start it again.
type compute struct {
	t         *tenant
	name      string // the point that it was created for
	dir       string
	throwaway bool // pg exec's: not listed, gone when stopped

	mu    sync.Mutex // held while it starts and stops
	saved savedCompute
	mount *mount    // nil: not mounted
	proc  *postgres // nil: was not started by this process
}

// savedCompute is what <compute>/compute.toml holds.
type savedCompute struct {
	Point    string
	Port     int
	Settings map[string]string
}

// ownSettings are what follows from running on a mount: pages are never torn there, and
// segments are the branch's to keep, so none is recycled. And what follows from being a
// copy of another server, whose configuration it has: it must not write into that one's
// archive, nor wait for that one's standbys.
func ownSettings() []api.Setting {
	return append([]api.Setting{
		{Name: "full_page_writes", Value: "off"},
		{Name: "wal_recycle", Value: "off"},
		{Name: "wal_init_zero", Value: "off"},
	}, copySettings()...)
}

// copySettings are what follows from being a copy.
func copySettings() []api.Setting {
	return []api.Setting{
		{Name: "archive_mode", Value: "off"},
		{Name: "synchronous_standby_names", Value: ""},
	}
}

// sortedSettings gives what a user set, by name.
func sortedSettings(settings map[string]string) (list []api.Setting) {
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		list = append(list, api.Setting{Name: name, Value: settings[name]})
	}
	return list
}

// throwawayHBA lets whoever runs pg exec in, whatever the branch's own pg_hba.conf says.
const throwawayHBA = "local all all trust\nhost all all 127.0.0.1/32 trust\n"

func (c *compute) dataDir() string  { return filepath.Join(c.dir, "data") }
func (c *compute) logPath() string  { return filepath.Join(c.dir, "postgres.log") }
func (c *compute) hbaPath() string  { return filepath.Join(c.dir, "pg_hba.conf") }
func (c *compute) tomlPath() string { return filepath.Join(c.dir, "compute.toml") }

// computeDir is the directory of a compute: its name, made fit for a path.
func (t *tenant) computeDir(name string) string {
	return filepath.Join(t.dir, "pg", strings.NewReplacer("/", "_", "\x00", "").Replace(name))
}

// loadComputes finds the computes that earlier processes left.
func (t *tenant) loadComputes() error {
	files, err := filepath.Glob(filepath.Join(t.dir, "pg", "*", "compute.toml"))
	if err != nil {
		return err
	}
	for _, file := range files {
		c := &compute{t: t, dir: filepath.Dir(file)}
		if _, err := toml.DecodeFile(file, &c.saved); err != nil {
			return fmt.Errorf("read %s: %w", file, err)
		}
		c.name = c.saved.Point
		t.computes[c.name] = c
	}
	return nil
}

// create makes the compute's directory and settings.
func (c *compute) create() error {
	for _, dir := range []string{filepath.Dir(c.dir), c.dir} {
		if err := os.Mkdir(dir, 0o711); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	if err := c.t.m.as.own(c.dir); err != nil { // its unix socket goes here
		return err
	}
	if err := os.Mkdir(c.dataDir(), 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	if c.throwaway {
		if err := os.WriteFile(c.hbaPath(), []byte(throwawayHBA), 0o644); err != nil {
			return err
		}
	}
	return c.save()
}

// save writes the settings, whole or not at all.
func (c *compute) save() error {
	tmp := c.tomlPath() + ".tmp"
	f, err := os.Create(tmp)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := toml.NewEncoder(f).Encode(c.saved); err != nil {
		return fmt.Errorf("write %s: %w", tmp, err)
	}
	return os.Rename(tmp, c.tomlPath())
}

// set takes over what the user asked for this time.
func (c *compute) set(o api.ComputeOptions) error {
	for _, s := range o.Settings {
		if s.Name == "" || strings.ContainsAny(s.Name, "= \n") {
			return api.Errorf(api.ErrBadArgument, "setting %q: want NAME=VALUE", s.Name)
		}
		c.saved.Settings[s.Name] = s.Value
	}
	if o.Port != 0 {
		c.saved.Port = o.Port
	}
	return nil
}

// start mounts the compute's point and runs postgres there.
func (c *compute) start(ctx context.Context, o api.ComputeOptions) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.proc != nil && c.proc.running() {
		return api.Errorf(api.ErrBusy, "pg %s: already running on port %d", c.name, c.saved.Port)
	}
	if err := c.set(o); err != nil {
		return err
	}
	if err := c.choosePort(); err != nil {
		return err
	}
	if err := c.create(); err != nil {
		return fmt.Errorf("pg %s: %w", c.name, err)
	}
	if err := removeSockets(c.dir); err != nil {
		return err
	}
	if err := c.unmount(ctx); err != nil { // after a crash: a fresh mount needs no recovery
		return err
	}
	how := mountOptions{scratch: c.throwaway || strings.Contains(c.name, "@"), bindWAL: !c.recyclesWAL()}
	mnt, err := c.t.m.mountPoint(ctx, c.t, c.name, c.dataDir(), how)
	if err != nil {
		return err
	}
	c.mount = mnt
	proc, err := startPostgres(ctx, c.t.m.pg, c.t.m.as, launch{
		dataDir: c.dataDir(), logPath: c.logPath(), port: c.saved.Port, settings: c.settings(),
		withUs: true, // without us it has a WAL, perhaps, but no files
	})
	if err != nil {
		return errors.Join(fmt.Errorf("pg %s: %w", c.name, err), c.unmount(context.WithoutCancel(ctx)))
	}
	c.proc = proc
	return errors.Join(c.save(), writePIDFile(c.dir, proc.cmd.Process.Pid))
}

// choosePort keeps the port that the compute had, takes the one asked for, or finds one.
func (c *compute) choosePort() error {
	if c.saved.Port != 0 {
		return portFree(c.saved.Port)
	}
	port, err := freePort()
	c.saved.Port = port
	return err
}

// settings are what goes on postgres's command line: what follows from the mount, what
// says who it is, and what the user set, which wins.
func (c *compute) settings() []api.Setting {
	list := append(ownSettings(),
		api.Setting{Name: "listen_addresses", Value: "127.0.0.1"},
		api.Setting{Name: "unix_socket_directories", Value: socketDir(c.dir)},
		api.Setting{Name: "zenith.tenant_id", Value: c.t.id.String()},
		api.Setting{Name: "zenith.timeline_id", Value: c.mount.branch.tl.ID().String()})
	if c.throwaway {
		list = append(list, api.Setting{Name: "hba_file", Value: c.hbaPath()})
	}
	return append(list, sortedSettings(c.saved.Settings)...)
}

// recyclesWAL reports whether the user may have the server recycle segments.
func (c *compute) recyclesWAL() bool {
	for name := range c.saved.Settings {
		if strings.EqualFold(strings.ReplaceAll(name, "-", "_"), "wal_recycle") {
			return true
		}
	}
	return false
}

// maxSocketDir is what sun_path (108 bytes) leaves for the directory.
const maxSocketDir = 108 - len("/.s.PGSQL.65535.lock") - 1

// socketDir is the directory of the unix socket; "", none, where a path would be too long.
func socketDir(dir string) string {
	if len(dir) > maxSocketDir || strings.ContainsAny(dir, ",\"'") {
		return ""
	}
	return dir
}

// stop shuts postgres down, if it runs, and unmounts.
func (c *compute) stop(ctx context.Context, o api.StopOptions) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.proc != nil && c.proc.running() {
		if err := c.proc.stop(ctx, o.Mode); err != nil {
			return err
		}
	} else if c.mount == nil && !o.Destroy && !wasLost(c.dir) {
		return api.Errorf(api.ErrNotFound, "pg %s: is not running", c.name)
	}
	if err := c.unmount(ctx); err != nil {
		return err
	}
	c.proc = nil
	if err := removePIDFile(c.dir); err != nil {
		return err
	}
	if !o.Destroy && !c.throwaway {
		return nil
	}
	c.t.forget(c)
	return os.RemoveAll(c.dir)
}

// unmount takes the compute's mount away, if it has one.
func (c *compute) unmount(ctx context.Context) error {
	if c.mount == nil {
		return nil
	}
	if err := c.t.m.unmount(ctx, c.mount, false); err != nil {
		return err
	}
	c.mount = nil
	return nil
}

// describe says what the compute is and does.
func (c *compute) describe() api.Compute {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := api.Compute{
		Tenant: c.t.id.String(), Name: c.name, Status: api.ComputeStopped,
		Host: "127.0.0.1", Port: c.saved.Port, User: "postgres", Database: "postgres",
		Dir: c.dataDir(), Log: c.logPath(),
	}
	switch {
	case c.proc == nil && wasLost(c.dir):
		d.Status = api.ComputeCrashed
	case c.proc == nil:
	case c.proc.running():
		d.Status = api.ComputeRunning
	case c.proc.crashed():
		d.Status = api.ComputeCrashed
	}
	if c.mount != nil {
		d.Timeline, d.LSN = c.mount.branch.tl.ID().String(), c.mount.lsn
	}
	return d
}

// forget takes the compute out of the tenant's list.
func (t *tenant) forget(c *compute) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.computes[c.name] == c {
		delete(t.computes, c.name)
	}
}

// computeOn finds a running compute on a branch, nil if there is none.
func (t *tenant) computeOn(b *branch) *compute {
	for _, c := range t.listComputes() {
		c.mu.Lock()
		on := c.mount != nil && c.mount.branch == b
		c.mu.Unlock()
		if on {
			return c
		}
	}
	return nil
}

// listComputes gives the computes, sorted by name.
func (t *tenant) listComputes() []*compute {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := []*compute{}
	for _, c := range t.computes {
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b *compute) int { return strings.Compare(a.name, b.name) })
	return list
}

// timelineOf names the timeline of a compute that is not mounted.
func (t *tenant) timelineOf(name string) (repo.TimelineID, bool) {
	p, _, _ := strings.Cut(name, "@")
	tl, err := t.repo.ByName(p)
	if err != nil {
		return repo.TimelineID{}, false
	}
	return tl.ID(), true
}
