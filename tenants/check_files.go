package tenants

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"zenith/fusefs"
	"zenith/internal/sidefile"
	"zenith/repo"
)

// checkFiles checks what lies beside the store and the WAL: the side files, those that were found to be damaged
// before, and what a branch's last mount left, with the mark of durable WAL.
func (c *checker) checkFiles(ctx context.Context, t *tenant) error {
	for _, h := range c.heads {
		if h.empty {
			continue
		}
		if !h.deleted { // of a deleted branch checkWAL reads all
			if err := c.checkMark(ctx, h); err != nil {
				return err
			}
		}
		if err := c.sideFile(fusefs.CheckKept(h.b.tl.WorkDir())); err != nil {
			return err
		}
	}
	for _, check := range []func() error{
		func() error { return checkSide(c, slotsKind, slotsDir(t.dir), "*") },
		func() error { return checkSide(c, receiverKind, receiversDir(t.dir), "*") },
		func() error {
			return checkSide(c, librariesKind, filepath.Join(t.dir, "timelines"), "*/work/libraries.json")
		},
		func() error { return checkSide(c, computeKind, filepath.Join(t.dir, "pg"), "*/compute.toml") },
	} {
		if err := check(); err != nil {
			return err
		}
	}
	return c.checkAside(ctx, t)
}

// checkSide reads the side files of one kind whose paths below dir match pattern.
func checkSide[T any](c *checker, kind sidefile.Kind[T], dir, pattern string) error {
	paths, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		return err
	}
	for _, path := range paths {
		if isAside(path) {
			continue // checkAside tells of it
		}
		_, err := kind.Read(path)
		if err := c.sideFile(err); err != nil {
			return err
		}
	}
	return nil
}

// sideFile tells of a damaged side file; any other error than that it is not there is the check's.
func (c *checker) sideFile(err error) error {
	var d *sidefile.Damage
	switch {
	case err == nil || errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.As(err, &d):
		return c.problem(fmt.Errorf("%w: lost is %s", err, d.Lost))
	}
	return err
}

// isAside reports whether a file was moved aside since it was damaged: see durable.MoveAside.
func isAside(path string) bool { return strings.Contains(filepath.Base(path), ".damaged-") }

// checkAside tells of each file that was found to be damaged before, and moved aside. It is a problem until
// somebody has looked at it and removed it. The store's own files are not among them: what is in their place
// has all that they had.
func (c *checker) checkAside(ctx context.Context, t *tenant) error {
	dirs := []string{t.dir, slotsDir(t.dir), receiversDir(t.dir), filepath.Join(t.dir, "pg", "*"), filepath.Join(t.dir, "timelines", "*"),
		filepath.Join(t.dir, "timelines", "*", "work")}
	for _, dir := range dirs {
		if err := ctx.Err(); err != nil {
			return err
		}
		paths, err := filepath.Glob(filepath.Join(dir, "*.damaged-*"))
		if err != nil {
			return err
		}
		for _, path := range paths {
			if err := c.problem(fmt.Errorf("%s was damaged, and another one is in its place (remove it when it is of no more use): %w", path, repo.ErrCorrupt)); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkMark compares the mark of durable WAL with the WAL that can be read.
func (c *checker) checkMark(ctx context.Context, h *headCheck) error {
	tl := h.b.tl
	mark, there, err := tl.Durable()
	if err != nil {
		return c.of(ctx, h, fmt.Errorf("the mark of durable wal: %w", err))
	}
	if _, err := os.Stat(tl.WALDir()); !there || err != nil {
		return nil // there is no mark: no server writes the branch
	}
	head := tl.LastLSN()
	if mark > head { // the follower of WAL may be about to publish it
		if head, err = h.b.catchup(ctx); err != nil {
			return c.of(ctx, h, err)
		}
	}
	if mark > head {
		return c.of(ctx, h, fmt.Errorf("wal was durable up to %v, and can be read up to %v: %w", mark, head, repo.ErrCorrupt))
	}
	return nil
}
