package dirfd

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// ErrNotRegular is returned for a name that is to be a regular file and is something else.
var ErrNotRegular = errors.New("is not a regular file")

// Dir is an open directory. Its methods are safe for concurrent use, except Close.
type Dir struct {
	f    *os.File
	path string // as it was opened; for errors
}

// Open opens the directory at path, which must not be a symbolic link. Nobody but this process's account and
// root may be able to write the directories above it.
func Open(path string) (*Dir, error) {
	return openAt(unix.AT_FDCWD, path, path)
}

// OpenReal opens the directory at path, none of whose parts may be a symbolic link, whoever can write the directories
// above it.
func OpenReal(path string) (*Dir, error) {
	how := unix.OpenHow{Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS}
	fd, err := unix.Openat2(unix.AT_FDCWD, path, &how)
	if err != nil {
		return nil, &fs.PathError{Op: "open directory", Path: path, Err: err}
	}
	return &Dir{os.NewFile(uintptr(fd), path), path}, nil
}

// Beneath opens the directory that is called rel, a slash-separated path, below the one at path. No part of rel
// may be a symbolic link, whoever can write the directories on the way.
func Beneath(path, rel string) (*Dir, error) {
	top, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer top.Close()
	return top.Sub(rel)
}

// Sub opens the directory that is called rel below d: see Beneath.
func (d *Dir) Sub(rel string) (*Dir, error) {
	at, path := d.f, filepath.Join(d.path, rel)
	how := unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	}
	fd, err := unix.Openat2(int(at.Fd()), rel, &how)
	if err != nil {
		return nil, &fs.PathError{Op: "open directory", Path: path, Err: err}
	}
	return &Dir{os.NewFile(uintptr(fd), path), path}, nil
}

func openAt(at int, name, path string) (*Dir, error) {
	fd, err := unix.Openat(at, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open directory", Path: path, Err: err}
	}
	return &Dir{os.NewFile(uintptr(fd), path), path}, nil
}

// Close closes the directory.
func (d *Dir) Close() error { return d.f.Close() }

// Path is a name of the directory that stays right whoever renames it: one below /proc/self/fd, of this process
// and as long as d is open.
func (d *Dir) Path() string { return fmt.Sprintf("/proc/self/fd/%d", d.f.Fd()) }

// Fd is the directory's descriptor, as long as d is open.
func (d *Dir) Fd() int { return int(d.f.Fd()) }

// File is the open directory itself, which the caller closes instead of d.
func (d *Dir) File() *os.File { return d.f }

// Stat describes the directory itself.
func (d *Dir) Stat() (fs.FileInfo, error) { return d.f.Stat() }

// Chown gives the directory to an account; -1 leaves the user or the group.
func (d *Dir) Chown(uid, gid int) error { return d.f.Chown(uid, gid) }

// Chmod sets the mode of the directory.
func (d *Dir) Chmod(mode fs.FileMode) error { return d.f.Chmod(mode) }

// Sync makes the names in the directory durable.
func (d *Dir) Sync() error { return d.f.Sync() }

// List gives what is in the directory, sorted by name. It may be called again.
func (d *Dir) List() ([]fs.DirEntry, error) {
	again, err := openAt(int(d.f.Fd()), ".", d.path) // a descriptor of its own: with an offset of its own
	if err != nil {
		return nil, err
	}
	defer again.Close()
	entries, err := again.f.ReadDir(-1)
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, err
}

// OpenFile opens a regular file as os.OpenFile does. ErrNotRegular: it is something else, which is neither
// followed, waited for nor changed.
func (d *Dir) OpenFile(name string, flags int, perm fs.FileMode) (*os.File, error) {
	trunc := flags & unix.O_TRUNC // only once it is known what it is
	fd, err := unix.Openat(int(d.f.Fd()), name, flags&^unix.O_TRUNC|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, uint32(perm.Perm()))
	if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENXIO) { // a link; a pipe that nobody reads, or a socket
		err = ErrNotRegular
	}
	if err != nil {
		return nil, d.fail("open", name, err)
	}
	f := os.NewFile(uintptr(fd), filepath.Join(d.path, name))
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = ErrNotRegular
	}
	if err == nil && trunc != 0 {
		err = f.Truncate(0)
	}
	if err != nil {
		return nil, errors.Join(d.fail("open", name, err), f.Close())
	}
	return f, nil
}

// OpenAny opens for reading what is called rel, a slash-separated path below d, whatever it is. No part of rel may be
// a symbolic link. It does not wait for the other end of a pipe.
func (d *Dir) OpenAny(rel string) (*os.File, error) {
	how := unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	}
	fd, err := unix.Openat2(int(d.f.Fd()), rel, &how)
	if err != nil {
		return nil, d.fail("open", rel, err)
	}
	return os.NewFile(uintptr(fd), filepath.Join(d.path, rel)), nil
}

// Lstat describes what has the name.
func (d *Dir) Lstat(name string) (fs.FileInfo, error) {
	fd, err := unix.Openat(int(d.f.Fd()), name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, d.fail("stat", name, err)
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	return f.Stat()
}

// LinkTo gives the regular file that is called name a second name, newName in to. The error is fs.ErrExist if
// something has that name, and ErrNotRegular for what is no regular file.
func (d *Dir) LinkTo(name string, to *Dir, newName string) error {
	fd, err := unix.Openat(int(d.f.Fd()), name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return d.fail("link", name, err)
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = ErrNotRegular
	}
	if err == nil { // the link of /proc leads to the very file that was looked at
		err = unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", fd), int(to.f.Fd()), newName, unix.AT_SYMLINK_FOLLOW)
	}
	if err != nil {
		return d.fail("link", name, err)
	}
	return nil
}

// Rename renames within the directory, or into another one on its file system.
func (d *Dir) Rename(name string, to *Dir, newName string) error {
	if err := unix.Renameat(int(d.f.Fd()), name, int(to.f.Fd()), newName); err != nil {
		return d.fail("rename", name, err)
	}
	return nil
}

// Mkdir makes a directory and gives it to an account; -1 leaves the user or the group.
func (d *Dir) Mkdir(name string, mode fs.FileMode, uid, gid int) error {
	if err := unix.Mkdirat(int(d.f.Fd()), name, 0o700); err != nil {
		return d.fail("make directory", name, err)
	}
	made, err := d.Sub(name)
	if err != nil {
		return err
	}
	return errors.Join(made.Chmod(mode), made.Chown(uid, gid), made.Close())
}

// Remove removes a name of a file or of an empty directory. One that is not there is no error.
func (d *Dir) Remove(name string) error {
	err := unix.Unlinkat(int(d.f.Fd()), name, 0)
	if errors.Is(err, unix.EISDIR) {
		err = unix.Unlinkat(int(d.f.Fd()), name, unix.AT_REMOVEDIR)
	}
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return d.fail("remove", name, err)
	}
	return nil
}

// ReadFile gives the contents of a regular file of at most limit bytes; a longer one is cut.
func (d *Dir) ReadFile(name string, limit int64) ([]byte, error) {
	f, err := d.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}

func (d *Dir) fail(op, name string, err error) error {
	return &fs.PathError{Op: op, Path: filepath.Join(d.path, name), Err: err}
}

// Owned reports whether a file is this process's account's.
func Owned(fi fs.FileInfo) bool {
	st, ok := fi.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid()
}
