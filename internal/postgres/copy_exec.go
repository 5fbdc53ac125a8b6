package postgres

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"zenith/internal/api"
)

// ThrowawayPrefix begins the directory names of servers that serve one command and are then removed.
const ThrowawayPrefix = ".exec-"

// Exec makes a copy and starts a throw-away postgres on it. stop takes it down and removes
// everything of it; if this process is killed before that, the next Exec does.
func (cs *Copies) Exec(ctx context.Context, s Source, fetch func(dir string) error, o api.ComputeOptions) (cp api.Compute, stop func(context.Context) error, err error) {
	if err := cs.cleanExecs(ctx, s.Tenant); err != nil {
		return cp, nil, err
	}
	parent := filepath.Join(cs.dir, s.Tenant)
	if err := os.MkdirAll(parent, 0o711); err != nil {
		return cp, nil, err
	}
	// The lock is there before the directory, so that another process that finds the directory
	// can tell whether this one lives.
	lock, err := os.CreateTemp(parent, ThrowawayPrefix+"*"+lockEnding)
	if err != nil {
		return cp, nil, err
	}
	dir := strings.TrimSuffix(lock.Name(), lockEnding)
	drop := func() error {
		return errors.Join(RemoveSocketDir(dir), os.RemoveAll(dir), os.Remove(lock.Name()), lock.Close())
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return cp, nil, errors.Join(err, drop())
	}
	c, err := cs.make(ctx, s, dir, fetch)
	if err == nil {
		err = c.startThrowaway(ctx, o)
	}
	if err != nil {
		return cp, nil, errors.Join(err, drop())
	}
	stop = func(context.Context) error {
		c.proc.Kill()
		return drop()
	}
	cp, err = c.Describe()
	if err != nil {
		return cp, nil, errors.Join(err, stop(ctx))
	}
	return cp, stop, nil
}

// lockEnding ends the name of the file that the process which runs an Exec holds locked.
const lockEnding = ".lock"

// startThrowaway starts a server whose data need not survive anything, so it never syncs.
func (c *Copy) startThrowaway(ctx context.Context, o api.ComputeOptions) error {
	return c.start(ctx, o, []api.Setting{{Name: "fsync", Value: "off"}, {Name: "full_page_writes", Value: "off"}})
}

// cleanExecs ends and removes the throw-away servers of processes that were killed.
func (cs *Copies) cleanExecs(ctx context.Context, tenant string) error {
	locks, err := filepath.Glob(filepath.Join(cs.dir, tenant, ThrowawayPrefix+"*"+lockEnding))
	for _, path := range locks {
		err = errors.Join(err, cs.cleanExec(ctx, path))
	}
	return err
}

// cleanExec does so for the server whose lock is at lockPath, unless it is in use.
func (cs *Copies) cleanExec(ctx context.Context, lockPath string) error {
	lock, err := os.Open(lockPath)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer lock.Close()
	if unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		return nil // the process that uses it lives
	}
	c := &Copy{cs: cs, dir: strings.TrimSuffix(lockPath, lockEnding)}
	if c.status() == api.ComputeRunning {
		if _, err := c.ctl(ctx, "stop", "-m", "immediate"); err != nil {
			return err
		}
	}
	return errors.Join(RemoveSocketDir(c.dir), os.RemoveAll(c.dir), os.Remove(lockPath))
}
