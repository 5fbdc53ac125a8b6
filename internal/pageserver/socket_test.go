package pageserver_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"zenith/internal/access"
	"zenith/internal/api"
	"zenith/internal/pageserver"
)

// serveSocket runs a server on the unix socket of a directory, and gives the socket's path.
func serveSocket(t *testing.T, dir string, p *access.Policy) string {
	t.Helper()
	l, err := pageserver.ListenSocket(dir, 0o777)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := os.Lstat(l.Addr().String()); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket is left behind: %v", err)
		}
	})
	return serveOn(t, l, newFake(), pageserver.Options{Access: p})
}

// openDir makes a directory that every account may enter.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "zps")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestSocket: the owner's account is let in through the socket, whose path may be longer than a socket's
// may be. A socket that an earlier server left is replaced.
func TestSocket(t *testing.T) {
	for name, dir := range map[string]string{"short": openDir(t), "long": filepath.Join(openDir(t), strings.Repeat("x", 120), strings.Repeat("y", 120))} {
		t.Run(name, func(t *testing.T) {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			left, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: filepath.Join(dir, pageserver.SocketName)})
			if err == nil { // else the path is too long for this one
				left.SetUnlinkOnClose(false)
				left.Close()
			}
			path := serveSocket(t, dir, &access.Policy{OwnerUID: os.Getuid()})
			if path != filepath.Join(dir, pageserver.SocketName) || pageserver.SocketPathTooLong(path) != (name == "long") {
				t.Errorf("it listens at %s", path)
			}
			for _, conninfo := range []string{dir, path, "host=" + dir + " port=6400", "postgresql:///x?host=" + dir} {
				addr, err := pageserver.Address(conninfo)
				if err != nil || addr != path {
					t.Errorf("%q: %s, %v", conninfo, addr, err)
				}
			}
			c := dial(t, path)
			if ids, err := c.TenantList(t.Context()); err != nil || len(ids) != 1 {
				t.Errorf("got %v, %v", ids, err)
			}
		})
	}
}

func TestSocketInTheWay(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, pageserver.SocketName), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if l, err := pageserver.ListenSocket(dir, 0o700); !errors.Is(err, api.ErrNotAllowed) {
		t.Errorf("got %v, %v", l, err)
	}
}

// as runs do on a thread that has another account's rights, and that ends with it.
func as(t *testing.T, uid int, do func()) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can act as another account")
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread is of no more use
		_, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid))
		if errno != 0 {
			done <- errno
			return
		}
		do()
		done <- nil
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// TestOtherAccounts: an account that is not told to be let in is not, with the words that an unknown one gets.
func TestOtherAccounts(t *testing.T) {
	const friend, stranger = 65533, 65534
	path := serveSocket(t, openDir(t), &access.Policy{OwnerUID: 65532, Accounts: map[int]access.Account{
		friend: {Name: "friend", Grant: access.Grant{Role: access.Reader}},
	}})
	for uid, want := range map[int]error{0: nil, 65532: nil, friend: nil, stranger: api.ErrNotAllowed} {
		as(t, uid, func() {
			c, err := pageserver.Dial(t.Context(), path)
			if err == nil {
				_, err = c.TenantList(t.Context())
				c.Close()
			}
			if !errors.Is(err, want) {
				t.Errorf("uid %d: got %v, want %v", uid, err, want)
			}
		})
	}
}

// TestNobodyOverTCP: without a method, a client over TCP is let in by nothing.
func TestNobodyOverTCP(t *testing.T) {
	for _, p := range []*access.Policy{{}, {Method: access.Peer}} {
		addr := serveTCP(t, newFake(), pageserver.Options{Access: p})
		if c, err := pageserver.Dial(t.Context(), addr); !errors.Is(err, api.ErrNotAllowed) {
			t.Errorf("got %v, %v", c, err)
		}
	}
}
