package fusefs

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
)

// Tree is a state of a database composed as a data directory. Paths are relative
// to it, with slashes; "" is the data directory. A Tree never changes. What does
// not exist is an error that is fs.ErrNotExist.
//
// A Tree may have two more methods: ModTime() time.Time, the time that its files
// show, and Close() error, called when a read-only mount, or a state below All, is no
// longer in use.
type Tree interface {
	// ReadDir lists a directory, in any order.
	ReadDir(ctx context.Context, path string) ([]Entry, error)
	// Lookup gives the one entry at path.
	Lookup(ctx context.Context, path string) (Entry, error)
}

// Entry is a name in a directory of a Tree.
type Entry struct {
	Name string
	Dir  bool
	File File // nil for a directory
}

// File is the contents of a file of a Tree.
type File interface {
	// Size is the file's length in bytes. It is cheap.
	Size() int64
	// ReadAt fills p with what is at off, as io.ReaderAt does. A long p is read in
	// one go: it is the reader's one chance to work on many blocks at once.
	ReadAt(ctx context.Context, p []byte, off int64) (int, error)
}

// modTimer is what a Tree may have, too.
type modTimer interface{ ModTime() time.Time }

// readFull reads all of p; the end of the file before is an error.
func readFull(ctx context.Context, f File, p []byte, off int64) error {
	n, err := f.ReadAt(ctx, p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read %d bytes at %d, got %d: %w", len(p), off, n, err)
}

// join makes the path of a name in a directory of a Tree.
func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

// stableAttr gives the identity of a path: the same for ever, in every mount. The
// number alone might be that of another path once in a very long while; go-fuse
// tells files apart by number and generation together, 127 bits.
func stableAttr(path string, mode uint32) fs.StableAttr {
	sum := sha256.Sum256([]byte(path))
	ino := binary.LittleEndian.Uint64(sum[:]) >> 1
	if ino < 16 {
		ino += 16
	}
	return fs.StableAttr{Mode: mode, Ino: ino, Gen: binary.LittleEndian.Uint64(sum[8:])}
}
