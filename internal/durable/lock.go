package durable

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// createLocked makes the file at path and locks it. If there is one already, it waits until no
// living process writes it, and then removes it, whatever it is: in a directory that another
// user can write to, it may be a link to a file that must not be touched.
func createLocked(path string) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, fs.ErrExist) {
			if err := removeLeftover(path); err != nil {
				return nil, err
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		// Another process may have taken it for a leftover before it was locked.
		ours, err := lock(f)
		if ours {
			return f, nil
		}
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, err
		}
	}
}

// removeLeftover removes the file at path once no living process has it locked. It is no error
// if that process has removed or renamed it.
func removeLeftover(path string) error {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil: // a symbolic link, a socket, or a file of another user: no process of ours has it
		return remove(path)
	}
	defer f.Close()
	still, err := lock(f)
	if still {
		err = remove(path)
	}
	return err
}

// remove removes the file at path, if there is one.
func remove(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// lock waits for the lock of f, and reports whether f still has its name then. Only the process that
// has the lock of a file removes or renames it.
func lock(f *os.File) (named bool, err error) {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if err == nil {
			break
		}
		if err != unix.EINTR {
			return false, &os.PathError{Op: "flock", Path: f.Name(), Err: err}
		}
	}
	ours, err := f.Stat()
	if err != nil {
		return false, err
	}
	now, err := os.Lstat(f.Name())
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(ours, now), err
}
