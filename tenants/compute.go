package tenants

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"zenith/internal/api"
	"zenith/internal/durable"
	"zenith/internal/postgres"
	"zenith/internal/sidefile"
	"zenith/repo"
)

// compute is a postgres on a mount of its own, or the settings to start it again.
type compute struct {
	t         *tenant
	name      string // the point that it was created for
	dir       string
	throwaway bool // pg exec's: not listed, gone when stopped

	doing atomic.Pointer[string]      // what the command does that has mu for long: a Compute constant; nil: nothing
	last  atomic.Pointer[api.Compute] // what describe said before

	mu      sync.Mutex // held while it starts and stops
	gone    bool       // it was destroyed: its directory may be another compute's by now
	saved   savedCompute
	damaged bool             // compute.toml is: saved is what a compute has that was just created
	mount   *mount           // nil: not mounted
	notes   []string         // of the last start: api.Compute's
	proc    *postgres.Server // nil: this process did not start it
}

// savedCompute is what <compute>/compute.toml holds.
type savedCompute struct {
	Point    string
	Port     int
	Settings map[string]string // never nil
}

// computeKind is compute.toml.
var computeKind = sidefile.Kind[savedCompute]{
	Lost: "the port and the settings of a postgres", Perm: 0o644, Format: sidefile.TOML, Check: (*savedCompute).check,
}

func (s *savedCompute) check() error {
	if s.Point == "" {
		return errors.New("it names no point")
	}
	if s.Settings == nil {
		s.Settings = map[string]string{}
	}
	return nil
}

// mountSettings are what follows from running on a mount: pages are never torn there, and
// segments are the branch's to keep, so none is recycled.
func mountSettings() []api.Setting {
	return []api.Setting{
		{Name: "full_page_writes", Value: "off"},
		{Name: "wal_recycle", Value: "off"},
		{Name: "wal_init_zero", Value: "off"},
	}
}

func (c *compute) dataDir() string  { return filepath.Join(c.dir, "data") }
func (c *compute) logPath() string  { return filepath.Join(c.dir, "postgres.log") }
func (c *compute) hbaPath() string  { return filepath.Join(c.dir, "pg_hba.conf") }
func (c *compute) tomlPath() string { return filepath.Join(c.dir, "compute.toml") }

// computeDir is the directory of a compute: its name, made fit for a path.
func (t *tenant) computeDir(name string) string {
	return filepath.Join(t.dir, "pg", postgres.ServerDir(name))
}

// loadComputes finds the computes that earlier processes left. One whose settings are damaged is
// listed as such, and can be started again with other ones.
func (t *tenant) loadComputes() {
	for _, e := range sideFilesIn(filepath.Join(t.dir, "pg"), "all postgres servers", t.log) {
		if strings.HasPrefix(e.Name(), postgres.ThrowawayPrefix) {
			continue
		}
		c := &compute{t: t, dir: filepath.Join(t.dir, "pg", e.Name())}
		var err error
		if c.saved, err = computeKind.Read(c.tomlPath()); errors.Is(err, fs.ErrNotExist) {
			continue // a killed process left the directory
		}
		if err != nil {
			warnDamage(t.log, err)
			c.damaged, c.saved = true, savedCompute{Point: postgres.ServerName(e.Name()), Settings: map[string]string{}}
		}
		c.name = c.saved.Point
		t.computes[c.name] = c
	}
}

// create makes the compute's directory and settings.
func (c *compute) create() error {
	return errors.Join(c.makeDirs(), c.save())
}

// makeDirs makes the compute's directory, with the mount point in it.
func (c *compute) makeDirs() error {
	for _, dir := range []string{filepath.Dir(c.dir), c.dir} {
		err := os.Mkdir(dir, 0o711)
		if err == nil {
			err = durable.SyncDir(filepath.Dir(dir))
		}
		if err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	if err := c.t.m.as.Own(c.dir); err != nil { // its unix socket goes here
		return err
	}
	if err := os.Mkdir(c.dataDir(), 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	if c.throwaway {
		if err := os.WriteFile(c.hbaPath(), []byte(postgres.ThrowawayHBA), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// save writes the settings, whole or not at all.
func (c *compute) save() error {
	if err := computeKind.Write(c.tomlPath(), c.saved, c.t.log); err != nil {
		return err
	}
	c.damaged = false
	return nil
}

// with gives what is to be kept of a compute once it has started with o.
func (s savedCompute) with(o api.ComputeOptions) (savedCompute, error) {
	var err error
	s.Settings, err = postgres.MergeSettings(s.Settings, o)
	s.Port = cmp.Or(o.Port, s.Port)
	return s, err
}

// set takes over what the user asked for.
func (c *compute) set(o api.ComputeOptions) (err error) {
	c.saved, err = c.saved.with(o)
	return err
}

// errGone is returned by what is asked of a compute that was destroyed meanwhile.
var errGone = errors.New("postgres was destroyed")

// start mounts the compute's point and runs postgres there. If it fails, neither is left, and what o
// says is not kept: the next start may do without.
func (c *compute) start(ctx context.Context, o api.ComputeOptions) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.does(api.ComputeStarting)()
	if c.gone {
		return errGone
	}
	next, err := c.saved.with(o)
	if err != nil {
		return err
	}
	if c.proc != nil && c.proc.Running() {
		if !postgres.RunsWith(c.saved.Port, c.saved.Settings, next.Port, next.Settings) {
			return postgres.OtherSettings(c.name, c.saved.Port)
		}
		return nil
	}
	if next.Port, err = postgres.ChoosePort(next.Port); err != nil {
		return err
	}
	if err := c.makeDirs(); err != nil {
		return fmt.Errorf("pg %s: %w", c.name, err)
	}
	if err := postgres.RemoveSockets(c.dir); err != nil {
		return err
	}
	if err := c.unmount(ctx); err != nil { // after a crash: a fresh mount needs no recovery
		return err
	}
	how := mountOptions{scratch: c.throwaway || c.onState(), bindWAL: !next.recyclesWAL()}
	mnt, err := c.t.m.mountPoint(ctx, c.t, c.name, c.dataDir(), how)
	if err != nil {
		return err
	}
	c.mount = mnt
	if err := c.launch(ctx, next, o); err != nil {
		return errors.Join(fmt.Errorf("pg %s: %w", c.name, err), c.unmount(context.WithoutCancel(ctx)))
	}
	return nil
}

// launch runs postgres on the mount with what next says, and notes on disk that it does.
func (c *compute) launch(ctx context.Context, next savedCompute, o api.ComputeOptions) error {
	distrib, err := c.t.m.pg.For(c.mount.branch.tl.VersionAt(c.mount.lsn))
	if err != nil {
		return err
	}
	needed, note, err := c.mount.needed(ctx, next.Settings)
	if err != nil {
		return err
	}
	mnt := c.mount
	contain := postgres.Contain{DataDir: c.dataDir(), Main: c.name == MainBranch && !c.throwaway, Options: o}
	contained, held, err := contain.Settings(viewFiles{ctx, mnt.view})
	if err != nil {
		return err
	}
	proc, err := postgres.Start(ctx, distrib, c.t.m.as, postgres.Launch{
		DataDir: c.dataDir(), LogPath: c.logPath(), Port: next.Port, Settings: c.settings(next, append(contained, needed...)),
		DieWithParent: true, // without this process it has no data files, but may have its WAL and go on to commit
		ReadPIDFile:   func() ([]byte, error) { return mnt.fs.Written(postgres.PostmasterPID) },
	})
	if err != nil {
		return err
	}
	before := c.saved
	c.saved = next
	if err := errors.Join(c.save(), postgres.WritePIDFile(c.dir, proc.PID())); err != nil {
		proc.Kill()
		c.saved = before
		return err
	}
	c.notes = postgres.Notes(note, held)
	c.proc = proc
	return nil
}

// settings are what goes on postgres's command line: what follows from the mount, what
// says who it is, what follows from its state, and what the user set, which wins.
func (c *compute) settings(saved savedCompute, ofState []api.Setting) []api.Setting {
	list := append(mountSettings(), postgres.PlaceSettings(c.dir, c.t.id.String(), c.mount.branch.tl.ID().String())...)
	list = append(list, ofState...)
	if c.throwaway {
		list = append(list, api.Setting{Name: "hba_file", Value: c.hbaPath()})
	}
	return append(list, postgres.UserSettings(saved.Settings)...)
}

// recyclesWAL reports whether the user may have the server recycle segments.
func (s savedCompute) recyclesWAL() bool {
	_, set := s.Settings["wal_recycle"]
	return set
}

// stop shuts postgres down, if it runs, and unmounts.
func (c *compute) stop(ctx context.Context, o api.StopOptions) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.does(api.ComputeStopping)()
	if c.gone {
		return api.Errorf(api.ErrNotFound, "pg %s: no such postgres", c.name)
	}
	if c.proc != nil && c.proc.Running() {
		if err := c.proc.Stop(ctx, o.Mode); err != nil {
			return err
		}
	} else if c.mount == nil && !o.Destroy && !postgres.WasLost(c.dir) {
		return api.Errorf(api.ErrNotFound, "pg %s: is not running", c.name)
	}
	if err := c.unmount(ctx); err != nil {
		return err
	}
	c.proc = nil
	if err := postgres.RemovePIDFile(c.dir); err != nil {
		return err
	}
	if !o.Destroy && !c.throwaway {
		return nil
	}
	return c.dropLocked()
}

// dropLocked removes the compute's directory, and takes it out of the tenant's list. It must
// have no mount: to remove what is on a mount of this process would be to use it.
func (c *compute) dropLocked() error {
	c.gone = true
	err := os.RemoveAll(c.dir)
	c.t.forget(c) // now another compute may have the directory
	return err
}

// dropIdle is dropLocked, unless the compute runs or is mounted.
func (c *compute) dropIdle() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone || c.mount != nil || c.proc != nil {
		return nil
	}
	return c.dropLocked()
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

// does notes what a command does that has c.mu for long, so that describe need not wait for it. The command
// calls what it returns at its end.
func (c *compute) does(what string) (end func()) {
	d := c.describeLocked()
	c.last.Store(&d)
	c.doing.Store(&what)
	return func() { c.doing.Store(nil) }
}

// describe says what the compute is and does. It does not wait for a command that starts or stops it: a list
// of all computes must not hang behind one.
func (c *compute) describe() api.Compute {
	for !c.mu.TryLock() {
		doing, last := c.doing.Load(), c.last.Load()
		if doing != nil && last != nil {
			d := *last
			d.Status = *doing
			return d
		}
		time.Sleep(time.Millisecond) // mu is held for a moment only
	}
	defer c.mu.Unlock()
	return c.describeLocked()
}

func (c *compute) describeLocked() api.Compute {
	d := api.Compute{
		Tenant: c.t.id.String(), Name: c.name, Status: api.ComputeStopped,
		Host: "127.0.0.1", Port: c.saved.Port, User: "postgres", Database: "postgres",
		Dir: c.dataDir(), Log: c.logPath(), Notes: c.notes,
	}
	switch {
	case c.damaged:
		d.Status = api.ComputeDamaged
	case c.proc == nil && postgres.WasLost(c.dir):
		d.Status = api.ComputeCrashed
	case c.proc == nil:
	case c.proc.Running():
		d.Status = api.ComputeRunning
	case c.proc.Crashed():
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
		if id, known := t.timelineOf(c.name); known && id != b.tl.ID() {
			continue // it may be starting or stopping, for which nobody else waits
		}
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

// onState reports whether the compute was made for a state that does not move: it runs on a
// scratch mount.
func (c *compute) onState() bool {
	_, _, state := c.t.splitPoint(c.name)
	return state
}

// timelineOf names the timeline of a compute that is not mounted.
func (t *tenant) timelineOf(name string) (repo.TimelineID, bool) {
	branch, _, _ := t.splitPoint(name)
	tl, err := t.repo.ByName(branch)
	if err != nil {
		return repo.TimelineID{}, false
	}
	return tl.ID(), true
}
