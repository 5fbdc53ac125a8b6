package privileged_test

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"zenith/internal/privileged"
)

// listen makes a directory that only its owner, uid, may enter, with a unix socket that only the owner may use.
func listen(t *testing.T, name string, uid int) (path string, l *net.UnixListener) {
	t.Helper()
	dir, err := os.MkdirTemp("", "sock") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path = filepath.Join(dir, name)
	l, err = net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	if err := errors.Join(os.Chmod(path, 0o700), os.Chown(path, uid, uid), os.Chown(dir, uid, uid)); err != nil {
		t.Fatal(err)
	}
	return path, l
}

// TestHelperConnect: the helper connects to a server's socket that only the server's account can reach, and who is at
// its other end sees the page server's account, not root.
func TestHelperConnect(t *testing.T) {
	needRoot(t)
	rules := room(t)
	rules.UID, rules.GID = 4242, 4243
	path, l := listen(t, ".s.PGSQL.5432", 4321)
	f, err := serve(t, rules).Connect(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	conn, err := l.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var peer *unix.Ucred
	cerr := raw.Control(func(fd uintptr) { peer, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err := errors.Join(cerr, err); err != nil {
		t.Fatal(err)
	}
	if peer.Uid != 4242 || peer.Gid != 4243 {
		t.Errorf("the peer is account %d of group %d, want 4242 of 4243", peer.Uid, peer.Gid)
	}
	if err := errors.Join(f.Close(), os.Remove(path)); err != nil { // and root's own threads stay root's
		t.Error(err)
	}
}

// TestHelperConnectRefuses: nothing but a socket of PostgreSQL's is connected to, and the error is the same for all that
// is not.
func TestHelperConnectRefuses(t *testing.T) {
	needRoot(t)
	h := serve(t, room(t))
	other, _ := listen(t, "docker.sock", 4321)
	dir := filepath.Dir(other)
	err := errors.Join(os.Symlink(other, dir+"/.s.PGSQL.1"), os.WriteFile(dir+"/.s.PGSQL.2", nil, 0o600), unix.Mkfifo(dir+"/.s.PGSQL.3", 0o600), os.Mkdir(dir+"/.s.PGSQL.4", 0o700))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{other, dir + "/.s.PGSQL.1", dir + "/.s.PGSQL.2", dir + "/.s.PGSQL.3", dir + "/.s.PGSQL.4", dir + "/.s.PGSQL.5",
		dir + "/.s.PGSQL.5432/../docker.sock", dir + "/nowhere/.s.PGSQL.5432", "docker.sock", dir + "/.s.PGSQL.5432.lock"} {
		f, err := h.Connect(path)
		if err == nil {
			f.Close()
			t.Errorf("%s: was connected to", path)
			continue
		}
		want := "connect " + path + ": there is no socket of PostgreSQL's there: file does not exist"
		if !errors.Is(err, fs.ErrNotExist) || err.Error() != want {
			t.Errorf("%s: got %q, want %q", path, err, want)
		}
	}
}

// TestConnectInProcess: without a helper process nothing is reached that this process could not reach itself.
func TestConnectInProcess(t *testing.T) {
	if _, err := new(privileged.InProcess).Connect(filepath.Join(t.TempDir(), ".s.PGSQL.5432")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want ErrNotExist", err)
	}
}
