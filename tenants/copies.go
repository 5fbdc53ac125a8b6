package tenants

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"zenith/internal/pg"
	"zenith/repo/pageserver"
)

// Copies are postgres servers on ordinary data directories, each a copy of a point that a page
// server gave. They need no page server while they run, and outlive the process that started
// them. What is written to a copy is not in the branch.
type Copies struct {
	dir string
	pg  distrib
	as  account
}

// CopiesConfig says how they work.
type CopiesConfig struct {
	Dir       string // where they are, absolute; made when it is needed
	PgDistrib string // the PostgreSQL installation: has bin/postgres
	PgUser    string // whom postgres runs as where we are root; default postgres
}

// NewCopies makes one.
func NewCopies(cfg CopiesConfig) (*Copies, error) {
	as, err := lookupAccount(cfg.PgUser)
	if err != nil {
		return nil, err
	}
	return &Copies{dir: cfg.Dir, pg: distrib{cfg.PgDistrib}, as: as}, nil
}

// Source is the point that a copy is of.
type Source struct {
	Tenant   string
	Point    string // as the user wrote it: the copy's name
	Timeline string
	LSN      pg.LSN
}

// Copy is one of them.
type Copy struct {
	cs    *Copies
	dir   string
	saved savedCopy
	proc  *postgres // nil: not started by us
}

// savedCopy is what <copy>/copy.toml holds.
type savedCopy struct {
	Tenant, Point, Timeline, LSN string
	Port                         int
	Settings                     map[string]string
}

func (c *Copy) dataDir() string  { return filepath.Join(c.dir, "data") }
func (c *Copy) logPath() string  { return filepath.Join(c.dir, "postgres.log") }
func (c *Copy) hbaPath() string  { return filepath.Join(c.dir, "pg_hba.conf") }
func (c *Copy) pidPath() string  { return filepath.Join(c.dataDir(), "postmaster.pid") }
func (c *Copy) tomlPath() string { return filepath.Join(c.dir, "copy.toml") }

// path is the directory of a tenant's copy of that name.
func (cs *Copies) path(tenant, name string) string {
	return filepath.Join(cs.dir, tenant, strings.NewReplacer("/", "_", "\x00", "").Replace(name))
}

// Find gives a copy by its name: ErrNotFound if there is none.
func (cs *Copies) Find(tenant, name string) (*Copy, error) {
	c := &Copy{cs: cs, dir: cs.path(tenant, name)}
	_, err := toml.DecodeFile(c.tomlPath(), &c.saved)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, pageserver.Errorf(pageserver.ErrNotFound, "pg %s: no such postgres", name)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", c.tomlPath(), err)
	}
	return c, nil
}

// List gives a tenant's copies, sorted by name.
func (cs *Copies) List(tenant string) ([]*Copy, error) {
	entries, err := os.ReadDir(filepath.Join(cs.dir, tenant))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var list []*Copy
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), throwawayPrefix) {
			continue
		}
		c, ferr := cs.Find(tenant, e.Name())
		if errors.Is(ferr, pageserver.ErrNotFound) {
			continue // being made, or left so
		}
		if err = errors.Join(err, ferr); ferr == nil {
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(a, b *Copy) int { return strings.Compare(a.saved.Point, b.saved.Point) })
	return list, err
}

// Make makes a copy: fetch fills its data directory, which is there and empty.
func (cs *Copies) Make(ctx context.Context, s Source, fetch func(dir string) error) (*Copy, error) {
	return cs.make(ctx, s, cs.path(s.Tenant, s.Point), fetch)
}

func (cs *Copies) make(ctx context.Context, s Source, dir string, fetch func(dir string) error) (c *Copy, err error) {
	if err := cs.pg.check(ctx); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o711); err != nil {
		return nil, err
	}
	if err := cs.as.canReach(dir); err != nil {
		return nil, err
	}
	if err := os.Mkdir(dir, 0o711); err != nil {
		if errors.Is(err, fs.ErrExist) {
			err = pageserver.Errorf(pageserver.ErrExists, "pg %s: a copy is there already, or is being made (%s)", s.Point, dir)
		}
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	c = &Copy{cs: cs, dir: dir, saved: savedCopy{
		Tenant: s.Tenant, Point: s.Point, Timeline: s.Timeline, LSN: s.LSN.String(), Settings: map[string]string{},
	}}
	if err := os.Mkdir(c.dataDir(), 0o700); err != nil {
		return nil, err
	}
	if err := fetch(c.dataDir()); err != nil {
		return nil, err
	}
	if err := cs.ownAll(dir); err != nil {
		return nil, err
	}
	return c, c.save()
}

// ownAll gives everything below dir, and dir, to the account.
func (cs *Copies) ownAll(dir string) error {
	if !cs.as.other {
		return nil
	}
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, cs.as.uid, cs.as.gid)
	})
}

// save writes the settings, whole or not at all.
func (c *Copy) save() error {
	tmp := c.tomlPath() + ".tmp"
	f, err := os.Create(tmp)
	if err != nil {
		return err
	}
	err = toml.NewEncoder(f).Encode(c.saved)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", tmp, err)
	}
	return os.Rename(tmp, c.tomlPath())
}

// Set keeps a port and settings for the next start.
func (c *Copy) Set(o pageserver.ComputeOptions) error {
	for _, s := range o.Settings {
		c.saved.Settings[s.Name] = s.Value
	}
	if o.Port != 0 {
		c.saved.Port = o.Port
	}
	return c.save()
}

// Start starts postgres and returns when it accepts connections. It runs on when we end.
func (c *Copy) Start(ctx context.Context) error {
	switch c.status() {
	case pageserver.ComputeRunning:
		return pageserver.Errorf(pageserver.ErrBusy, "pg %s: already running on port %d", c.saved.Point, c.saved.Port)
	case pageserver.ComputeCrashed:
		if err := c.bury(ctx); err != nil {
			return err
		}
	}
	return c.start(ctx, nil)
}

// bury waits for the children of a postmaster that was killed, which live in the data directory
// as it did, and removes its pid file: its number may be a zombie's, or anybody's by now.
func (c *Copy) bury(ctx context.Context) error {
	for end := time.Now().Add(orphanTime); ; {
		all, err := filepath.Glob("/proc/[0-9]*/cwd")
		if err != nil {
			return err
		}
		left := slices.ContainsFunc(all, c.isHome)
		if !left {
			break
		}
		if time.Now().After(end) {
			return pageserver.Errorf(pageserver.ErrBusy, "pg %s: its postmaster is gone, and processes of it still run after %v", c.saved.Point, orphanTime)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return os.Remove(c.pidPath())
}

// orphanTime is how long a killed postmaster's children may take to notice.
const orphanTime = 10 * time.Second

// isHome reports whether a link to a process's directory leads to this copy's.
func (c *Copy) isHome(link string) bool {
	cwd, err := os.Readlink(link)
	return err == nil && cwd == c.dataDir()
}

func (c *Copy) start(ctx context.Context, more []pageserver.Setting) error {
	if c.saved.Port == 0 {
		port, err := freePort()
		if err != nil {
			return err
		}
		c.saved.Port = port
	} else if err := portFree(c.saved.Port); err != nil {
		return err
	}
	if err := removeSockets(c.dir); err != nil {
		return err
	}
	proc, err := startPostgres(ctx, c.cs.pg, c.cs.as, c.dataDir(), c.logPath(), c.saved.Port, append(c.settings(), more...))
	if err != nil {
		return fmt.Errorf("pg %s: %w (log: %s)", c.saved.Point, err, c.logPath())
	}
	c.proc = proc
	return c.save()
}

// settings are what goes on the command line; what the user set wins.
func (c *Copy) settings() []pageserver.Setting {
	list := append(copySettings(),
		pageserver.Setting{Name: "listen_addresses", Value: "127.0.0.1"},
		pageserver.Setting{Name: "unix_socket_directories", Value: socketDir(c.dir)},
		pageserver.Setting{Name: "zenith.tenant_id", Value: c.saved.Tenant},
		pageserver.Setting{Name: "zenith.timeline_id", Value: c.saved.Timeline})
	return append(list, sortedSettings(c.saved.Settings)...)
}

// Stop shuts postgres down, if it runs, in one of pg_ctl's modes, and with destroy removes the
// copy.
func (c *Copy) Stop(ctx context.Context, o pageserver.StopOptions) error {
	running := c.status() == pageserver.ComputeRunning
	if !running && !o.Destroy {
		return pageserver.Errorf(pageserver.ErrNotFound, "pg %s: is not running", c.saved.Point)
	}
	if running {
		mode := o.Mode
		if mode == "" {
			mode = "fast"
		}
		if out, err := c.ctl(ctx, "stop", "-m", mode, "-w", "-t", fmt.Sprint(int(stopTimeout.Seconds()))); err != nil {
			return fmt.Errorf("pg %s: stop: %s", c.saved.Point, lastLine(out))
		}
	}
	if o.Destroy {
		return os.RemoveAll(c.dir)
	}
	return nil
}

// ctl runs pg_ctl.
func (c *Copy) ctl(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, c.cs.pg.bin("pg_ctl"), append([]string{"-D", c.dataDir()}, args...)...)
	c.cs.as.run(cmd)
	cmd.Dir = "/"
	return cmd.CombinedOutput()
}

// status tells how postgres is: one that ended well has removed its pid file.
func (c *Copy) status() string {
	text, err := os.ReadFile(c.pidPath())
	if err != nil {
		return pageserver.ComputeStopped
	}
	first, _, _ := strings.Cut(string(text), "\n")
	// One that is dead and was not waited for lives nowhere.
	if pid, err := strconv.Atoi(strings.TrimSpace(first)); err == nil && c.isHome(fmt.Sprintf("/proc/%d/cwd", pid)) {
		return pageserver.ComputeRunning
	}
	return pageserver.ComputeCrashed
}

// Describe says what the copy is and does. Its LSN is where it was made.
func (c *Copy) Describe() (pageserver.Compute, error) {
	lsn, err := pg.ParseLSN(c.saved.LSN)
	return pageserver.Compute{
		Tenant: c.saved.Tenant, Name: c.saved.Point, Timeline: c.saved.Timeline, LSN: lsn, Status: c.status(),
		Host: "127.0.0.1", Port: c.saved.Port, User: "postgres", Database: "postgres", Dir: c.dataDir(), Log: c.logPath(),
	}, err
}
