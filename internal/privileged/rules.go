package privileged

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"zenith/internal/dirfd"
)

// ErrForbidden is returned for what a Helper is not there for.
var ErrForbidden = errors.New("the privileged helper does not do that")

// Rules are what a helper process was started with: it serves a process of a lesser account, and does nothing
// beyond them, whatever that one asks for. A nil *Rules forbids nothing.
type Rules struct {
	WorkDir string    // a real path: without symbolic links
	Sockets string    // another directory of the page server's, for directories of unix sockets
	UID     int       // the account of the page server
	GID     int       // its group
	Bins    []string  // directories of programs, beside those that root alone can change
	Tenants []IDRange // the accounts of servers, which are those of their groups, too
	Groups  []int     // more groups in which servers may be

	// Guests and GuestGroups are other accounts, and their groups, that may have files in the work directory. Nothing
	// is started as one of them, and none of their processes gets a signal.
	Guests      []IDRange
	GuestGroups []int

	work *dirfd.Dir // WorkDir, from when the helper started: whoever can rename it puts no other one in its place
}

// IDRange are the account numbers from First to Last.
type IDRange struct{ First, Last int }

func (r *Rules) tenant(id int) bool {
	return slices.ContainsFunc(r.Tenants, func(t IDRange) bool { return id >= t.First && id <= t.Last })
}

// owner reports whether an account may have files in the work directory, beside the page server's.
func (r *Rules) owner(id int) bool {
	return r.tenant(id) || slices.ContainsFunc(r.Guests, func(t IDRange) bool { return id >= t.First && id <= t.Last })
}

// ownerGroup reports whether files in the work directory may be a group's, beside that of the page server.
func (r *Rules) ownerGroup(id int) bool { return r.group(id) || slices.Contains(r.GuestGroups, id) }

func forbidden(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), ErrForbidden)
}

// group reports whether servers may be in a group.
func (r *Rules) group(id int) bool { return r.tenant(id) || slices.Contains(r.Groups, id) }

// inside gives the directory of the page server's in which dir is, and the path from there; false: it is in none.
func (r *Rules) inside(dir string) (top, rel string, ok bool) {
	for _, top := range []string{r.WorkDir, r.Sockets} {
		if rel, err := filepath.Rel(top, dir); top != "" && err == nil && filepath.IsLocal(rel) {
			return top, rel, true
		}
	}
	return "", "", false
}

// openDir opens a directory: below the work directory, where there are rules, and without following any link.
func (r *Rules) openDir(dir string) (*dirfd.Dir, error) {
	if r == nil {
		return dirfd.Open(dir)
	}
	top, rel, ok := r.inside(dir)
	switch {
	case !ok:
		return nil, forbidden("%s: is outside of the work directory", dir)
	case top == r.WorkDir && r.work != nil:
		return r.work.Sub(rel)
	}
	return dirfd.Beneath(top, rel)
}

// openPlace finds the place of a mount: below the work directory, where it is in there.
func (r *Rules) openPlace(dir string) (*place, error) {
	if r == nil || r.work == nil {
		return openPlace(dir)
	}
	rel, err := filepath.Rel(r.WorkDir, dir)
	if err != nil || !filepath.IsLocal(rel) || rel == "." {
		return openPlace(dir)
	}
	above, err := r.work.Sub(filepath.Dir(rel))
	if err != nil {
		return nil, err
	}
	return &place{dir: dir, parent: above.File()}, nil
}

// mayMount checks what is to be mounted: the server of it is the page server, and the directory is one in the work
// directory, or one of an account that the page server has named.
func (r *Rules) mayMount(s MountSpec) error {
	if r == nil {
		return nil
	}
	_, _, inside := r.inside(s.Dir)
	switch {
	case s.UID != r.UID || s.GID != r.GID:
		return forbidden("mount for account %d", s.UID)
	case !inside && len(s.Owners) == 0:
		return forbidden("mount over a directory of anybody's, %s", s.Dir)
	}
	return nil
}

// mayBind checks the name at which something is bound.
func (r *Rules) mayBind(at string) error {
	if r != nil && at != walName {
		return forbidden("bind to %s", at)
	}
	return nil
}

// walName is the only directory in a mount into which another one is bound.
const walName = "pg_wal"

// mayOwn checks that a file is given from one of the accounts to another one of them, and that its mode gives
// nobody else anything.
func (r *Rules) mayOwn(fi fs.FileInfo, o Ownership) error {
	if r == nil {
		return nil
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	modes := fs.FileMode(0o660)
	if fi.IsDir() {
		modes = 0o775 | fs.ModeSetgid
	}
	switch {
	case !ok || int(st.Uid) != r.UID && !r.owner(int(st.Uid)):
		return forbidden("take %s from its owner", fi.Name())
	case o.UID != -1 && o.UID != r.UID && !r.owner(o.UID):
		return forbidden("give %s to account %d", fi.Name(), o.UID)
	case o.GID != -1 && o.GID != r.GID && !r.ownerGroup(o.GID):
		return forbidden("give %s to group %d", fi.Name(), o.GID)
	case o.Mode&^modes != 0:
		return forbidden("mode %v for %s", o.Mode, fi.Name())
	}
	return nil
}

// mayStart checks that a command is the server of an allowed installation, as one of the tenants' accounts.
func (r *Rules) mayStart(c Command) error {
	if r == nil {
		return nil
	}
	switch {
	case filepath.Base(c.Path) != "postgres" || !slices.Contains(r.Bins, filepath.Dir(c.Path)) && !rootOwns(c.Path):
		return forbidden("run %s", c.Path)
	case c.Own || !r.tenant(c.UID) || !r.group(c.GID):
		return forbidden("run %s as account %d", c.Path, c.UID)
	}
	for _, g := range c.Groups {
		if !r.group(int(g)) {
			return forbidden("run %s in group %d", c.Path, g)
		}
	}
	for _, v := range c.Env {
		if strings.HasPrefix(v, "LD_") {
			return forbidden("run %s with %s", c.Path, v)
		}
	}
	return nil
}

// mayRmdir checks that a directory is of the kind that a server makes for a tablespace, and removed with the rights of
// one of the tenants' accounts.
func (r *Rules) mayRmdir(dir string, uid, gid int) error {
	if r != nil && (!r.owner(uid) || !r.ownerGroup(gid) || !strings.HasPrefix(filepath.Base(dir), "PG_")) {
		return forbidden("remove %s as account %d", dir, uid)
	}
	return nil
}

// rootOwns reports whether nobody but root can change what a path leads to.
func rootOwns(path string) bool {
	if real, err := filepath.EvalSymlinks(path); err != nil || real != path {
		return false
	}
	for at := path; ; at = filepath.Dir(at) {
		fi, err := os.Lstat(at)
		if err != nil {
			return false
		}
		st, ok := fi.Sys().(*syscall.Stat_t)
		if !ok || st.Uid != 0 || fi.Mode().Perm()&0o022 != 0 && fi.Mode()&fs.ModeSticky == 0 {
			return false
		}
		if at == filepath.Dir(at) {
			return true
		}
	}
}

// mayLook checks whose processes are looked for.
func (r *Rules) mayLook(dir string) error {
	if r == nil {
		return nil
	}
	if _, _, ok := r.inside(dir); !ok {
		return forbidden("look for processes in %s", dir)
	}
	return nil
}

// signals are what processes of tenants may get: what ends them, or asks them to.
var signals = []syscall.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGQUIT, unix.SIGKILL, unix.SIGHUP}

// maySignal checks that a process runs as one of the tenants' accounts.
func (r *Rules) maySignal(pid int, sig syscall.Signal) error {
	if r == nil {
		return nil
	}
	fi, err := os.Stat(fmt.Sprintf("/proc/%d", pid)) // its owner is the process's effective user
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if st, ok := fi.Sys().(*syscall.Stat_t); !ok || !r.tenant(int(st.Uid)) || !slices.Contains(signals, sig) {
		return forbidden("send %v to process %d", sig, pid)
	}
	return nil
}
