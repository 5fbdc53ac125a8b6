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
	_ fs.NodeOpener      = (*file)(nil)
	_ fs.NodeReader      = (*file)(nil)
	_ fs.NodeWriter      = (*file)(nil)
	_ fs.NodeFlusher     = (*file)(nil)
	_ fs.NodeFsyncer     = (*file)(nil)
	_ fs.NodeReleaser    = (*file)(nil)
	_ fs.NodeAllocater   = (*file)(nil)
	_ fs.NodeGetattrer   = (*file)(nil)
	_ fs.NodeSetattrer   = (*file)(nil)
	_ fs.NodeOnForgetter = (*file)(nil)
)

// file is a file of a working tree.
type file struct {
	node
	body *overlay
	kept *keptFile // the file of the last mount that is body's base; nil: none

	mu    sync.Mutex // guards the next two
	k     *kind
	moved bool // a rename has given its name to another file: it can no longer be opened

	storing sync.Mutex  // held while the file is stored in the branch
	stored  bool        // guarded by storing: the branch has a file at this path
	dirty   atomic.Bool // the file has changed since it was stored

	written atomic.Int64 // of a segment: the end of the write that went farthest
}

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

func (f *file) size() int64 { return f.body.stat() }

// handle is an open file.
type handle struct {
	dsync bool // opened with O_DSYNC: each write is to be durable before it returns
}

// Open opens the file.
func (f *file) Open(_ context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	fuseFlags, err := f.open(flags)
	if err != nil {
		return nil, 0, f.t.errno("open", f.path(), err)
	}
	return &handle{dsync: flags&syscall.O_DSYNC != 0}, fuseFlags, 0
}

// open makes the caller a user of the contents and gives the flags that say how the kernel may
// cache them.
func (f *file) open(flags uint32) (uint32, error) {
	if flags&syscall.O_ACCMODE != syscall.O_RDONLY {
		if err := f.t.guard(f.kind()); err != nil {
			return 0, err
		}
		f.t.touched.Store(true)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.moved {
		return 0, errLookAgain
	}
	fuseFlags := uint32(fuse.FOPEN_KEEP_CACHE)
	if f.k.direct {
		fuseFlags |= fuse.FOPEN_DIRECT_IO
	}
	if f.k.sync != syncStore {
		fuseFlags |= fuse.FOPEN_NOFLUSH
	}
	return fuseFlags, f.body.acquire()
}

// Release ends the use of the file by what Open opened.
func (f *file) Release(context.Context, fs.FileHandle) syscall.Errno {
	var err error
	if f.kind().sync == syncStore {
		err = f.store()
	}
	err = errors.Join(err, f.body.release())
	return f.t.errno("close", f.path(), err)
}

// Flush is close(2): before it the kernel has sent what was written.
func (f *file) Flush(context.Context, fs.FileHandle) syscall.Errno {
	if f.kind().sync != syncStore {
		return 0
	}
	return f.t.errno("close", f.path(), f.store())
}

// Read reads. It is called for files that are open for writing only, too: before the kernel
// changes a part of a page in its cache, it reads the whole page.
func (f *file) Read(_ context.Context, _ fs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	n, err := f.body.read(f.t.ctx, dest, off)
	if err != nil {
		return nil, f.t.errno("read", f.path(), err)
	}
	return fuse.ReadResultData(dest[:n]), 0
}

// Write writes. For a direct file, data is what a process writes in one call. For others it is
// pages of the kernel's cache, which may be a part of a block; there the kernel itself sends the
// fsync that O_DSYNC asks for.
func (f *file) Write(_ context.Context, fh fs.FileHandle, data []byte, off int64) (uint32, syscall.Errno) {
	k := f.kind()
	err := f.t.checkWrite(k, data, off)
	n := 0
	if err == nil {
		n, err = f.body.write(f.t.ctx, data, off)
	}
	if err != nil {
		return 0, f.t.errno("write", f.path(), err)
	}
	f.dirty.Store(true)
	f.modified()
	if k == kindSegment {
		f.wroteTo(off + int64(n))
	}
	if h, ok := fh.(*handle); ok && h.dsync && k.direct {
		if err := f.sync(k); err != nil {
			return 0, f.t.errno("write", f.path(), err)
		}
	}
	return uint32(n), 0
}

// wroteTo notes how far a segment is written.
func (f *file) wroteTo(end int64) {
	for old := f.written.Load(); end > old && !f.written.CompareAndSwap(old, end); old = f.written.Load() {
	}
	f.t.wal.spare.wrote(end)
}

// Fsync makes the contents durable, if they will be needed after a crash.
func (f *file) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	return f.t.errno("fsync", f.path(), f.sync(f.kind()))
}

func (f *file) sync(k *kind) error {
	switch k.sync {
	case syncWAL:
		return f.t.wal.sync(f.t.ctx, f, k)
	case syncStore:
		return f.store()
	}
	return nil
}

// Allocate is fallocate. Of its modes only FALLOC_FL_KEEP_SIZE is supported: no holes can be
// made.
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
	f.stat(&out.Attr, f.size())
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
	f.stat(&out.Attr, f.size())
	out.SetTimeout(longTime)
	return 0
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

// OnForget removes the private file of a file that was unlinked, once the kernel has forgotten
// it: then no process can reach it any more.
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

// contents reads the whole file; one of more than maxStored bytes is errTooLarge.
func (f *file) contents() ([]byte, error) {
	if err := f.body.acquire(); err != nil {
		return nil, err
	}
	size := f.size()
	if size > maxStored {
		return nil, errors.Join(errTooLarge, f.body.release())
	}
	p := make([]byte, size)
	n, err := f.body.read(f.t.ctx, p, 0)
	if err = errors.Join(err, f.body.release()); err != nil {
		return nil, fmt.Errorf("read %s: %w", f.path(), err)
	}
	return p[:n], nil
}
