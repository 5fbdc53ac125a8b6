package fusefs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

var (
	_ fs.NodeOpener          = (*file)(nil)
	_ fs.NodeReader          = (*file)(nil)
	_ fs.NodeWriter          = (*file)(nil)
	_ fs.NodeFlusher         = (*file)(nil)
	_ fs.NodeFsyncer         = (*file)(nil)
	_ fs.NodeReleaser        = (*file)(nil)
	_ fs.NodeAllocater       = (*file)(nil)
	_ fs.NodeGetattrer       = (*file)(nil)
	_ fs.NodeSetattrer       = (*file)(nil)
	_ fs.NodeOnForgetter     = (*file)(nil)
	_ fs.FilePassthroughFder = (*directHandle)(nil)
)

// file is a file of a working tree.
type file struct {
	node
	body *overlay
	kept *keptFile // what body shows, if the last mount kept it

	mu    sync.Mutex // guards the next four
	k     *kind
	opens int
	mode  ioMode
	moved bool // another file is under its name

	storing sync.Mutex  // held while the file is stored in the branch
	stored  bool        // guarded by storing: the branch has a file at this path
	dirty   atomic.Bool // the branch's file is not this one
}

// ioMode is how an inode is read and written. It is decided at the first open and
// may change only while the file is closed: the kernel mixes no modes. Nor may it
// become ioDirect later on: go-fuse takes the end of any handle of an inode for that of a
// direct one, and would take the private file away from one that is being opened.
type ioMode uint8

const (
	ioUndecided ioMode = iota
	ioDirect           // by the kernel itself, in the private file
	ioCached           // by us, through the kernel's cache
)

func (t *worktree) newFile(k *kind, body *overlay, a attr) *file {
	return &file{node: node{t: t, attr: a}, body: body, k: k}
}

func (f *file) kind() *kind {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.k
}

func (f *file) setKind(k *kind) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.k = k
}

func (f *file) size() (int64, error) { return f.body.stat() }

// handle is an open file whose reads and writes come to us.
type handle struct{}

// directHandle is one whose reads and writes the kernel does itself, if it can.
type directHandle struct{ fd int }

// PassthroughFd gives the private file, which is open as long as the handle is.
func (h *directHandle) PassthroughFd() (int, bool) { return h.fd, true }

// Open opens the file.
func (f *file) Open(_ context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	h, fuseFlags, err := f.open(flags)
	if err != nil {
		return nil, 0, f.t.errno("open", f.path(), err)
	}
	return h, fuseFlags, 0
}

func (f *file) open(flags uint32) (fs.FileHandle, uint32, error) {
	if flags&syscall.O_ACCMODE != syscall.O_RDONLY {
		if err := f.t.guard(f.kind()); err != nil {
			return nil, 0, err
		}
		f.t.touched.Store(true)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.moved {
		return nil, 0, errLookAgain
	}
	if err := f.body.acquire(); err != nil {
		return nil, 0, err
	}
	fuseFlags := f.decideLocked(flags)
	var h fs.FileHandle = &handle{}
	if f.mode == ioDirect {
		private, err := f.body.private()
		if err != nil {
			return nil, 0, errors.Join(err, f.body.release())
		}
		h = &directHandle{fd: int(private.Fd())}
	}
	f.opens++
	return h, fuseFlags, nil
}

// decideLocked decides how an inode that nobody has open is used, and says what the
// kernel may do with the file opened. Where the kernel cannot do without us,
// go-fuse quietly opens a direct file as any other.
func (f *file) decideLocked(flags uint32) uint32 {
	fuseFlags := uint32(fuse.FOPEN_KEEP_CACHE)
	switch direct := f.mayBeDirect(flags); {
	case f.opens > 0:
	case f.mode == ioDirect && !direct:
		// What the kernel has cached of the file, by prefetching, may be old.
		f.mode, fuseFlags = ioCached, 0
	case f.mode == ioUndecided && direct:
		f.mode = ioDirect
	case f.mode == ioUndecided:
		f.mode = ioCached
	}
	if f.k.sync != syncStore {
		fuseFlags |= fuse.FOPEN_NOFLUSH
	}
	return fuseFlags
}

// mayBeDirect says whether the kernel may read and write the file without us. With
// O_DSYNC each write of WAL is a commit, of which the branch must hear.
func (f *file) mayBeDirect(flags uint32) bool {
	tells := f.k.sync == syncWAL && flags&syscall.O_DSYNC != 0
	return f.k.direct && !f.t.work.NoPassthrough && !tells && f.body.whole()
}

// Release closes the file.
func (f *file) Release(context.Context, fs.FileHandle) syscall.Errno {
	f.mu.Lock()
	f.opens--
	stored, unseen := f.k.sync == syncStore, f.mode == ioDirect
	f.mu.Unlock()
	var err error
	if stored {
		if unseen {
			f.dirty.Store(true)
		}
		err = f.store()
	}
	err = errors.Join(err, f.body.release())
	return f.t.errno("close", f.path(), err)
}

// Flush is close(2). It comes only for files that the branch stores.
func (f *file) Flush(context.Context, fs.FileHandle) syscall.Errno {
	if f.kind().sync != syncStore {
		return 0
	}
	return f.t.errno("close", f.path(), f.store())
}

// Read reads.
func (f *file) Read(_ context.Context, _ fs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	n, err := f.body.read(f.t.ctx, dest, off)
	if err != nil {
		return nil, f.t.errno("read", f.path(), err)
	}
	return fuse.ReadResultData(dest[:n]), 0
}

// Write writes. The kernel sends the 8 kB of a block in one call.
func (f *file) Write(_ context.Context, _ fs.FileHandle, data []byte, off int64) (uint32, syscall.Errno) {
	err := f.t.checkWrite(f.kind(), data, off)
	n := 0
	if err == nil {
		n, err = f.body.write(f.t.ctx, data, off)
	}
	if err != nil {
		return 0, f.t.errno("write", f.path(), err)
	}
	f.dirty.Store(true)
	f.modified()
	return uint32(n), 0
}

// Fsync makes the contents durable, if anybody will ask for them after a crash.
func (f *file) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	var err error
	switch k := f.kind(); k.sync {
	case syncWAL:
		err = f.t.wal.sync(f.t.ctx, f, k)
	case syncStore:
		err = f.store()
	}
	return f.t.errno("fsync", f.path(), err)
}

// Allocate is fallocate. Holes cannot be made.
func (f *file) Allocate(_ context.Context, _ fs.FileHandle, off, size uint64, mode uint32) syscall.Errno {
	if mode&^unix.FALLOC_FL_KEEP_SIZE != 0 {
		return syscall.EOPNOTSUPP
	}
	err := f.t.checkWrite(f.kind(), nil, int64(off+size))
	if err == nil {
		err = f.body.allocate(int64(off), int64(size), mode&unix.FALLOC_FL_KEEP_SIZE != 0)
	}
	f.dirty.Store(true)
	f.modified()
	return f.t.errno("fallocate", f.path(), err)
}

// Getattr is stat.
func (f *file) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	return f.statFile(&out.Attr)
}

func (f *file) statFile(out *fuse.Attr) syscall.Errno {
	size, err := f.body.stat()
	if err != nil {
		return f.t.errno("stat", f.path(), err)
	}
	f.stat(out, size)
	return 0
}

// Setattr is truncate, chmod, chown and utimes.
func (f *file) Setattr(_ context.Context, _ fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if size, ok := in.GetSize(); ok {
		if err := f.truncate(int64(size)); err != nil {
			return f.t.errno("truncate", f.path(), err)
		}
	}
	f.change(in)
	out.SetTimeout(longTime)
	return f.statFile(&out.Attr)
}

func (f *file) truncate(size int64) error {
	if err := errors.Join(f.t.guard(f.kind()), f.t.checkWrite(f.kind(), nil, size)); err != nil {
		return err
	}
	f.t.touched.Store(true)
	if err := f.body.acquire(); err != nil {
		return err
	}
	err := f.body.truncate(f.t.ctx, size)
	f.dirty.Store(true)
	f.modified()
	return errors.Join(err, f.body.release())
}

// OnForget throws the contents of a file away that was unlinked and that nobody
// can come to any more.
func (f *file) OnForget() {
	f.t.mu.RLock()
	links := f.links
	f.t.mu.RUnlock()
	if links > 0 || f.kind().place != inPrivate {
		return
	}
	if err := os.Remove(f.body.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		f.t.opts.Log.Error("remove private file", "path", f.path(), "err", err)
	}
}

// contents reads the whole file.
func (f *file) contents() ([]byte, error) {
	if err := f.body.acquire(); err != nil {
		return nil, err
	}
	size, err := f.body.stat()
	if err == nil && size > maxStored {
		err = errTooLarge
	}
	if err != nil {
		return nil, errors.Join(err, f.body.release())
	}
	p := make([]byte, size)
	n, err := f.body.read(f.t.ctx, p, 0)
	if err = errors.Join(err, f.body.release()); err != nil {
		return nil, fmt.Errorf("read %s: %w", f.path(), err)
	}
	return p[:n], nil
}
