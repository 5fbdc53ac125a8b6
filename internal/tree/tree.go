// Package tree is the form in which one state of a database is handed on: a PostgreSQL data
// directory as a tree of names, whose files are read only when somebody reads them.
//
// repo/datadir makes such a tree of a snapshot. A mount, an export and a base backup show
// the same tree, so they cannot differ in what they show.
package tree

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Tree is one state of a database as a data directory. It never changes and is safe for
// concurrent use. Paths are relative to the data directory and have slashes; "" is the data
// directory itself. The error for a path that does not exist is fs.ErrNotExist.
type Tree interface {
	// ReadDir lists a directory in the order of names.
	ReadDir(ctx context.Context, path string) ([]Entry, error)
	// Lookup gives the entry at path.
	Lookup(ctx context.Context, path string) (Entry, error)
	// ModTime is the time of last modification of every file and directory.
	ModTime() time.Time
}

// Entry is a name in a directory of a Tree.
type Entry struct {
	Name string // without the directory
	Dir  bool
	File File // nil for a directory
}

// File is the contents of one file of a Tree. Like the Tree, it never changes.
type File interface {
	// Size is the file's length in bytes. It is known already: the call does no I/O.
	Size() int64
	// ReadAt fills p with the bytes from off on, as io.ReaderAt does. A caller that wants
	// many blocks should ask for them in one call: only then can a File rebuild them side
	// by side.
	ReadAt(ctx context.Context, p []byte, off int64) (int, error)
}

// ReadFull fills all of p with the bytes of f from off on. A file that ends before that is
// an io.ErrUnexpectedEOF.
func ReadFull(ctx context.Context, f File, p []byte, off int64) error {
	n, err := f.ReadAt(ctx, p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read %d bytes at %d, got %d: %w", len(p), off, n, err)
}

// Skip is returned by the function given to Walk to leave an entry out: if it is a
// directory, Walk does not list it.
//
//lint:ignore ST1012 it is no failure, and is named as fs.SkipDir is
var Skip = errors.New("skip this entry")

// Walk calls fn with the path and the entry of everything below dir, a directory before what
// is in it, names in order. It ends with the first error other than Skip.
func Walk(ctx context.Context, t Tree, dir string, fn func(path string, e Entry) error) error {
	entries, err := t.ReadDir(ctx, dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := Join(dir, e.Name)
		err := fn(path, e)
		if errors.Is(err, Skip) {
			continue
		}
		if err == nil && e.Dir {
			err = Walk(ctx, t, path, fn)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
