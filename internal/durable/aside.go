package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// MoveAside gives the file or directory at path, whose content makes no sense, the first free name
// of PATH.damaged-1, PATH.damaged-2 and so on, and says which. So what is in it is not lost when a
// new one is made in its place.
func MoveAside(path string) (aside string, err error) {
	for n := 1; ; n++ {
		aside = fmt.Sprintf("%s.damaged-%d", path, n)
		err := renameNew(path, aside)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		return aside, SyncDir(filepath.Dir(path))
	}
}

// renameNew is a rename that replaces nothing: fs.ErrExist if there is something at to.
func renameNew(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if err == nil {
		return nil
	}
	if err != unix.EINVAL && err != unix.ENOSYS {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	// The file system does not know that kind of rename. Nobody else makes such names.
	if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(fs.ErrExist, err)
	}
	return os.Rename(from, to)
}
