package segment

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"syscall"

	"zenith/internal/pg"
)

// file is a segment that is open to be read.
type file struct {
	from   segmentReader
	info   os.FileInfo
	packed *index // nil: a plain segment
	final  bool   // no other file takes its place unless forget is called

	// Guarded by mu of the WAL:
	used    int64
	readers int
	dropped bool // the last reader closes it
}

// segmentReader is an *os.File or a *mapping.
type segmentReader interface {
	io.ReaderAt
	io.Closer
}

// openFile opens the segment at path, which is of size bytes when it is whole. One that is whole is
// mapped into memory, where reading a record takes a fraction of the time of a system call, and
// keeps no file descriptor.
func openFile(path string, size int) (_ *file, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	o := &file{from: f}
	defer func() {
		if err != nil || o.mapped() {
			err = errors.Join(err, f.Close())
		}
	}()
	if o.info, err = f.Stat(); err != nil {
		return nil, err
	}
	if o.packed, err = readIndex(f); err != nil {
		return nil, err
	}
	length := o.info.Size()
	if o.packed == nil && length != int64(size) || length == 0 {
		return o, nil // it may still grow, and a mapping would not
	}
	b, err := syscall.Mmap(int(f.Fd()), 0, int(length), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", path, err)
	}
	o.from = &mapping{b: b, path: path}
	return o, nil
}

func (f *file) mapped() bool {
	_, ok := f.from.(*mapping)
	return ok
}

// mapping is a file that is mapped into memory.
type mapping struct {
	path string
	b    []byte
}

// ReadAt implements io.ReaderAt. A page that the disk cannot read, or that is not there any more
// because somebody truncated the file, is an error as with a file; without the recover it would
// end the process.
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

// Close unmaps the file. A read at the same time would end the process.
func (m *mapping) Close() error { return syscall.Munmap(m.b) }

// read reads from offset off of f, the segment of w that begins at seg.
func (f *file) read(w *WAL, seg pg.LSN, p []byte, off int64) (int, error) {
	if f.packed == nil {
		return f.from.ReadAt(p, off)
	}
	return w.readPacked(f, p, seg, int(off))
}
