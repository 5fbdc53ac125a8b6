package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"zenith/internal/api"
	"zenith/internal/postgres"
)

// gift is the handing over of a work directory of root's to an account.
type gift struct {
	root  *os.Root
	as    postgres.Account
	names map[uint64]uint64 // by inode: how many names below root a file has
}

// giveTree gives what is root's below root to an account, but for the settings. The top comes last: if that fails in
// the middle, the next start goes on with it. A file that has a name outside, too, is not given: where the kernel lets
// everybody make such names (fs.protected_hardlinks=0), it may be any file of root's.
func giveTree(root *os.Root, as postgres.Account) error {
	g := gift{root: root, as: as, names: map[uint64]uint64{}}
	var files, dirs []string
	err := fs.WalkDir(root.FS(), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == configFile || path == serverFile {
			return err
		}
		fi, err := root.Lstat(path)
		if err != nil || ownerOf(fi) != 0 {
			return err
		}
		if entry.IsDir() {
			dirs = append(dirs, path)
			return nil
		}
		g.names[fi.Sys().(*syscall.Stat_t).Ino]++
		files = append(files, path)
		return nil
	})
	for i := 0; i < len(files) && err == nil; i++ {
		err = g.give(files[i])
	}
	for i := len(dirs) - 1; i >= 0 && err == nil; i-- {
		err = g.give(dirs[i])
	}
	return err
}

// give gives a file of root's to the account; a group other than root's stays, for a tenant's account is in that.
func (g gift) give(path string) (err error) {
	f, err := g.root.OpenFile(path, unix.O_PATH|unix.O_NOFOLLOW, 0) // what is looked at is what is given
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	fi, err := f.Stat()
	if err != nil || ownerOf(fi) != 0 && ownerOf(fi) != g.as.UID { // it was exchanged
		return err
	}
	st := fi.Sys().(*syscall.Stat_t)
	if !fi.IsDir() && uint64(st.Nlink) > g.names[st.Ino] {
		return api.Errorf(api.ErrNotAllowed, "%s: has another name outside of the work directory, so root does not give it to %s: make it a file of its own", g.root.Name()+"/"+path, g.as.Name)
	}
	gid := -1
	if st.Gid == 0 {
		gid = g.as.GID
	}
	if err := unix.Fchownat(int(f.Fd()), "", g.as.UID, gid, unix.AT_EMPTY_PATH); err != nil {
		return fmt.Errorf("give %s to %s: %w", path, g.as.Name, err)
	}
	if fi.IsDir() && fi.Mode()&fs.ModeSetgid != 0 {
		return os.Chmod(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), fi.Mode()) // chown clears the setgid bit
	}
	return nil
}
