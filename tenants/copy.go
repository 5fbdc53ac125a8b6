package tenants

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"zenith/internal/api"
	"zenith/internal/pg"
)

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
func (c *Copy) Set(o api.ComputeOptions) error {
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
	case api.ComputeRunning:
		return api.Errorf(api.ErrBusy, "pg %s: already running on port %d", c.saved.Point, c.saved.Port)
	case api.ComputeCrashed:
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
		if len(livingIn(c.dataDir())) == 0 {
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
	return os.Remove(c.pidPath())
}

// orphanTime is how long a killed postmaster's children may take to notice.
const orphanTime = 10 * time.Second

func (c *Copy) start(ctx context.Context, more []api.Setting) error {
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
	proc, err := startPostgres(ctx, c.cs.pg, c.cs.as, launch{
		dataDir: c.dataDir(), logPath: c.logPath(), port: c.saved.Port, settings: append(c.settings(), more...),
	})
	if err != nil {
		return fmt.Errorf("pg %s: %w (log: %s)", c.saved.Point, err, c.logPath())
	}
	c.proc = proc
	return c.save()
}

// settings are what goes on the command line; what the user set wins.
func (c *Copy) settings() []api.Setting {
	list := append(copySettings(),
		api.Setting{Name: "listen_addresses", Value: "127.0.0.1"},
		api.Setting{Name: "unix_socket_directories", Value: socketDir(c.dir)},
		api.Setting{Name: "zenith.tenant_id", Value: c.saved.Tenant},
		api.Setting{Name: "zenith.timeline_id", Value: c.saved.Timeline})
	return append(list, sortedSettings(c.saved.Settings)...)
}

// Stop shuts postgres down, if it runs, in one of pg_ctl's modes, and with destroy removes the
// copy.
func (c *Copy) Stop(ctx context.Context, o api.StopOptions) error {
	running := c.status() == api.ComputeRunning
	if !running && !o.Destroy {
		return api.Errorf(api.ErrNotFound, "pg %s: is not running", c.saved.Point)
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
		return api.ComputeStopped
	}
	first, _, _ := strings.Cut(string(text), "\n")
	// One that is dead and was not waited for lives nowhere.
	if pid, err := strconv.Atoi(strings.TrimSpace(first)); err == nil && livesIn(pid, realHome(c.dataDir())) {
		return api.ComputeRunning
	}
	return api.ComputeCrashed
}

// Describe says what the copy is and does. Its LSN is where it was made.
func (c *Copy) Describe() (api.Compute, error) {
	lsn, err := pg.ParseLSN(c.saved.LSN)
	return api.Compute{
		Tenant: c.saved.Tenant, Name: c.saved.Point, Timeline: c.saved.Timeline, LSN: lsn, Status: c.status(),
		Host: "127.0.0.1", Port: c.saved.Port, User: "postgres", Database: "postgres", Dir: c.dataDir(), Log: c.logPath(),
	}, err
}
