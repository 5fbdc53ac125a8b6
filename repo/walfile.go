package repo

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"syscall"
)

// walFile is a segment that is open to be read.
type walFile struct {
	from   segmentReader
	info   os.FileInfo
	packed *packedWAL // nil: plain
	final  bool       // no other file takes its place, but by way of forget

	// Guarded by the WAL's mu.
	used    int64
	readers int
	dropped bool // to be closed by the last reader
}

// segmentReader is a file, or a mapping of one.
type segmentReader interface {
	io.ReaderAt
	io.Closer
}

// openSegment opens the segment at path. One that is whole is mapped into memory, where a
// record is read in a fraction of what a system call takes; it keeps no file descriptor.
func openSegment(path string, size int) (_ *walFile, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	w := &walFile{from: f}
	defer func() {
		if err != nil || w.mapped() {
			err = errors.Join(err, f.Close())
		}
	}()
	if w.info, err = f.Stat(); err != nil {
		return nil, err
	}
	if w.packed, err = openPacked(f); err != nil {
		return nil, err
	}
	length := w.info.Size()
	if w.packed == nil && length != int64(size) || length == 0 {
		return w, nil // it grows
	}
	b, err := syscall.Mmap(int(f.Fd()), 0, int(length), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", path, err)
	}
	w.from = &mapping{b: b, path: path}
	return w, nil
}

func (f *walFile) mapped() bool {
	_, ok := f.from.(*mapping)
	return ok
}

// mapping is a file in memory.
type mapping struct {
	path string
	b    []byte
}

// ReadAt implements io.ReaderAt. What the disk refuses, or is not there any more because
// somebody cut the file short, is an error here as with a file.
func (m *mapping) ReadAt(p []byte, off int64) (n int, err error) {
	if off >= int64(len(m.b)) {
		return 0, io.EOF
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		switch fault := recover().(type) {
		case nil:
		case interface{ Addr() uintptr }:
			n, err = 0, fmt.Errorf("%s: memory at %d cannot be read: %w", m.path, off, syscall.EIO)
		default:
			panic(fault)
		}
	}()
	if n = copy(p, m.b[off:]); n < len(p) {
		err = io.EOF
	}
	return n, err
}

// Close unmaps the file. Nobody may be reading it.
func (m *mapping) Close() error { return syscall.Munmap(m.b) }
