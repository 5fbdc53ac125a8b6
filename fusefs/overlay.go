package fusefs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
	"zenith/internal/durable"
	"zenith/internal/pg"
	"zenith/internal/tree"
)

// blockSize is the unit in which a file's contents are the base's or private.
const blockSize = pg.BlockSize

// fillChunk bounds how much of the base is read at once when a file is filled.
const fillChunk = 1 << 20

// overlay is the contents of one file of a working tree: a private, sparse file
// over a base that shows wherever no block was written. Once nothing of the base
// shows any more it is dropped, and the private file is all there is (whole); a
// file without a base is whole from the start.
//
// The first write makes the private file. It is open while the overlay has users: acquire makes
// the caller one until release. A method may be called by users only, unless it says otherwise.
type overlay struct {
	path string // of the private file

	wmu sync.Mutex // held, across I/O, by write, truncate, allocate and fill: one of them at a time

	mu     sync.Mutex // guards what follows; not held across reads and writes
	base   tree.File  // nil: whole
	limit  int64      // only the base's bytes below limit show: less than its size after a truncation
	mine   bitmap     // blocks below limit that are private
	size   int64
	exists bool     // the private file does
	file   *os.File // the private file; nil while it does not exist or has no users
	users  int
}

// newOverlay makes the contents of a file that shows base (nil: an empty file) and
// will have its private blocks in a file at path, which does not exist yet.
func newOverlay(path string, base tree.File) *overlay {
	o := &overlay{path: path}
	if base != nil && base.Size() > 0 {
		o.base, o.size, o.limit = base, base.Size(), base.Size()
		o.mine = newBitmap(blocks(o.limit))
	}
	return o
}

// openOverlay makes the contents of a file whose private file is the one at path, which exists
// and is whole.
func openOverlay(path string) (*overlay, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	return &overlay{path: path, size: fi.Size(), exists: true}, nil
}

// blocks counts the blocks that n bytes begin.
func blocks(n int64) int64 { return (n + blockSize - 1) / blockSize }

// acquire makes the caller a user of the contents.
func (o *overlay) acquire() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.exists && o.file == nil {
		f, err := os.OpenFile(o.path, os.O_RDWR, 0)
		if err != nil {
			return fmt.Errorf("private file: %v", err) // not %w: its ENOENT must not reach a process
		}
		o.file = f
	}
	o.users++
	return nil
}

// release ends what acquire began.
func (o *overlay) release() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.users--
	if o.users > 0 || o.file == nil {
		return nil
	}
	err := o.file.Close()
	o.file = nil
	return err
}

// stat gives the size in bytes. Anybody may call it.
func (o *overlay) stat() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.size
}

// used reports whether there are users. Anybody may call it.
func (o *overlay) used() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.users > 0
}

// whole reports whether nothing of the base shows. Anybody may call it.
func (o *overlay) whole() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.base == nil
}

// private gives the private file, and makes it if it does not exist.
func (o *overlay) private() (*os.File, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.file != nil {
		return o.file, nil
	}
	f, err := os.OpenFile(o.path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("private file: %v", err) // not %w: its EEXIST must not reach a process
	}
	if err := f.Truncate(o.size); err != nil {
		return nil, errors.Join(fmt.Errorf("private file: %w", err), f.Close(), os.Remove(o.path))
	}
	o.file, o.exists = f, true
	return f, nil
}

// extent says where the n bytes from off on are, of which want are wanted and n is at most want:
// in the base, in the private file, or nowhere, if both are nil: then they are zeros.
func (o *overlay) extent(off, want int64) (n int64, base tree.File, file *os.File) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.base == nil || off >= o.limit {
		return want, nil, o.file
	}
	b := off / blockSize
	mine := o.mine.has(b)
	for b++; b*blockSize < off+want && b*blockSize < o.limit && o.mine.has(b) == mine; b++ {
	}
	n = min(want, b*blockSize-off)
	if mine {
		return n, nil, o.file
	}
	return min(n, o.limit-off), o.base, nil
}

// read fills p with the bytes from off on and gives their number, which is less than len(p) only
// at the end of the file.
func (o *overlay) read(ctx context.Context, p []byte, off int64) (int, error) {
	size := o.stat()
	if off >= size {
		return 0, nil
	}
	p = p[:min(int64(len(p)), size-off)]
	var err error
	for done := int64(0); done < int64(len(p)); {
		n, base, file := o.extent(off+done, int64(len(p))-done)
		part := p[done : done+n]
		switch {
		case base != nil:
			err = tree.ReadFull(ctx, base, part, off+done)
		case file != nil:
			err = readSparse(file, part, off+done)
		default:
			clear(part)
		}
		if err != nil {
			return 0, err
		}
		done += n
	}
	return len(p), nil
}

// readSparse fills p from the private file. What lies behind its end is zeros.
func readSparse(f *os.File, p []byte, off int64) error {
	n, err := f.ReadAt(p, off)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	clear(p[n:])
	return err
}

// write makes p the contents at off.
func (o *overlay) write(ctx context.Context, p []byte, off int64) (int, error) {
	o.wmu.Lock()
	defer o.wmu.Unlock()
	f, err := o.private()
	if err != nil {
		return 0, err
	}
	end := off + int64(len(p))
	if err := o.fillEdge(ctx, f, off); err != nil {
		return 0, err
	}
	if err := o.fillEdge(ctx, f, end); err != nil {
		return 0, err
	}
	n, err := f.WriteAt(p, off)
	o.wrote(off, off+int64(n), end)
	if n > 0 {
		return n, nil // a short count: the process gets the error when it writes the rest
	}
	return 0, err
}

// fillEdge copies the base's block around off to the private file, before a write that begins or
// ends there replaces a part of it.
func (o *overlay) fillEdge(ctx context.Context, f *os.File, off int64) error {
	if off%blockSize == 0 {
		return nil
	}
	start := off / blockSize * blockSize
	_, base, _ := o.extent(start, blockSize)
	if base == nil {
		return nil
	}
	return o.fillRange(ctx, f, start, blockSize)
}

// fillRange copies n bytes of the base, all of which still show, to the private file. off is the
// beginning of a block.
func (o *overlay) fillRange(ctx context.Context, f *os.File, off, n int64) error {
	o.mu.Lock()
	base := o.base
	n = min(n, o.limit-off)
	o.mu.Unlock()
	buf := make([]byte, n)
	if err := tree.ReadFull(ctx, base, buf, off); err != nil {
		return err
	}
	if _, err := f.WriteAt(buf, off); err != nil {
		return err
	}
	o.wrote(off, off+n, off+n)
	return nil
}

// wrote notes that [off, end) of the private file was written, by a write that should have
// reached want. If it fell short, the last block is private only if all of it was written.
func (o *overlay) wrote(off, end, want int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.size = max(o.size, end)
	if o.base == nil {
		return
	}
	for b := off / blockSize; b*blockSize < min(end, o.limit); b++ {
		if end == want || (b+1)*blockSize <= end {
			o.mine.set(b)
		}
	}
	o.letGoLocked()
}

// letGoLocked drops the base if nothing of it shows any more; the caller holds o.mu.
func (o *overlay) letGoLocked() {
	if o.base != nil && o.mine.countBelow(blocks(o.limit)) == blocks(o.limit) {
		o.base, o.mine, o.limit = nil, nil, 0
	}
}

// truncate makes the file size bytes long. Bytes that it gains are zeros.
func (o *overlay) truncate(ctx context.Context, size int64) error {
	o.wmu.Lock()
	defer o.wmu.Unlock()
	if _, base, _ := o.extent(size, 1); base != nil && size < o.stat() && size%blockSize != 0 {
		f, err := o.private()
		if err != nil {
			return err
		}
		if err := o.fillEdge(ctx, f, size); err != nil {
			return err
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.file != nil {
		if err := o.file.Truncate(size); err != nil {
			return err
		}
	}
	o.size, o.limit = size, min(o.limit, size)
	o.letGoLocked()
	return nil
}

// allocate reserves room on disk for n bytes at off. Unless keepSize is set, it also makes the
// file long enough to have them.
func (o *overlay) allocate(off, n int64, keepSize bool) error {
	o.wmu.Lock()
	defer o.wmu.Unlock()
	f, err := o.private()
	if err != nil {
		return err
	}
	var mode uint32
	if keepSize {
		mode = unix.FALLOC_FL_KEEP_SIZE
	}
	err = unix.Fallocate(int(f.Fd()), mode, off, n)
	if err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	end := off + n
	if keepSize || end <= o.size {
		return nil
	}
	o.size = end
	return f.Truncate(end)
}

// fill makes the file whole: it copies to the private file what still shows of the base.
func (o *overlay) fill(ctx context.Context) error {
	o.wmu.Lock()
	defer o.wmu.Unlock()
	f, err := o.private()
	if err != nil {
		return err
	}
	for off := int64(0); ; {
		o.mu.Lock()
		limit := o.limit
		o.mu.Unlock()
		if off >= limit {
			return nil
		}
		n, base, _ := o.extent(off, fillChunk)
		if base != nil {
			if err := o.fillRange(ctx, f, off, n); err != nil {
				return err
			}
		}
		off += n
	}
}

// sync makes the private file's data durable.
func (o *overlay) sync() error {
	o.mu.Lock()
	f := o.file
	o.mu.Unlock()
	if f == nil {
		return nil
	}
	return durable.SyncData(f)
}

// where gives the private file's path. Anybody may call it.
func (o *overlay) where() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.path
}

// rename gives the private file, which exists, another path.
func (o *overlay) rename(path string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := os.Rename(o.path, path); err != nil {
		return err
	}
	o.path = path
	return nil
}

// hasPrivate reports whether there is a private file. Anybody may call it.
func (o *overlay) hasPrivate() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.exists
}
