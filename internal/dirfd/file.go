package dirfd

import (
	"os"
	"path/filepath"
)

// OpenFile opens the regular file at path: Dir.OpenFile in the directory that it is in, which must not be a
// symbolic link.
func OpenFile(path string, flags int, perm os.FileMode) (*os.File, error) {
	d, err := Open(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.OpenFile(filepath.Base(path), flags, perm)
}
