package tenants

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"zenith/internal/api"
)

// account is the operating system user that postgres runs as, and that owns the
// files of mounts. PostgreSQL refuses to run as root, so root names another one.
type account struct {
	name     string
	uid, gid int
	groups   []uint32
	other    bool // not the user we are
}

// lookupAccount finds the user that postgres is to run as: the one named where we
// are root, ourselves otherwise.
func lookupAccount(name string) (account, error) {
	if os.Geteuid() != 0 {
		return account{uid: os.Geteuid(), gid: os.Getegid(), name: strconv.Itoa(os.Geteuid())}, nil
	}
	if name == "" {
		name = "postgres"
	}
	u, err := user.Lookup(name)
	if err != nil {
		return account{}, api.Errorf(api.ErrBadArgument, "pg-user %s: no such user on this machine", name)
	}
	a := account{name: name, other: true}
	if a.uid, err = strconv.Atoi(u.Uid); err != nil {
		return account{}, fmt.Errorf("uid of %s: %w", name, err)
	}
	if a.gid, err = strconv.Atoi(u.Gid); err != nil {
		return account{}, fmt.Errorf("gid of %s: %w", name, err)
	}
	if a.uid == 0 {
		return account{}, api.Errorf(api.ErrNotAllowed, "pg-user %s: postgres does not run as root; name another user", name)
	}
	ids, err := u.GroupIds()
	if err != nil {
		return account{}, fmt.Errorf("groups of %s: %w", name, err)
	}
	for _, id := range ids {
		if g, err := strconv.ParseUint(id, 10, 32); err == nil {
			a.groups = append(a.groups, uint32(g))
		}
	}
	return a, nil
}

// CheckUser makes sure that postgres can run as the user of that name; "" is the usual one.
func CheckUser(name string) error {
	_, err := lookupAccount(name)
	return err
}

// run makes cmd run as the account, away from our terminal's signals.
func (a account) run(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if a.other {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid), Groups: a.groups}
	}
}

// own gives a file to the account.
func (a account) own(path string) error {
	if !a.other {
		return nil
	}
	return os.Chown(path, a.uid, a.gid)
}

// canReach checks that the account may pass through every directory above path:
// a work directory below a private home is the usual mistake of root.
func (a account) canReach(path string) error {
	if !a.other {
		return nil
	}
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		fi, err := os.Stat(dir)
		if err != nil {
			return err
		}
		if !a.mayPass(fi) {
			return api.Errorf(api.ErrNotAllowed,
				"%s: user %s cannot enter it, so postgres could not reach a work directory there; choose another with -D", dir, a.name)
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}

// mayPass reports whether the account has search permission on a directory.
func (a account) mayPass(fi os.FileInfo) bool {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return true
	}
	perm := fi.Mode().Perm()
	switch {
	case int(st.Uid) == a.uid:
		return perm&0o100 != 0
	case a.inGroup(st.Gid):
		return perm&0o010 != 0
	default:
		return perm&0o001 != 0
	}
}

func (a account) inGroup(gid uint32) bool {
	if int(gid) == a.gid {
		return true
	}
	for _, g := range a.groups {
		if g == gid {
			return true
		}
	}
	return false
}
