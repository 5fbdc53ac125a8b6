package fusefs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// busyPatience is how long Unmount waits for the last process to close its files: the kernel
// closes those of a postgres that exits a little after its parent has learned of the exit.
const busyPatience = time.Second

// Unmount unmounts the file system and waits until everything is put away. If processes use
// it, it stays mounted, and the error, an ErrBusy, names them. Processes in another mount namespace
// that has the mount too do not keep it: it ends for them as well.
func (m *Mount) Unmount() error {
	deadline := time.Now().Add(busyPatience)
	for {
		select {
		case <-m.done:
			return m.err
		default:
		}
		err := m.takeAway()
		if err == nil {
			return m.waitEnd()
		}
		if !errors.Is(err, ErrBusy) || time.Now().After(deadline) {
			return err
		}
		time.Sleep(busyPatience / 20)
	}
}

// takeAway unmounts the file system, and before it the directory that is bound into it. Both are
// unmounted, or neither.
func (m *Mount) takeAway() error {
	var b *boundWAL
	if m.work != nil {
		b = m.work.wal.bound()
	}
	if b == nil {
		return unmount(m.dir, m.direct, false)
	}
	// Users are looked for before anything is unmounted: a server whose pg_wal disappeared for a
	// moment would fail.
	if by := holders(m.dir); by != "" {
		return fmt.Errorf("unmount %s: %w%s", m.dir, ErrBusy, by)
	}
	at := filepath.Join(m.dir, walDir)
	bound := unmount(at, true, false)
	if errors.Is(bound, ErrBusy) {
		return bound
	}
	err := unmount(m.dir, m.direct, false)
	if err != nil && bound == nil {
		err = errors.Join(err, bindMount(b.dir, at))
	}
	return err // an error in bound means that somebody else had unmounted pg_wal
}

// UnmountLazy removes the mount from its directory at once. Processes that have files open may
// go on using them; Done and Wait say when the last is closed.
func (m *Mount) UnmountLazy() error { return unmount(m.dir, m.direct, true) }

// unmount unmounts what is mounted at dir. lazy does so even if it is in use, else that is an
// ErrBusy.
func unmount(dir string, direct, lazy bool) error {
	var err error
	if direct {
		flags := unix.UMOUNT_NOFOLLOW
		if lazy {
			flags |= unix.MNT_DETACH
		}
		err = unix.Unmount(dir, flags)
	} else {
		err = fusermount(dir, lazy)
	}
	if errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("unmount %s: %w%s", dir, ErrBusy, holders(dir))
	}
	if err != nil {
		return fmt.Errorf("unmount %s: %w", dir, err)
	}
	return nil
}

// fusermount unmounts for an ordinary user, who may not call umount(2).
func fusermount(dir string, lazy bool) error {
	args := []string{"-u", dir}
	if lazy {
		args = []string{"-u", "-z", dir}
	}
	cmd := exec.Command("fusermount3", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	err := cmd.Run()
	if err == nil {
		return nil
	}
	text := strings.TrimSpace(stderr.String())
	if strings.Contains(text, unix.EBUSY.Error()) || strings.Contains(text, "Device or resource busy") {
		return unix.EBUSY
	}
	return fmt.Errorf("fusermount3: %w: %s", err, text)
}

// holders names the processes that use something below dir, as the end of an error message, as
// far as this process may see it; "" if it sees none.
func holders(dir string) string {
	procs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return ""
	}
	var found []string
	for _, proc := range procs {
		if !uses(proc, dir) {
			continue
		}
		name, _ := os.ReadFile(proc + "/comm") // fails if the process has ended by now: then it has no name
		found = append(found, fmt.Sprintf("%s (pid %s)", strings.TrimSpace(string(name)), filepath.Base(proc)))
		if len(found) == 5 {
			found = append(found, "...")
			break
		}
	}
	if len(found) == 0 {
		return ""
	}
	return " by " + strings.Join(found, ", ")
}

// uses reports whether a process has a file or its current directory below dir. The links in
// /proc are read and never followed: to follow one is to use the mount.
func uses(proc, dir string) bool {
	links, _ := filepath.Glob(proc + "/fd/*")
	for _, l := range append(links, proc+"/cwd", proc+"/root") {
		target, err := os.Readlink(l)
		if err == nil && (target == dir || strings.HasPrefix(target, dir+"/")) {
			return true
		}
	}
	return false
}
