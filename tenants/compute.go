package tenants

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"zenith/internal/api"
	"zenith/internal/dirfd"
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
	throwaway bool   // pg exec's: not listed, gone when stopped
	release   func() // of a throw-away one: gives its tenant back, when it is gone

	turn chan struct{} // capacity 1, full while somebody has the turn: see take

	// To change what follows, a goroutine needs the turn and mu; to read it, one of them is enough. mu is
	// never held while postgres starts or stops, so that lists do not wait for that.
	mu       sync.Mutex
	state    computeState
	saved    savedCompute
	damaged  bool               // compute.toml is damaged, and saved is that of a new compute
	mount    *mount             // nil: not mounted
	proc     *postgres.Server   // the last that this process has started or found; nil: none
	asked    api.ComputeOptions // of the last start
	notes    []string           // of the last start: api.Compute's
	distrib  postgres.Distrib   // of the last start
	restarts int                // after crashes, since somebody has started it
	fell     int                // crashes in a row: see revive
	woken    bool               // it was started by wake, and by nobody since: it may be stopped when it has no clients
	listens  bool               // a throw-away one has a TCP port, too: see listen
}

// makeCompute makes a compute, which is not yet in the tenant's list.
func (t *tenant) makeCompute(name, dir string) *compute {
	return &compute{
		t: t, name: name, dir: dir, turn: make(chan struct{}, 1), state: stateStopped,
		saved: savedCompute{Point: name, Settings: map[string]string{}},
	}
}

// savedCompute is what <compute>/compute.toml holds.
type savedCompute struct {
	Point          string
	Port           int
	User, Database string            // of the last start: see postgres.Login; "": the usual ones
	Settings       map[string]string // never nil
	Up             *upAgain          `toml:",omitempty"` // it is to come back with the page server; nil: somebody has stopped it
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

func (c *compute) dataDir() string  { return filepath.Join(c.dir, "data") }
func (c *compute) logPath() string  { return filepath.Join(c.dir, "postgres.log") }
func (c *compute) tomlPath() string { return filepath.Join(c.dir, "compute.toml") }

// computeDir gives the directory of the compute that is called name.
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
		c := t.makeCompute(postgres.ServerName(e.Name()), filepath.Join(t.dir, "pg", e.Name()))
		var err error
		if c.saved, err = computeKind.Read(c.tomlPath()); errors.Is(err, fs.ErrNotExist) {
			continue // the process that was making the compute was killed
		}
		if err != nil {
			warnDamage(t.log, err)
			c.damaged, c.saved = true, savedCompute{Point: c.name, Settings: map[string]string{}}
		}
		c.name = c.saved.Point
		if postgres.WasLost(c.dir) {
			c.state = stateCrashed
		}
		t.computes[c.name] = c
	}
}

// create makes the compute's directory and settings. The caller has the turn.
func (c *compute) create() error {
	if err := errors.Join(c.makeDirs(), c.save(c.saved)); err != nil {
		return err
	}
	c.change(func() { c.damaged = false })
	return nil
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
	if err := c.takeDir(); err != nil {
		return err
	}
	if err := os.Mkdir(c.dataDir(), 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}

// tcp reports whether the server listens on TCP, too. One for a single command, or on a state that nobody else
// has a use for, does not.
func (c *compute) tcp() bool { return c.listens || !c.throwaway && !c.onState() }

// takeDir makes the compute's directory this process's, in which the account of postgres has a data directory and
// one for its socket, and can write nothing else. Earlier versions gave it to the account, which may have left
// symbolic links there under the names that this process opens.
func (c *compute) takeDir() (err error) {
	dir, err := dirfd.Open(c.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	fi, err := dir.Stat()
	if err != nil || dirfd.Owned(fi) {
		return err
	}
	if err := errors.Join(dir.Chown(os.Geteuid(), os.Getegid()), dir.Chmod(0o711)); err != nil {
		return err
	}
	left, err := dir.List()
	for _, e := range left {
		if !e.IsDir() && !e.Type().IsRegular() {
			err = errors.Join(err, dir.Remove(e.Name()))
		}
	}
	return err
}

// save writes the settings, whole or not at all.
func (c *compute) save(s savedCompute) error { return computeKind.Write(c.tomlPath(), s, c.t.log) }

// with gives the settings to save once the compute has started with o.
func (s savedCompute) with(o api.ComputeOptions) (savedCompute, error) {
	var err error
	s.Settings, err = postgres.MergeSettings(s.Settings, o)
	s.Port = cmp.Or(o.Port, s.Port)
	return s, err
}

// describe says what the compute is and does.
func (c *compute) describe() api.Compute {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := api.Compute{
		Tenant: c.t.id.String(), Name: c.name, Status: string(c.state), Restarts: c.restarts,
		Host: postgres.HostOf(c.tcp(), c.saved.Settings), Socket: postgres.SocketDir(c.dir), Port: c.saved.Port,
		User: cmp.Or(c.saved.User, postgres.UsualLogin.User), Database: cmp.Or(c.saved.Database, postgres.UsualLogin.Database),
		Dir: c.dataDir(), Log: c.logPath(), Notes: c.notes, PasswordFile: c.t.passwordFile(), Account: c.t.as.Name,
	}
	if c.damaged && c.mount == nil {
		d.Status = api.ComputeDamaged
	}
	if c.mount != nil {
		d.Timeline, d.LSN = c.mount.branch.tl.ID().String(), c.mount.lsn
	}
	if c.mount != nil && c.state == stateRunning && c.mount.mode == api.ModeWritable {
		d.WAL = api.WALThroughMount
		if c.mount.fs.WALBound() {
			d.WAL = api.WALDirect
		}
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
