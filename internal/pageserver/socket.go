package pageserver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"zenith/internal/api"
)

// SocketName is the name of the unix socket in the work directory: PostgreSQL's, so that libpq finds it
// by the directory and the port.
const SocketName = socketPrefix + DefaultPort

const socketPrefix = ".s.PGSQL."

// maxSocketPath is how long the path of a unix socket may be (sun_path, with a zero at its end).
const maxSocketPath = 107

// isSocket tells the path of a unix socket from HOST:PORT.
func isSocket(addr string) bool { return strings.HasPrefix(addr, "/") }

// SocketPathTooLong reports whether clients of libpq cannot name the directory of a socket.
func SocketPathTooLong(path string) bool { return len(path) > maxSocketPath }

// socketListener is a unix socket that is removed when it is closed.
type socketListener struct {
	*net.UnixListener
	dir  *os.File // the directory that the socket is in
	name string   // of the socket in dir
	path string
}

// ListenSocket makes the page server's unix socket in the work directory dir, as ListenSocketOf does.
func ListenSocket(dir string, mode fs.FileMode) (net.Listener, error) {
	return ListenSocketOf(dir, DefaultPort, mode)
}

// ListenSocketOf makes the unix socket of a port in the work directory dir, in the place of one that an earlier page
// server left. The caller has locked the work directory. The directory's path may be longer than that of
// a socket may be.
func ListenSocketOf(dir, port string, mode fs.FileMode) (net.Listener, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	l := &socketListener{dir: d, name: socketPrefix + port, path: filepath.Join(dir, socketPrefix+port)}
	if err := l.bind(mode); err != nil {
		return nil, errors.Join(fmt.Errorf("listen on %s: %w", l.path, err), d.Close())
	}
	return l, nil
}

func (l *socketListener) bind(mode fs.FileMode) error {
	if err := l.removeOld(); err != nil {
		return err
	}
	path, err := shortPath(l.path, l.dir)
	if err != nil {
		return err
	}
	if l.UnixListener, err = net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: path}); err != nil {
		return dialReason(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Chmod(mode); err != nil {
		return errors.Join(err, l.UnixListener.Close())
	}
	return nil
}

// Chmod changes who may connect to the socket.
func (l *socketListener) Chmod(mode fs.FileMode) error {
	return unix.Fchmodat(int(l.dir.Fd()), l.name, uint32(mode.Perm()), 0)
}

// removeOld removes a socket that is there already. What is no socket stays, and is in the way.
func (l *socketListener) removeOld() error {
	var st unix.Stat_t
	err := unix.Fstatat(int(l.dir.Fd()), l.name, &st, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err == nil && st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return api.Errorf(api.ErrNotAllowed, "there is something that is no socket")
	}
	if err == nil {
		err = unix.Unlinkat(int(l.dir.Fd()), l.name, 0)
	}
	return err
}

// Addr gives the socket's path.
func (l *socketListener) Addr() net.Addr { return &net.UnixAddr{Net: "unix", Name: l.path} }

// Close ends listening and removes the socket.
func (l *socketListener) Close() error {
	err := l.UnixListener.Close()
	if errors.Is(err, net.ErrClosed) {
		return nil // a second Close: the socket is gone, and dir is closed
	}
	return errors.Join(err, unix.Unlinkat(int(l.dir.Fd()), l.name, 0), l.dir.Close())
}

// shortPath gives a path of the socket at path that is short enough to bind and to connect to: through dir,
// its directory, where the path itself is not.
func shortPath(path string, dir *os.File) (string, error) {
	if !SocketPathTooLong(path) {
		return path, nil
	}
	short := fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path))
	if SocketPathTooLong(short) {
		return "", api.Errorf(api.ErrBadArgument, "the name of the socket is too long")
	}
	return short, nil
}

// dialSocket connects to the unix socket at path, which may be longer than a socket's path may be.
func dialSocket(ctx context.Context, path string) (net.Conn, error) {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	if path, err = shortPath(path, dir); err != nil {
		return nil, err
	}
	return new(net.Dialer).DialContext(ctx, "unix", path)
}

// splitSocket gives the directory and the port of a socket's path. What is no such path is a directory itself.
func splitSocket(path string) (dir, port string) {
	port, found := strings.CutPrefix(filepath.Base(path), socketPrefix)
	if !found {
		return path, ""
	}
	return filepath.Dir(path), port
}

// accountText names an account for messages.
func accountText(uid int) string { return "the account with uid " + strconv.Itoa(uid) }
