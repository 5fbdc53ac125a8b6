package tenants

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

// Exec starts a throw-away postgres on a copy. stop takes it down and removes everything that
// it had; should we be killed before, the next Exec does.
func (cs *Copies) Exec(ctx context.Context, s Source, fetch func(dir string) error) (cp api.Compute, stop func(context.Context) error, err error) {
	if err := cs.cleanExecs(ctx, s.Tenant); err != nil {
		return cp, nil, err
	}
	parent := filepath.Join(cs.dir, s.Tenant)
	if err := os.MkdirAll(parent, 0o711); err != nil {
		return cp, nil, err
	}
	// The lock is there before the directory: whoever finds that can tell whether we live.
	lock, err := os.CreateTemp(parent, throwawayPrefix+"*"+lockEnding)
	if err != nil {
		return cp, nil, err
	}
	dir := strings.TrimSuffix(lock.Name(), lockEnding)
	drop := func() error {
		return errors.Join(os.RemoveAll(dir), os.Remove(lock.Name()), lock.Close())
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return cp, nil, errors.Join(err, drop())
	}
	c, err := cs.make(ctx, s, dir, fetch)
	if err == nil {
		err = c.startThrowaway(ctx)
	}
	if err != nil {
		return cp, nil, errors.Join(err, drop())
	}
	stop = func(context.Context) error {
		c.proc.kill()
		return drop()
	}
	cp, err = c.Describe()
	if err != nil {
		return cp, nil, errors.Join(err, stop(ctx))
	}
	return cp, stop, nil
}

// lockEnding is that of the file which whoever runs an Exec has locked.
const lockEnding = ".lock"

// startThrowaway starts a server whose data need not survive anything.
func (c *Copy) startThrowaway(ctx context.Context) error {
	if err := os.WriteFile(c.hbaPath(), []byte(throwawayHBA), 0o644); err != nil {
		return err
	}
	return c.start(ctx, []api.Setting{
		{Name: "hba_file", Value: c.hbaPath()}, {Name: "fsync", Value: "off"}, {Name: "full_page_writes", Value: "off"},
	})
}

// cleanExecs ends and removes what a killed process left.
func (cs *Copies) cleanExecs(ctx context.Context, tenant string) error {
	locks, err := filepath.Glob(filepath.Join(cs.dir, tenant, throwawayPrefix+"*"+lockEnding))
	for _, path := range locks {
		err = errors.Join(err, cs.cleanExec(ctx, path))
	}
	return err
}

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
		return nil // somebody is using it
	}
	c := &Copy{cs: cs, dir: strings.TrimSuffix(lockPath, lockEnding)}
	if c.status() == api.ComputeRunning {
		if _, err := c.ctl(ctx, "stop", "-m", "immediate"); err != nil {
			return err
		}
	}
	return errors.Join(os.RemoveAll(c.dir), os.Remove(lockPath))
}
