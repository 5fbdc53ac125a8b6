package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"zenith/internal/api"
	"zenith/internal/pg"
	"zenith/internal/privileged"
	"zenith/internal/sidefile"
)

// Copy is a full backup of one point, unpacked on this machine, with the postgres that runs on it.
type Copy struct {
	cs     *Copies
	dir    string
	saved  savedCopy
	damage error    // why copy.toml could not be read: saved is what a new copy has; nil: it could
	proc   *Server  // nil: this process did not start it
	notes  []string // of the last start
}

// savedCopy is what <copy>/copy.toml holds.
type savedCopy struct {
	Tenant, Point, Timeline, LSN string
	Port                         int
	User, Database               string            // of the last start: see Login; "": the usual ones
	Settings                     map[string]string // never nil
}

// copyKind is copy.toml.
var copyKind = sidefile.Kind[savedCopy]{
	Lost: "the port and the settings of a copy, and which state it is a copy of", Perm: 0o644, Format: sidefile.TOML, Check: (*savedCopy).check,
}

func (s *savedCopy) check() error {
	if s.Tenant == "" || s.Point == "" {
		return errors.New("it names no point of a tenant")
	}
	if s.Settings == nil {
		s.Settings = map[string]string{}
	}
	_, err := pg.ParseLSN(s.LSN)
	return err
}

// newCopy is what is kept of a copy that was just made.
func newCopy(s Source) savedCopy {
	return savedCopy{Tenant: s.Tenant, Point: s.Point, Timeline: s.Timeline, LSN: s.LSN.String(), Settings: map[string]string{}}
}

// Damage is what is wrong with the file that had the copy's settings, nil if nothing is. A damaged
// copy can be started, with a port and settings as if it were new; the file is moved aside then.
func (c *Copy) Damage() error { return c.damage }

func (c *Copy) dataDir() string  { return filepath.Join(c.dir, "data") }
func (c *Copy) logPath() string  { return filepath.Join(c.dir, "postgres.log") }
func (c *Copy) tomlPath() string { return filepath.Join(c.dir, "copy.toml") }

// save writes the settings, whole or not at all.
func (c *Copy) save() error {
	err := copyKind.Write(c.tomlPath(), c.saved, slog.New(slog.DiscardHandler)) // the caller has asked Damage
	if err == nil {
		c.damage = nil
	}
	return err
}

// with gives the settings to save once the copy has started with o.
func (s savedCopy) with(o api.ComputeOptions) (savedCopy, error) {
	var err error
	s.Settings, err = MergeSettings(s.Settings, o)
	s.Port = cmp.Or(o.Port, s.Port)
	return s, err
}

// Set keeps what o says for the next start and all later ones.
func (c *Copy) Set(o api.ComputeOptions) (err error) {
	if c.saved, err = c.saved.with(o); err != nil {
		return err
	}
	return c.save()
}

// Start starts postgres with what o says, and returns when it accepts connections; then it also keeps
// that for all later starts. It runs on when this process ends. One that runs already with all that o
// says is left as it is. ErrBusy: it runs with other settings, its port is taken, or children of a
// killed one are left.
func (c *Copy) Start(ctx context.Context, o api.ComputeOptions) error {
	switch c.status() {
	case api.ComputeRunning:
		next, err := c.saved.with(o)
		if err == nil && !RunsWith(c.saved.Port, c.saved.Settings, next.Port, next.Settings) {
			err = OtherSettings(c.saved.Point, c.saved.Port)
		}
		return err
	case api.ComputeCrashed:
		if err := c.bury(ctx); err != nil {
			return err
		}
	}
	return c.start(ctx, o, nil)
}

// bury cleans up after a postmaster that was killed: it waits for its children, which live in
// the data directory as it did, and removes its pid file, whose number may be a zombie's, or
// another program's by now.
func (c *Copy) bury(ctx context.Context) error {
	for end := time.Now().Add(orphanTime); ; {
		if len(livingIn(&privileged.InProcess{}, c.dataDir())) == 0 {
			break
		}
		if time.Now().After(end) {
			return api.Errorf(api.ErrBusy, "pg %s: its postmaster is gone, and processes of it still run after %v", c.saved.Point, orphanTime)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return DirFiles(c.dataDir()).remove(PostmasterPID)
}

// orphanTime is how long the children of a killed postmaster may take to notice that it is gone.
const orphanTime = 10 * time.Second

// start starts postgres with what o says, and with more settings that are not kept.
func (c *Copy) start(ctx context.Context, o api.ComputeOptions, more []api.Setting) error {
	next, err := c.saved.with(o)
	if err != nil {
		return err
	}
	if next.Port, err = ChoosePort(next.Port); err != nil {
		return err
	}
	as, err := c.account()
	if err == nil {
		err = errors.Join(c.giveTo(as), as.MakeSocketDir(c.dir))
	}
	if err != nil {
		return err
	}
	distrib, err := c.distrib(ctx)
	if err != nil {
		return err
	}
	ofState, err := c.ofState(next, as, o)
	if err != nil {
		return fmt.Errorf("pg %s: %w", c.saved.Point, err)
	}
	login, err := FindLogin(DirFiles(c.dataDir()))
	if err != nil {
		return fmt.Errorf("pg %s: %w", c.saved.Point, err)
	}
	next.User, next.Database = login.User, login.Database
	proc, err := Start(ctx, distrib, as, Launch{
		DataDir: c.dataDir(), LogPath: c.logPath(), Port: next.Port, Settings: c.settings(next, append(ofState, more...)), Timeouts: c.cs.timeouts,
	})
	if err != nil {
		return fmt.Errorf("pg %s: %w (log: %s)", c.saved.Point, err, c.logPath())
	}
	c.proc, c.saved = proc, next
	return c.save()
}

// ofState finds the settings that the copy's state needs, and those that keep the server from reaching what
// the original reaches, and notes them for Describe.
func (c *Copy) ofState(next savedCopy, as Account, o api.ComputeOptions) ([]api.Setting, error) {
	files := DirFiles(c.dataDir())
	text, err := files.ReadFile(pg.ControlPath)
	if err != nil {
		return nil, err
	}
	control, err := pg.ParseControlFile(text)
	if err != nil {
		return nil, err
	}
	needed, note, err := Needed(State{Files: files, Had: control.Settings}, next.Settings)
	if err != nil {
		return nil, err
	}
	contained, held, err := Contain{DataDir: c.dataDir(), Exec: c.throwaway(), Options: o}.Settings(files)
	if err != nil {
		return nil, err
	}
	gate := Gate{Dir: c.dir, DataDir: c.dataDir(), Account: as, Own: o.AsOriginal, OpenSocket: OpensSocket(next.Settings), Contained: contained}
	access, keyless, err := gate.Settings(files)
	c.notes = Notes(note, held, keyless)
	return slices.Concat(contained, access, needed), err
}

// giveTo gives the data directory to the account that will run postgres, if it is another's: of a copy that was made
// when all ran as one account.
func (c *Copy) giveTo(as Account) error {
	fi, err := os.Lstat(c.dataDir())
	if err != nil {
		return err
	}
	if st, ok := fi.Sys().(*syscall.Stat_t); !ok || int(st.Uid) == as.UID {
		return nil
	}
	return as.OwnAll(c.dataDir())
}

// account is the one that runs postgres.
func (c *Copy) account() (Account, error) { return c.cs.as(filepath.Base(filepath.Dir(c.dir))) }

// throwaway reports whether the copy is Exec's.
func (c *Copy) throwaway() bool { return strings.HasPrefix(filepath.Base(c.dir), ThrowawayPrefix) }

// settings are what goes on the command line; what the user set comes last, and so wins.
func (c *Copy) settings(saved savedCopy, more []api.Setting) []api.Setting {
	list := append(PlaceSettings(c.dir, !c.throwaway(), saved.Tenant, saved.Timeline), more...)
	return append(list, UserSettings(saved.Settings)...)
}

// Stop shuts postgres down, if it runs, in one of pg_ctl's modes, and with o.Destroy removes
// the copy. ErrNotFound: it does not run, and is not to be destroyed.
func (c *Copy) Stop(ctx context.Context, o api.StopOptions) error {
	running := c.status() == api.ComputeRunning
	if !running && !o.Destroy {
		return api.Errorf(api.ErrNotFound, "pg %s: is not running", c.saved.Point)
	}
	if running {
		mode := cmp.Or(o.Mode, "fast")
		if o.Destroy {
			mode = cmp.Or(o.Mode, "immediate") // a shutdown checkpoint would write what is removed below
		}
		if out, err := c.ctl(ctx, "stop", "-m", mode, "-w", "-t", fmt.Sprint(int(c.cs.timeouts.withDefaults().Stop.Seconds()))); err != nil {
			return fmt.Errorf("pg %s: stop: %s", c.saved.Point, lastLine(out))
		}
	}
	if o.Destroy {
		return errors.Join(RemoveSocketDir(c.dir), os.RemoveAll(c.dir))
	}
	return nil
}

// distrib gives the installation of the version whose data directory the copy is.
func (c *Copy) distrib(ctx context.Context) (Distrib, error) {
	text, err := DirFiles(c.dataDir()).ReadFile("PG_VERSION")
	if err != nil {
		return Distrib{}, err
	}
	v, err := pg.ParseMajor(strings.TrimSpace(string(text)))
	if err != nil {
		return Distrib{}, fmt.Errorf("pg %s: %w", c.saved.Point, err)
	}
	d, err := c.cs.distribs.For(ctx, v)
	if err != nil {
		return Distrib{}, fmt.Errorf("pg %s: %w", c.saved.Point, err)
	}
	return d, nil
}

// ctl runs pg_ctl: this process need not be the parent of the postmaster. An error is told by
// the last line of the output.
func (c *Copy) ctl(ctx context.Context, args ...string) ([]byte, error) {
	distrib, err := c.distrib(ctx)
	if err != nil {
		return []byte(err.Error()), err
	}
	cmd := exec.CommandContext(ctx, distrib.bin("pg_ctl"), append([]string{"-D", c.dataDir()}, args...)...)
	as, err := c.account()
	if err != nil {
		return []byte(err.Error()), err
	}
	as.prepare(cmd)
	return cmd.CombinedOutput()
}

// status tells how postgres is, by its pid file, which one that ended well has removed.
func (c *Copy) status() string {
	text, err := DirFiles(c.dataDir()).ReadFile(PostmasterPID)
	if err != nil {
		return api.ComputeStopped
	}
	// A zombie has the number still, but no current directory any more.
	if _, ok := FindPostmaster(&privileged.InProcess{}, text, c.dataDir()); ok {
		return api.ComputeRunning
	}
	return api.ComputeCrashed
}

// accountName gives the account that runs postgres, for people.
func (c *Copy) accountName() string {
	as, err := c.account()
	if err != nil {
		return ""
	}
	return as.Name
}

// Describe says what the copy is, whether it runs, and else whether its file is damaged. Its LSN is that of the point that it is a copy of.
func (c *Copy) Describe() (api.Compute, error) {
	lsn, err := pg.ParseLSN(c.saved.LSN)
	status := c.status()
	if c.damage != nil && status != api.ComputeRunning {
		status = api.ComputeDamaged
	}
	return api.Compute{
		Tenant: c.saved.Tenant, Name: c.saved.Point, Timeline: c.saved.Timeline, LSN: lsn, Status: status,
		Host: HostOf(!c.throwaway(), c.saved.Settings), Socket: SocketDir(c.dir), Port: c.saved.Port, Dir: c.dataDir(), Log: c.logPath(), Notes: c.notes,
		Account: c.accountName(), User: cmp.Or(c.saved.User, UsualLogin.User), Database: cmp.Or(c.saved.Database, UsualLogin.Database),
	}, err
}
