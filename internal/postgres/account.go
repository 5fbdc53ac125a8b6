package postgres

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"zenith/internal/api"
	"zenith/internal/privileged"
)

// Account is the operating system user that postgres runs as, and that owns the files of
// mounts. PostgreSQL refuses to run as root, so a process that root runs needs another user.
type Account struct {
	Name     string
	UID, GID int

	groups []uint32
	other  bool              // it is not the user that this process runs as
	helper privileged.Helper // gives files to the account; nil: this process does
}

// OwnAccount is the account that this process runs as.
func OwnAccount() Account {
	return Account{UID: os.Geteuid(), GID: os.Getegid(), Name: strconv.Itoa(os.Geteuid())}
}

// Groups are the groups that the account is in, by their numbers.
func (a Account) Groups() (ids []int) {
	for _, g := range a.groups {
		ids = append(ids, int(g))
	}
	return append(ids, a.GID)
}

// Via gives the same account, to which a Helper gives files.
func (a Account) Via(h privileged.Helper) Account {
	a.helper = h
	return a
}

// LookupAccount finds the user that postgres is to run as: the named one where this process
// is root's, or its Helper is, "postgres" if name is ""; elsewhere the user of this process, whatever name says.
// A nil Helper is this process. ErrBadArgument: there is no such user. ErrNotAllowed: it is root by another name.
func LookupAccount(h privileged.Helper, name string) (Account, error) {
	if !orInProcess(h).Root() {
		return OwnAccount(), nil
	}
	if name == "" {
		name = "postgres"
	}
	u, err := user.Lookup(name)
	if err != nil {
		return Account{}, api.Errorf(api.ErrBadArgument, "pg-user %s: no such user on this machine", name)
	}
	a := Account{Name: name, helper: h}
	if a.UID, err = strconv.Atoi(u.Uid); err != nil {
		return Account{}, fmt.Errorf("uid of %s: %w", name, err)
	}
	if a.GID, err = strconv.Atoi(u.Gid); err != nil {
		return Account{}, fmt.Errorf("gid of %s: %w", name, err)
	}
	a.other = a.UID != os.Geteuid()
	if a.UID == 0 {
		return Account{}, api.Errorf(api.ErrNotAllowed, "pg-user %s: postgres does not run as root; name another user", name)
	}
	ids, err := u.GroupIds()
	if err != nil {
		return Account{}, fmt.Errorf("groups of %s: %w", name, err)
	}
	for _, id := range ids {
		if g, err := strconv.ParseUint(id, 10, 32); err == nil {
			a.groups = append(a.groups, uint32(g))
		}
	}
	return a, nil
}

// prepare has cmd run as the account, in a session of its own: a Ctrl-C in our terminal does
// not reach it. Its current directory is "/", since the account may not be able to enter ours.
func (a Account) prepare(cmd *exec.Cmd) {
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if a.other {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(a.UID), Gid: uint32(a.GID), Groups: a.groups}
	}
}

// command gives the command that runs a program as the account: see prepare.
func (a Account) command(path string, args []string) privileged.Command {
	return privileged.Command{Path: path, Args: args, UID: a.UID, GID: a.GID, Groups: a.groups, Own: !a.other}
}

// Own gives a file to the account.
func (a Account) Own(path string) error {
	if !a.other {
		return nil
	}
	return os.Chown(path, a.UID, a.GID)
}

// OwnAll gives dir and everything below it to the account.
func (a Account) OwnAll(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	return errors.Join(a.OwnRoot(root), root.Close())
}

// OwnRoot gives a directory and everything below it to the account. It stays below the directory, whatever the account
// does there meanwhile.
func (a Account) OwnRoot(root *os.Root) error {
	if !a.other {
		return nil
	}
	return fs.WalkDir(root.FS(), ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return root.Lchown(path, a.UID, a.GID)
	})
}

// CheckReach makes sure that the account may pass through every directory above path. Where
// it may not, the error (ErrNotAllowed) names the directory: a work directory below a private
// home is the usual mistake of root.
func (a Account) CheckReach(path string) error {
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
				"%s: user %s cannot enter it, so postgres could not reach a work directory there; choose another with -D", dir, a.Name)
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}

// mayPass reports whether the account has search permission on a directory.
func (a Account) mayPass(fi os.FileInfo) bool {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return true
	}
	perm := fi.Mode().Perm()
	switch {
	case int(st.Uid) == a.UID:
		return perm&0o100 != 0
	case a.inGroup(st.Gid):
		return perm&0o010 != 0
	default:
		return perm&0o001 != 0
	}
}

func (a Account) inGroup(gid uint32) bool {
	if int(gid) == a.GID {
		return true
	}
	for _, g := range a.groups {
		if g == gid {
			return true
		}
	}
	return false
}
