package postgres

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"zenith/internal/api"
	"zenith/internal/dirfd"
	"zenith/internal/privileged"
)

// maxSocketDir is what sun_path (108 bytes) leaves for the directory of a unix socket.
const maxSocketDir = 108 - len("/.s.PGSQL.65535.lock") - 1

// SocketDir is the directory of the unix socket of the server whose directory is dir. It is in dir, unless the
// path would be too long for a socket, or cannot be written in a list of unix_socket_directories: then it is in
// a directory of sockets of this machine.
func SocketDir(dir string) string {
	at := filepath.Join(dir, "run")
	if len(at) > maxSocketDir || strings.ContainsAny(at, ",\"'") {
		return filepath.Join(shortHome(), fmt.Sprintf("%x", sha256.Sum256([]byte(dir)))[:16])
	}
	return at
}

// shortHome is where directories of sockets are whose paths would be too long.
func shortHome() string { return ShortSocketHome(os.Geteuid()) }

// ShortSocketHome is where a process of that user makes directories of sockets whose paths would be too long.
func ShortSocketHome(uid int) string {
	if uid == 0 {
		return "/run/zenith"
	}
	return fmt.Sprintf("/tmp/zenith-%d", uid)
}

// makeSocketHome makes the directory in which there will be one of sockets of the server whose directory is dir.
// One in /tmp might be somebody else's trap: it must be a directory of this account that nobody else can write.
func makeSocketHome(home, dir string) error {
	if home == dir {
		return nil
	}
	if err := os.Mkdir(home, 0o711); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	fi, err := os.Lstat(home)
	if err != nil {
		return err
	}
	if !fi.IsDir() || !dirfd.Owned(fi) || fi.Mode().Perm()&0o022 != 0 {
		return api.Errorf(api.ErrNotAllowed, "%s: is not a directory that this account alone can write: a unix socket should go there", home)
	}
	return nil
}

// RemoveSocketDir removes the SocketDir of a server that is gone for good, if that is not in its directory.
func RemoveSocketDir(dir string) error {
	at := SocketDir(dir)
	if filepath.Dir(at) == dir {
		return nil
	}
	return os.RemoveAll(at)
}

// MakeSocketDir makes the SocketDir of the server whose directory is dir, and removes the unix sockets that a
// server which was killed has left there: their lock files would keep the next one from starting. It is this
// process's account's. If the server has another account, that account's group may write there. Nobody else gets in.
func (a Account) MakeSocketDir(dir string) (err error) {
	at := SocketDir(dir)
	if err := makeSocketHome(filepath.Dir(at), dir); err != nil {
		return err
	}
	home, err := dirfd.Open(filepath.Dir(at))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, home.Close()) }()
	name := filepath.Base(at)
	if err := home.Mkdir(name, 0o700, -1, -1); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	sockets, err := home.Sub(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sockets.Close()) }()
	mode := fs.FileMode(0o700)
	if a.other {
		mode = 0o770
	}
	if err := orInProcess(a.helper).Own(filepath.Dir(at), name, privileged.Ownership{UID: os.Geteuid(), GID: a.GID, Mode: mode}); err != nil {
		return err
	}
	left, err := sockets.List()
	for _, e := range left {
		if strings.HasPrefix(e.Name(), ".s.PGSQL.") {
			err = errors.Join(err, sockets.Remove(e.Name()))
		}
	}
	return err
}
