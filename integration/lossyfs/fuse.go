package lossyfs

import (
	"context"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// node is a file of the disk, to the kernel.
type node struct {
	fs.Inode
	d *disk
	f *file
}

var (
	_ fs.NodeLookuper   = (*node)(nil)
	_ fs.NodeGetattrer  = (*node)(nil)
	_ fs.NodeSetattrer  = (*node)(nil)
	_ fs.NodeCreater    = (*node)(nil)
	_ fs.NodeMkdirer    = (*node)(nil)
	_ fs.NodeSymlinker  = (*node)(nil)
	_ fs.NodeMknoder    = (*node)(nil)
	_ fs.NodeLinker     = (*node)(nil)
	_ fs.NodeUnlinker   = (*node)(nil)
	_ fs.NodeRmdirer    = (*node)(nil)
	_ fs.NodeRenamer    = (*node)(nil)
	_ fs.NodeReaddirer  = (*node)(nil)
	_ fs.NodeReadlinker = (*node)(nil)
	_ fs.NodeOpener     = (*node)(nil)
	_ fs.NodeReader     = (*node)(nil)
	_ fs.NodeWriter     = (*node)(nil)
	_ fs.NodeFsyncer    = (*node)(nil)
	_ fs.NodeAllocater  = (*node)(nil)
	_ fs.NodeStatfser   = (*node)(nil)
)

// mount serves the disk at dir.
func mount(d *disk, dir string) (*fuse.Server, error) {
	long := time.Hour // all changes come through the kernel
	return fs.Mount(dir, &node{d: d, f: d.root}, &fs.Options{
		EntryTimeout: &long, AttrTimeout: &long,
		MountOptions: fuse.MountOptions{
			AllowOther: true, FsName: "lossyfs", Name: "lossyfs", Options: []string{"default_permissions"},
			DirectMount: true, MaxWrite: 1 << 20, DisableXAttrs: true,
		},
	})
}

// enter takes the disk's lock. The power may be gone: EIO.
func (n *node) enter() (leave func(), errno syscall.Errno) {
	n.d.mu.Lock()
	if n.d.dead {
		n.d.mu.Unlock()
		return func() {}, syscall.EIO
	}
	return n.d.mu.Unlock, 0
}

// child makes the kernel's inode of a file.
func (n *node) child(ctx context.Context, f *file, out *fuse.EntryOut) *fs.Inode {
	f.attr(&out.Attr)
	return n.NewInode(ctx, &node{d: n.d, f: f}, fs.StableAttr{Mode: f.mode & syscall.S_IFMT, Ino: f.no})
}

func (f *file) attr(a *fuse.Attr) {
	a.Ino, a.Mode, a.Size, a.Nlink, a.Uid, a.Gid = f.no, f.mode, uint64(f.now.size), f.links, f.uid, f.gid
	a.Blksize, a.Blocks = blockSize, uint64(len(f.now.blocks))*(blockSize/sectorSize)
	if f.target != "" {
		a.Size = uint64(len(f.target))
	}
	a.SetTimes(&f.mtime, &f.mtime, &f.mtime)
}

func (n *node) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	leave, errno := n.enter()
	defer leave()
	if errno != 0 {
		return nil, errno
	}
	f, err := n.f.lookup(name)
	if err != nil {
		return nil, syscall.ENOENT
	}
	return n.child(ctx, f, out), 0
}

func (n *node) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	leave, errno := n.enter()
	defer leave()
	if errno == 0 {
		n.f.attr(&out.Attr)
	}
	return errno
}

func (n *node) Setattr(_ context.Context, _ fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	leave, errno := n.enter()
	defer leave()
	if errno != 0 {
		return errno
	}
	if mode, ok := in.GetMode(); ok {
		n.f.mode = n.f.mode&syscall.S_IFMT | mode&0o7777
	}
	if uid, ok := in.GetUID(); ok {
		n.f.uid = uid
	}
	if gid, ok := in.GetGID(); ok {
		n.f.gid = gid
	}
	if size, ok := in.GetSize(); ok {
		n.f.truncate(int64(size))
	}
	if t, ok := in.GetMTime(); ok {
		n.f.mtime = t
	}
	n.f.attr(&out.Attr)
	return 0
}

// make makes a file with a name that is free.
func (n *node) make(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*fs.Inode, *file, syscall.Errno) {
	leave, errno := n.enter()
	defer leave()
	if errno != 0 {
		return nil, nil, errno
	}
	if n.f.names[name] != nil {
		return nil, nil, syscall.EEXIST
	}
	f := n.d.newFile(mode)
	if c, ok := fuse.FromContext(ctx); ok {
		f.uid, f.gid = c.Uid, c.Gid
	}
	if n.f.mode&syscall.S_ISGID != 0 {
		f.gid = n.f.gid
		if f.isDir() {
			f.mode |= syscall.S_ISGID
		}
	}
	n.d.apply(step{n.f, name, f})
	return n.child(ctx, f, out), f, 0
}

func (n *node) Create(ctx context.Context, name string, _ uint32, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	inode, _, errno := n.make(ctx, name, syscall.S_IFREG|mode&0o7777, out)
	return inode, nil, fuse.FOPEN_KEEP_CACHE, errno
}

func (n *node) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	inode, _, errno := n.make(ctx, name, syscall.S_IFDIR|mode&0o7777, out)
	return inode, errno
}

func (n *node) Mknod(ctx context.Context, name string, mode, _ uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	inode, _, errno := n.make(ctx, name, mode, out)
	return inode, errno
}

func (n *node) Symlink(ctx context.Context, target, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	inode, f, errno := n.make(ctx, name, syscall.S_IFLNK|0o777, out)
	if errno == 0 {
		n.d.mu.Lock()
		defer n.d.mu.Unlock()
		f.target = target
	}
	return inode, errno
}

func (n *node) Link(ctx context.Context, target fs.InodeEmbedder, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	leave, errno := n.enter()
	defer leave()
	if errno != 0 {
		return nil, errno
	}
	if n.f.names[name] != nil {
		return nil, syscall.EEXIST
	}
	f := target.(*node).f
	n.d.apply(step{n.f, name, f})
	return n.child(ctx, f, out), 0
}

func (n *node) Unlink(_ context.Context, name string) syscall.Errno {
	leave, errno := n.enter()
	defer leave()
	if errno == 0 {
		n.d.apply(step{n.f, name, nil})
	}
	return errno
}

func (n *node) Rmdir(_ context.Context, name string) syscall.Errno {
	leave, errno := n.enter()
	defer leave()
	if errno != 0 {
		return errno
	}
	if f := n.f.names[name]; f != nil && len(f.names) > 0 {
		return syscall.ENOTEMPTY
	}
	n.d.apply(step{n.f, name, nil})
	return 0
}

func (n *node) Rename(_ context.Context, name string, newParent fs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	leave, errno := n.enter()
	defer leave()
	if errno != 0 {
		return errno
	}
	to := newParent.(*node).f
	f, old := n.f.names[name], to.names[newName]
	switch {
	case f == nil:
		return syscall.ENOENT
	case flags&^unix.RENAME_NOREPLACE != 0:
		return syscall.EINVAL
	case old == f:
		return 0 // two names of one file: rename does nothing
	case old != nil && flags&unix.RENAME_NOREPLACE != 0:
		return syscall.EEXIST
	case old != nil && len(old.names) > 0:
		return syscall.ENOTEMPTY
	}
	n.d.apply(step{to, newName, f}, step{n.f, name, nil})
	return 0
}

func (n *node) Readdir(context.Context) (fs.DirStream, syscall.Errno) {
	leave, errno := n.enter()
	defer leave()
	if errno != 0 {
		return nil, errno
	}
	var list []fuse.DirEntry
	for _, name := range sorted(n.f.names) {
		f := n.f.names[name]
		list = append(list, fuse.DirEntry{Name: name, Ino: f.no, Mode: f.mode})
	}
	return fs.NewListDirStream(list), 0
}

func (n *node) Readlink(context.Context) ([]byte, syscall.Errno) {
	leave, errno := n.enter()
	defer leave()
	return []byte(n.f.target), errno
}

func (n *node) Open(_ context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	leave, errno := n.enter()
	defer leave()
	if errno == 0 && flags&syscall.O_TRUNC != 0 {
		n.f.truncate(0)
	}
	return nil, fuse.FOPEN_KEEP_CACHE, errno
}

func (n *node) Read(_ context.Context, _ fs.FileHandle, p []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	leave, errno := n.enter()
	defer leave()
	if errno != 0 {
		return nil, errno
	}
	return fuse.ReadResultData(p[:n.f.read(p, off)]), 0
}

func (n *node) Write(_ context.Context, _ fs.FileHandle, p []byte, off int64) (uint32, syscall.Errno) {
	leave, errno := n.enter()
	defer leave()
	if errno != 0 {
		return 0, errno
	}
	n.f.write(p, off)
	return uint32(len(p)), 0
}

func (n *node) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	leave, errno := n.enter()
	defer leave()
	if errno == 0 {
		n.f.sync()
	}
	return errno
}

func (n *node) Allocate(_ context.Context, _ fs.FileHandle, off, size uint64, mode uint32) syscall.Errno {
	leave, errno := n.enter()
	defer leave()
	switch {
	case errno != 0:
		return errno
	case mode == 0 || mode == unix.FALLOC_FL_KEEP_SIZE:
		n.f.allocate(int64(off), int64(size), mode != 0)
	case mode == unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE:
		n.f.zero(int64(off), int64(off+size))
	default:
		return syscall.EOPNOTSUPP
	}
	return 0
}

func (n *node) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	const blocks = 4 << 20 // 16 GiB
	*out = fuse.StatfsOut{Blocks: blocks, Bfree: blocks, Bavail: blocks, Files: 1 << 20, Ffree: 1 << 20, Bsize: blockSize, Frsize: blockSize, NameLen: 255}
	return 0
}
