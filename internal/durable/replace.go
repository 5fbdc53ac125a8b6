package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// WriteFile replaces the file at path by one with that content. It is Replace with the content
// at hand.
func WriteFile(path string, content []byte, perm fs.FileMode) error {
	return Replace(path, perm, func(f *os.File) error {
		_, err := f.Write(content)
		return err
	})
}

// Replace replaces the file at path, or makes it, with what fill writes to f. Whoever opens
// path finds the old content or the new, whole; so does whoever opens it after a crash.
//
// A new file has exactly the permissions perm, whatever the umask. One that replaces another
// keeps the other's permissions, and its owner and group where the process may give files
// away; else it belongs to the process. A symbolic link at path is replaced, not followed; a
// directory, a device and the like are not: fs.ErrExist.
//
// When an error is returned, fill's own as it is, the old content is there, with one exception: if the directory
// cannot be synced after the rename, the new content is there, and a crash of the machine may
// bring the old one back. Nothing else is left in the directory either way.
//
// Processes and goroutines that replace the same file do so one after the other.
func Replace(path string, perm fs.FileMode, fill func(f *os.File) error) error {
	return linux.replace(path, perm, fill)
}

// Create makes the file at path, or empties the one that is there, and makes durable what fill
// writes to f. The name is not durable yet: Rename or SyncDir has to follow. When an error is
// returned the file is gone. A new file has the permissions perm, less the umask.
func Create(path string, perm fs.FileMode, fill func(f *os.File) error) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, perm)
	if err != nil {
		return err
	}
	if err = fill(f); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// leftover ends the name under which a file is written that is to replace another.
const leftover = ".zenith-new"

// Leftover reports whether a file's name is one that a killed process may have left behind.
// Such a file means nothing, and may be removed where no process can be writing it.
func Leftover(name string) bool { return strings.HasSuffix(name, leftover) }

// system is what Replace asks of the operating system, where tests need to fail it or to see
// the order of the calls.
type system struct {
	sync   func(*os.File) error
	rename func(from, to string) error
}

// linux has the real calls.
var linux = system{sync: (*os.File).Sync, rename: os.Rename}

// replace is Replace.
func (s system) replace(path string, perm fs.FileMode, fill func(f *os.File) error) error {
	// The directory is opened first: if that fails, it does so while the old content is there.
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	f, err := createLocked(path + leftover)
	if err != nil {
		return err
	}
	defer f.Close() // after the rename, and with it the lock
	if err := s.write(f, path, perm, fill); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return s.sync(dir)
}

// write fills f and gives it the name path.
func (s system) write(f *os.File, path string, perm fs.FileMode, fill func(f *os.File) error) error {
	if err := fill(f); err != nil {
		return err
	}
	if err := takeAttributes(f, path, perm); err != nil {
		return err
	}
	if err := s.sync(f); err != nil {
		return err
	}
	return s.rename(f.Name(), path)
}

// takeAttributes gives f the permissions and the owner of the file at path, or perm where there
// is none.
func takeAttributes(f *os.File, path string, perm fs.FileMode) error {
	old, err := os.Lstat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	switch {
	case err != nil || old.Mode()&fs.ModeSymlink != 0:
	case !old.Mode().IsRegular():
		return fmt.Errorf("replace %s: it is no file: %w", path, fs.ErrExist)
	default:
		perm = old.Mode().Perm()
		if err := takeOwner(f, old); err != nil {
			return err
		}
	}
	return f.Chmod(perm)
}

// takeOwner gives f to the owner and group of another file, if the process may do that.
func takeOwner(f *os.File, of fs.FileInfo) error {
	mine, err := f.Stat()
	if err != nil {
		return err
	}
	want, have := of.Sys().(*syscall.Stat_t), mine.Sys().(*syscall.Stat_t)
	if want.Uid == have.Uid && want.Gid == have.Gid {
		return nil
	}
	if err := f.Chown(int(want.Uid), int(want.Gid)); err != nil && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return nil
}
