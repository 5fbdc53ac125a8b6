package durable

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// SyncFile makes the contents of the file at path durable (fsync).
func SyncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// SyncDir makes the names in a directory durable: files that were created in it, renamed into
// it, or removed from it.
func SyncDir(dir string) error { return SyncFile(filepath.Clean(dir)) }

// SyncFileData is SyncData for the file at path.
func SyncFileData(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(SyncData(f), f.Close())
}

// SyncData makes an open file's contents durable, and of its attributes only the size
// (fdatasync): cheaper than fsync where the file was written before.
func SyncData(f *os.File) error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if err == nil {
			return nil
		}
		if err != unix.EINTR {
			return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
		}
	}
}

// SyncFS makes everything durable that was written to the file system that dir is on: one
// call where there are thousands of files.
func SyncFS(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = unix.Syncfs(int(f.Fd()))
	if err != nil {
		err = &os.PathError{Op: "syncfs", Path: dir, Err: err}
	}
	return errors.Join(err, f.Close())
}

// Rename gives the file or directory at from, whose contents are durable already, the name to,
// and makes both names durable. A file at to is replaced, a directory is not.
func Rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	err := SyncDir(filepath.Dir(to))
	if filepath.Dir(from) != filepath.Dir(to) {
		err = errors.Join(err, SyncDir(filepath.Dir(from)))
	}
	return err
}
