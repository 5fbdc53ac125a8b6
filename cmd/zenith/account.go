package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"

	"zenith/internal/api"
	"zenith/internal/dirfd"
	"zenith/internal/postgres"
)

// usualAccount is the account that the page server runs as where root makes a work directory and names none.
const usualAccount = "zenith"

// rootAccount is the account of a page server that keeps root's rights.
const rootAccount = "root"

// wantedAccount gives the account that a new work directory's page server is to run as: the one that the user has
// named, else the usual one, where root makes it. "" is the user's own.
func wantedAccount(named string) string {
	if named == "" && os.Geteuid() == 0 {
		return usualAccount
	}
	return named
}

// serverAccount gives the account that a page server runs as which root starts: root itself for "".
func serverAccount(name string) (postgres.Account, error) {
	if name == "" || name == rootAccount {
		return postgres.OwnAccount(), nil
	}
	if _, err := user.Lookup(name); err != nil {
		return postgres.Account{}, api.Errorf(api.ErrBadArgument, "account %s: no such user on this machine", name)
	}
	return postgres.LookupAccount(nil, name)
}

// handOver gives the work directory to the account of its page server, if it is still root's: an empty one, or one that
// earlier versions left. What servers' accounts own in it stays theirs. The directory is the one that was checked, whatever
// becomes of the links on the way to it: from here on s names it by its real path.
func (e *environ) handOver(s *settings, as postgres.Account) (err error) {
	real, err := filepath.EvalSymlinks(s.workdir)
	if err == nil {
		err = as.CheckReach(real)
	}
	if err != nil {
		return err
	}
	s.workdir = real
	exposed := checkParents(real, as)
	dir, err := dirfd.OpenReal(real)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	fi, err := dir.Stat()
	if err != nil {
		return err
	}
	switch ownerOf(fi) {
	case as.UID:
		e.warnExposed(exposed)
		return letRead(dir, as)
	case 0:
	default:
		return api.Errorf(api.ErrNotAllowed, "%s: belongs to user %d, and its page server is to run as %s: give it to that account, or to root; or let the page server run as another one (--account)", e.workdir, ownerOf(fi), as.Name)
	}
	if entries, err := dir.List(); err != nil || len(entries) == 0 { // nothing can have been put into it
		e.warnExposed(exposed)
		return errors.Join(err, dir.Chown(as.UID, as.GID))
	}
	if exposed != nil {
		return exposed
	}
	return e.handOverFilled(s, dir, as)
}

// warnExposed says that others can put another directory in the place of the work directory. It would have to belong to
// the page server's account, and the settings in it to root.
func (e *environ) warnExposed(exposed error) {
	if exposed != nil {
		fmt.Fprintf(e.err, "zenith: warning: %v\n", exposed)
	}
}

// handOverFilled gives away a work directory of root's in which something is.
func (e *environ) handOverFilled(s *settings, dir *dirfd.Dir, as postgres.Account) (err error) {
	if pid, running, err := probe(filepath.Join(s.workdir, pidFileName)); err != nil || running {
		return errors.Join(err, api.Errorf(api.ErrBusy, "%s: page server: already running, pid %d", e.workdir, pid))
	}
	if err := endLeftovers(s); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir.Path())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	if _, err := root.Lstat(configFile); err == nil { // it was made by, and for, root
		fmt.Fprintf(e.err, "zenith: %s now belongs to %s, as which its page server runs\n", e.workdir, as.Name)
	}
	return errors.Join(giveTree(root, as), letRead(dir, as))
}

// endLeftovers ends the mounts and servers that a page server of root's has left which was killed: nobody else may, and
// a dead mount cannot be looked at.
func endLeftovers(s *settings) error {
	if _, err := os.Lstat(filepath.Join(s.workdir, tenantsDir)); err != nil {
		return nil // a new work directory
	}
	m, err := newManager(s, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	return m.Close(context.Background())
}

// checkParents makes sure that nobody but root can put another directory in the place of the work directory real, a
// path without symbolic links.
func checkParents(real string, as postgres.Account) error {
	below, err := os.Lstat(real)
	for at := real; err == nil && at != filepath.Dir(at); {
		at = filepath.Dir(at)
		var fi fs.FileInfo
		if fi, err = os.Lstat(at); err != nil {
			break
		}
		if !keepsName(fi, below, as) {
			return api.Errorf(api.ErrNotAllowed, "%s: others than root can put another directory in the place of the work directory %s: "+
				"each directory above it must be root's, and not writable for its group or others", at, real)
		}
		below = fi
	}
	return err
}

// keepsName reports whether nobody but root can rename what is below in the directory parent. In a sticky one, as
// /tmp, its own owner can: that is root, or for the work directory itself the account, which root gives nothing then.
func keepsName(parent, below fs.FileInfo, as postgres.Account) bool {
	switch {
	case !parent.IsDir() || ownerOf(parent) != 0:
		return false
	case parent.Mode().Perm()&0o022 == 0:
		return true
	}
	return parent.Mode()&fs.ModeSticky != 0 && (ownerOf(below) == 0 || ownerOf(below) == as.UID)
}

// openLog opens the page server's log to append to it. The work directory may be another account's than root's, which
// opens it first: nothing that this account has put in the place of the log is followed.
func openLog(path string) (*os.File, error) {
	path, err := realParent(path)
	if err != nil {
		return nil, err
	}
	f, err := dirfd.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil || os.Geteuid() != 0 {
		return f, err
	}
	fi, err := os.Stat(filepath.Dir(path))
	if err == nil {
		st := fi.Sys().(*syscall.Stat_t)
		err = f.Chown(int(st.Uid), int(st.Gid))
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// checkServerProcess refuses to take a process for the page server that belongs to another account than the work
// directory: its owner writes the pid file, and could have root signal any process. A page server of root's in
// somebody else's directory is one only if it runs this program.
func (e *environ) checkServerProcess(pid int) error {
	dir, err := os.Stat(e.workdir)
	if err != nil {
		return err
	}
	process, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it has ended
	}
	if err == nil && ownerOf(process) != ownerOf(dir) && !runsThisProgram(pid) {
		err = api.Errorf(api.ErrNotAllowed, "%s: names process %d, which belongs to user %d and not to the owner of the work directory", e.path(pidFileName), pid, ownerOf(process))
	}
	return err
}

// runsThisProgram reports whether a process runs a program of the same name.
func runsThisProgram(pid int) bool {
	own, err := os.Readlink(thisProgram)
	its, ierr := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	return err == nil && ierr == nil && filepath.Base(strings.TrimSuffix(its, " (deleted)")) == filepath.Base(own)
}
