package privileged

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// socketName is the name of a unix socket of PostgreSQL's, whose end is the port.
var socketName = regexp.MustCompile(`^\.s\.PGSQL\.[0-9]+$`)

// errNoSocket is the answer for whatever is not a socket of PostgreSQL's: who asks learns nothing else of directories
// that it cannot enter.
var errNoSocket = fmt.Errorf("there is no socket of PostgreSQL's there: %w", fs.ErrNotExist)

// Connect implements Helper.
func (p *InProcess) Connect(path string) (*os.File, error) {
	if p.rules == nil { // this process has no more rights than the caller
		return connectTo(path)
	}
	fail := func(err error) (*os.File, error) { return nil, &fs.PathError{Op: "connect", Path: path, Err: err} }
	if !filepath.IsAbs(path) || !socketName.MatchString(filepath.Base(path)) {
		return fail(errNoSocket)
	}
	at, err := openSocket(path)
	if err != nil {
		return fail(errNoSocket)
	}
	defer at.Close()
	type made struct {
		conn *os.File
		err  error
	}
	done := make(chan made, 1)
	go func() {
		runtime.LockOSThread() // and never unlocks it: the thread, which is another account's, ends here
		err := p.rules.appear()
		var conn *os.File
		if err == nil {
			conn, err = connectTo(fmt.Sprintf("/proc/self/fd/%d", at.Fd()))
		}
		done <- made{conn, err}
	}()
	m := <-done
	if m.err != nil {
		return fail(m.err)
	}
	return m.conn, nil
}

// openSocket opens what a path leads to without connecting. The last name is no link: a link of that name could lead to
// any socket of the machine.
func openSocket(path string) (*os.File, error) {
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	at, err := openPlace(filepath.Join(dir, filepath.Base(path)))
	if err != nil {
		return nil, err
	}
	defer at.close()
	fd, err := unix.Openat(int(at.parent.Fd()), filepath.Base(path), unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), path)
	fi, err := f.Stat()
	if err == nil && fi.Mode().Type() != fs.ModeSocket {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// appear makes this thread, and no other one, the page server's account for those who look at the other end of a
// connection. It keeps root's capabilities, by which it may write to the socket.
func (r *Rules) appear() error {
	err := unix.Prctl(unix.PR_SET_SECUREBITS, secbitNoSetuidFixup, 0, 0, 0)
	same := ^uintptr(0) // -1
	for _, call := range []struct {
		number, id uintptr
	}{{unix.SYS_SETRESGID, uintptr(r.GID)}, {unix.SYS_SETRESUID, uintptr(r.UID)}} {
		// Not syscall.Setresuid, which does it in all threads.
		if _, _, errno := unix.RawSyscall(call.number, same, call.id, same); errno != 0 {
			err = errors.Join(err, errno)
		}
	}
	return err
}

// secbitNoSetuidFixup is SECBIT_NO_SETUID_FIXUP of <linux/securebits.h>: a change of the user id leaves capabilities alone.
const secbitNoSetuidFixup = 1 << 2

// connectPatience bounds how long a connection waits for a server that accepts none.
const connectPatience = 10 * time.Second

// connectTo connects to the socket to which a path leads.
func connectTo(path string) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	conn := os.NewFile(uintptr(fd), "connection")
	patience := unix.NsecToTimeval(connectPatience.Nanoseconds())
	err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &patience)
	if err == nil {
		err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}
