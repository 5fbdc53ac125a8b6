package postgres

import (
	"errors"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"

	"zenith/internal/dirfd"
)

// DataFiles are the files of a data directory, by their slash-separated paths in it. What is not there is
// fs.ErrNotExist.
type DataFiles interface {
	ReadFile(name string) ([]byte, error)
	// List gives the names in a directory, sorted.
	List(dir string) ([]string, error)
}

// DirFiles are the files of a data directory on disk, which a server's account can write: what a symbolic link
// leads to, and what is no regular file, counts as missing.
type DirFiles string

// maxDataFile bounds how many bytes of a file DirFiles reads: configuration and catalogs are far smaller.
const maxDataFile = 256 << 20

// ReadFile implements DataFiles.
func (d DirFiles) ReadFile(name string) ([]byte, error) {
	dir, err := d.open(path.Dir(name))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	text, err := dir.ReadFile(path.Base(name), maxDataFile)
	if errors.Is(err, dirfd.ErrNotRegular) {
		err = &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return text, err
}

// List implements DataFiles.
func (d DirFiles) List(dir string) (names []string, err error) {
	opened, err := d.open(dir)
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	entries, err := opened.List()
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

func (d DirFiles) open(dir string) (*dirfd.Dir, error) {
	opened, err := dirfd.Beneath(string(d), dir)
	if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.EXDEV) || errors.Is(err, unix.ENOTDIR) {
		err = &fs.PathError{Op: "open", Path: dir, Err: fs.ErrNotExist}
	}
	return opened, err
}

// remove removes a file.
func (d DirFiles) remove(name string) error {
	dir, err := d.open(path.Dir(name))
	if err != nil {
		return err
	}
	return errors.Join(dir.Remove(path.Base(name)), dir.Close())
}

// moveFile renames a file within or between directories, either of which the account may own. One that is not
// there is no error.
func moveFile(fromDir, from, toDir, to string) error {
	a, err := dirfd.Open(fromDir)
	if err != nil {
		return err
	}
	defer a.Close()
	b, err := dirfd.Open(toDir)
	if err != nil {
		return err
	}
	defer b.Close()
	if err := a.Rename(from, b, to); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
