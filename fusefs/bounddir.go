package fusefs

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"

	"zenith/internal/dirfd"
	"zenith/internal/durable"
	"zenith/internal/pg"
	"zenith/internal/privileged"
)

// boundDir is a directory that is, or was, bound to a pg_wal: the account of a server can write it. Files that
// the server has made are the account's alone, and become this process's when it takes them.
type boundDir struct {
	*dirfd.Dir
	path   string
	helper privileged.Helper
}

func openBound(path string, h privileged.Helper) (boundDir, error) {
	d, err := dirfd.Open(path)
	return boundDir{d, path, h}, err
}

// take makes a file or a directory this process's, if it is not; the group of the server's account can go on to
// write it.
func (d boundDir) take(rel string, fi iofs.FileInfo) error {
	if dirfd.Owned(fi) {
		return nil
	}
	mode := iofs.FileMode(0o660)
	if fi.IsDir() {
		mode = 0o770 | iofs.ModeSetgid
	}
	return d.helper.Own(d.path, rel, privileged.Ownership{UID: os.Geteuid(), GID: -1, Mode: mode})
}

// removeBound removes a directory that was bound, and what is in it.
func removeBound(dir string, h privileged.Helper) error {
	if err := takeTree(dir+unfinished, h); err != nil {
		return err
	}
	if err := os.RemoveAll(dir + unfinished); err != nil {
		return err
	}
	if err := durable.Rename(dir, dir+unfinished); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := takeTree(dir+unfinished, h); err != nil {
		return err
	}
	return os.RemoveAll(dir + unfinished)
}

// takeTree makes the directories below one that was bound this process's, so that it can remove what is in them.
func takeTree(path string, h privileged.Helper) error {
	d, err := openBound(path, h)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(d.takeBelow("."), d.Close())
}

// takeBelow takes the directories below the one that is called rel, from d on: a process of the account may still put
// links in the place of those on the way.
func (d boundDir) takeBelow(rel string) error {
	sub, err := d.Sub(rel)
	if err != nil {
		return err
	}
	entries, err := sub.List()
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		below := filepath.Join(rel, e.Name())
		fi, ferr := sub.Lstat(e.Name())
		if ferr == nil {
			ferr = d.take(below, fi)
		}
		if ferr == nil {
			ferr = d.takeBelow(below)
		}
		err = errors.Join(err, ferr)
	}
	return errors.Join(err, sub.Close())
}

// segmentsIn lists the segments in a directory.
func segmentsIn(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if pg.IsWALSegmentName(e.Name()) && e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// others lists the files that are neither segments nor unfinished, by their paths in the directory.
func (d boundDir) others() (paths []string, err error) {
	for _, name := range []string{".", archiveStatus} {
		sub, err := d.Sub(name)
		if err != nil {
			if name == archiveStatus { // removed by the server's account, or replaced by what is none
				continue
			}
			return nil, err
		}
		entries, err := sub.List()
		if err = errors.Join(err, sub.Close()); err != nil {
			return nil, err
		}
		for _, e := range entries {
			if e.Type().IsRegular() && !pg.IsWALSegmentName(e.Name()) && !strings.HasPrefix(e.Name(), "xlogtemp.") {
				paths = append(paths, filepath.Join(name, e.Name()))
			}
		}
	}
	return paths, nil
}

// open opens one of the others for reading.
func (d boundDir) open(rel string) (_ *os.File, err error) {
	sub, err := d.Sub(filepath.Dir(rel))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, sub.Close()) }()
	fi, err := sub.Lstat(filepath.Base(rel))
	if err == nil {
		err = d.take(rel, fi)
	}
	if err != nil {
		return nil, err
	}
	return sub.OpenFile(filepath.Base(rel), os.O_RDONLY, 0)
}

// AdoptWAL takes over the segments, and the state of archiving, that a server wrote to a bound pg_wal after the process that
// served the mount was killed: see WorkOptions.BindWAL. workDir is the mount's WorkOptions.Dir,
// walDir the directory of the branch's segments. No server may be running on the mount any more. Of opts only Helper is used.
func AdoptWAL(workDir, walDir string, opts Options) error {
	path, h := filepath.Join(workDir, boundName), opts.withDefaults().Helper
	dir, err := openBound(path, h)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	if fi, err := dir.Stat(); err != nil || !dirfd.Owned(fi) { // an earlier version gave it to the account
		err = errors.Join(err, h.Own(workDir, boundName, privileged.Ownership{UID: os.Geteuid(), GID: -1, Mode: 0o770 | iofs.ModeSetgid}))
		if err != nil {
			return err
		}
	}
	if err := dir.adopt(walDir); err != nil {
		return fmt.Errorf("take wal from %s: %w", path, err)
	}
	if err := savedIn(workDir).takeWAL(dir); err != nil {
		return fmt.Errorf("take the state of archiving from %s: %w", path, err)
	}
	return removeBound(path, h)
}

// adopt gives each segment a second name in the directory to, and makes the names durable.
func (d boundDir) adopt(to string) (err error) {
	names, err := segmentsIn(d.path)
	if err != nil {
		return err
	}
	branch, err := dirfd.Open(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, branch.Close()) }()
	made := false
	for _, name := range names {
		did, err := d.adoptSegment(name, branch)
		if err != nil {
			return err
		}
		made = made || did
	}
	if !made {
		return nil
	}
	return branch.Sync()
}

// adoptSegment gives a segment its name in the branch's directory; made is false if it had it. Another
// file of that name is replaced: it was never a part of the branch, but WAL beyond its end, or a
// spare that the server did not use.
func (d boundDir) adoptSegment(name string, branch *dirfd.Dir) (made bool, err error) {
	servers, err := d.Lstat(name)
	if err == nil {
		err = d.take(name, servers)
	}
	if err == nil {
		err = d.LinkTo(name, branch, name)
	}
	if errors.Is(err, os.ErrNotExist) {
		return false, nil // the server removed it just now, so it had been adopted
	}
	if !errors.Is(err, os.ErrExist) {
		return err == nil, err
	}
	ours, err := branch.Lstat(name)
	if err != nil {
		return false, err
	}
	if os.SameFile(ours, servers) {
		return false, nil
	}
	if err := branch.Remove(adoptName); err != nil {
		return false, err
	}
	if err := d.LinkTo(name, branch, adoptName); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			err = nil
		}
		return false, err
	}
	return true, branch.Rename(adoptName, branch, name)
}
