package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"zenith/internal/api"
	"zenith/internal/durable"
)

// A copy of a work directory has everything that the original has, its address and its process id too. So
// what tells them apart is nothing in a file, but the directory itself.

// dirIdentity tells a directory from all others and from its copies: its inode's number, and when the inode
// was made, where the file system knows. It stays the same when the directory is renamed or mounted elsewhere,
// and when the machine starts anew.
func dirIdentity(dir string) (string, error) {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, dir, 0, unix.STATX_INO|unix.STATX_BTIME, &st); err != nil {
		return "", fmt.Errorf("look at directory %s: %w", dir, err)
	}
	id := fmt.Sprintf("inode-%d", st.Ino)
	if st.Mask&unix.STATX_BTIME != 0 {
		id += fmt.Sprintf("-%d.%09d", st.Btime.Sec, st.Btime.Nsec)
	}
	return id, nil
}

// runningAt is what a page server writes down while it runs, in a file each: where it listens, and the
// identity of its work directory.
type runningAt struct {
	addr     string // HOST:PORT, or the path of its socket if it has no port
	identity string // "" if an earlier version wrote it
}

// readRunning reads what a page server wrote: false if there is no address that makes sense.
func (e *environ) readRunning() (r runningAt, ok bool) {
	text, err := os.ReadFile(e.path(addrFile))
	if err != nil {
		return r, false
	}
	if id, err := os.ReadFile(e.path(homeFile)); err == nil {
		r.identity = strings.TrimSpace(string(id))
	}
	var port hostPort
	r.addr = string(bytes.TrimSpace(text))
	return r, strings.HasPrefix(r.addr, "/") || port.UnmarshalText([]byte(r.addr)) == nil
}

// writeRunning writes what readRunning reads.
func (e *environ) writeRunning(addr string) error {
	id, err := dirIdentity(e.workdir)
	if err != nil {
		return err
	}
	return errors.Join(durable.WriteFile(e.path(homeFile), []byte(id+"\n"), 0o600), durable.WriteFile(e.path(addrFile), []byte(addr+"\n"), 0o600))
}

// removeRunning removes what writeRunning wrote.
func (e *environ) removeRunning() error {
	return errors.Join(os.Remove(e.path(addrFile)), os.Remove(e.path(homeFile)))
}

// checkCopied refuses a work directory that was copied while a page server ran in it: its files were copied
// one after the other, and need not belong together.
func (e *environ) checkCopied(identity string) error {
	r, ok := e.readRunning()
	if !ok || r.identity == "" || r.identity == identity {
		return nil
	}
	return api.Errorf(api.ErrNotAllowed, "%s: this is a copy of a work directory that was made while its page server ran, so its files may not belong together: "+
		"stop that page server and copy again (or remove %s, to try nevertheless)", e.workdir, e.path(addrFile))
}

// checkServer refuses a page server of another work directory than this one. identity is what it said of its
// own; "" if it says nothing.
func (e *environ) checkServer(addr, identity string) error {
	own, err := dirIdentity(e.workdir)
	if err != nil || identity == "" || identity == own {
		return err
	}
	return &kindError{fmt.Sprintf("%s: the page server at %s is that of another work directory, of which this one may be a copy; "+
		"the page server of this one is not running (zenith start --listen HOST:PORT)", e.workdir, addr), api.ErrUnavailable}
}

// lockWorkdir locks a work directory for one page server, whatever becomes of its files. The lock ends with
// unlock, or with the process.
func lockWorkdir(dir string) (unlock func() error, err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	// A process that was killed while it started another one may have left its lock to that for a moment.
	for end := time.Now().Add(dyingPatience); ; time.Sleep(dyingPatience / 100) {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) || time.Now().After(end) {
			break
		}
	}
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = api.Errorf(api.ErrBusy, "another page server has this work directory in use, though its pid file is gone")
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() error { return errors.Join(unix.Flock(int(f.Fd()), unix.LOCK_UN), f.Close()) }, nil
}
