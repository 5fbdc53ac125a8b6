package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"zenith/internal/api"
)

// A page server runs if, and only if, its pid file is locked. The lock belongs to the open file
// description (F_OFD_SETLK). It ends with the process, however that ends. Child processes such as postgres
// do not inherit it, because Go opens files with O_CLOEXEC.

// lockFile creates and locks a file. ErrBusy means that another process has it.
func lockFile(path string) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return nil, err
		}
		err = lockOpen(f)
		if err == nil {
			if same, statErr := stillThere(f, path); statErr != nil || same {
				return f, statErr
			}
			f.Close() // the file was removed by its owner between our open and our lock
			continue
		}
		pid, readErr := readPid(f)
		f.Close()
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
			if readErr != nil {
				return nil, api.Errorf(api.ErrBusy, "already running")
			}
			return nil, api.Errorf(api.ErrBusy, "already running, pid %d", pid)
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
}

func lockOpen(f *os.File) error {
	return unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart})
}

// stillThere reports whether path still names the file that is open as f.
func stillThere(f *os.File, path string) (bool, error) {
	mine, err := f.Stat()
	if err != nil {
		return false, err
	}
	now, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(mine, now), err
}

// writePid writes the id of this process into a pid file that this process has locked. It does so in place:
// a file that took the place of this one would not be locked.
func writePid(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	return err
}

func readPid(f *os.File) (int, error) {
	text := make([]byte, 32)
	n, err := f.ReadAt(text, 0)
	if err != nil && err != io.EOF {
		return 0, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text[:n])))
	if err == nil && pid <= 0 {
		err = strconv.ErrRange
	}
	return pid, err
}

// probe reports whether the page server of a pid file runs, and its process id, 0 if that is not written
// yet. It only reads the lock, so it never keeps a page server from starting. A page server that was killed
// and is just going away counts as running only for dyingPatience.
func probe(path string) (pid int, running bool, err error) {
	for end := time.Now().Add(dyingPatience); ; time.Sleep(dyingPatience / 100) {
		pid, running, err = look(path)
		if err != nil || !running || !dying(pid) || time.Now().After(end) {
			return pid, running, err
		}
	}
}

// dyingPatience is how long a killed process may take to close its files, and so give up its lock.
const dyingPatience = 2 * time.Second

// dying reports whether a process was killed and is not gone yet: its main thread is a
// zombie while others still close the files that they share.
func dying(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(state, "Z") || strings.HasPrefix(state, "X")
}

// look reports the same as probe, at this moment: a process that is going away counts as running.
func look(path string) (pid int, running bool, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	defer f.Close()
	lk := unix.Flock_t{Type: unix.F_RDLCK, Whence: io.SeekStart}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &lk); err != nil {
		return 0, false, fmt.Errorf("look at the lock of %s: %w", path, err)
	}
	if lk.Type == unix.F_UNLCK {
		return 0, false, nil
	}
	if pid, err = readPid(f); err != nil {
		pid = 0
	}
	return pid, true, nil
}
