package dirfd

import (
	"io"
	"os"
	"path/filepath"
)

// readUpTo gives what is left of a file, at most limit bytes of it.
func readUpTo(f *os.File, limit int64) ([]byte, error) { return io.ReadAll(io.LimitReader(f, limit)) }

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
