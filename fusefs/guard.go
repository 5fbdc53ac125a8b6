package fusefs

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"

	"zenith/internal/pg"
	"zenith/internal/tree"
)

// postmasterPid is a file that a postgres has in its data directory while it runs. One that was
// killed leaves it behind: then nothing is refused, as if it still ran.
const postmasterPid = "postmaster.pid"

// guard refuses the change of a file that WAL describes while no postgres runs: the change would
// be in no WAL, so the branch would never learn of it.
func (t *worktree) guard(k *kind) error {
	switch {
	case !k.guarded:
		return nil
	case t.ended.Load():
		return fmt.Errorf("change of a %s file after a refused start: mount the branch anew: %w", k.name, ErrNotAllowed)
	case t.running():
		return nil
	}
	return fmt.Errorf("change of a %s file while no postgres runs on the mount: %w", k.name, ErrNotAllowed)
}

// running reports whether there is a postmaster.pid.
func (t *worktree) running() bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.root.children[postmasterPid] != nil
}

// checkWrite refuses a write that the branch cannot follow: to a configuration file that grows
// too large, or to a pg_control that says that changes go past WAL. data is nil where only the
// size changes, to off.
func (t *worktree) checkWrite(k *kind, data []byte, off int64) error {
	switch {
	case k.sync == syncStore && off+int64(len(data)) > maxStored:
		return errTooLarge
	case k == kindControl:
		if err := t.checkControl(data, off); err != nil {
			return err
		}
		if b := t.wal.bound(); b != nil {
			return b.adopt() // this may be the end of a checkpoint: then the server removes old segments
		}
	}
	return nil
}

// checkControl refuses a pg_control that says that changes go past WAL. By then postgres has
// written WAL that says so too, and the branch has that WAL. The pg_control that stays does not
// know of it, so a postgres that started again would overwrite it. So no postgres may start on
// this mount again (t.ended).
func (t *worktree) checkControl(data []byte, off int64) error {
	err := t.badControl(data, off)
	if err != nil {
		t.ended.Store(true)
	}
	return err
}

// badControl gives the reason for which checkControl refuses.
func (t *worktree) badControl(data []byte, off int64) error {
	c, err := pg.ParseControlFile(data)
	if off != 0 || err != nil {
		return nil // not how postgres writes it; it will not start on what it cannot read
	}
	if c.Settings.WALLevel == pg.WALLevelMinimal {
		return fmt.Errorf("wal_level=minimal, with which not all changes are in WAL: %w", ErrNotAllowed)
	}
	if t.control != nil && c.ChecksumVersion != t.control.ChecksumVersion {
		return fmt.Errorf("data checksums switched from %d to %d: %w", t.control.ChecksumVersion, c.ChecksumVersion, ErrNotAllowed)
	}
	return nil
}

// baseControl reads the base's pg_control; nil if it has none.
func baseControl(ctx context.Context, base tree.Tree) (*pg.ControlFile, error) {
	e, err := base.Lookup(ctx, pg.ControlPath)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	p := make([]byte, e.File.Size())
	if err := tree.ReadFull(ctx, e.File, p, 0); err != nil {
		return nil, err
	}
	return pg.ParseControlFile(p)
}

// stoppedCleanly gives pg_control if it says that postgres was stopped cleanly; else nil.
func (t *worktree) stoppedCleanly() (*pg.ControlFile, error) {
	global, err := t.root.find("global")
	if err != nil {
		return nil, err
	}
	d, ok := global.(*dir)
	if !ok || t.running() {
		return nil, nil
	}
	c, err := d.find("pg_control")
	if err != nil {
		return nil, err
	}
	f, ok := c.(*file)
	if !ok {
		return nil, nil
	}
	p, err := f.contents()
	if err != nil {
		return nil, err
	}
	control, err := pg.ParseControlFile(p)
	if err != nil || control.State != pg.DBShutdowned {
		return nil, err
	}
	return control, nil
}
