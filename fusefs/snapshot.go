package fusefs

import (
	"context"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"zenith/internal/tree"
)

var (
	_ fs.NodeLookuper       = (*snapDir)(nil)
	_ fs.NodeOpendirHandler = (*snapDir)(nil)
	_ fs.NodeGetattrer      = (*snapDir)(nil)
	_ fs.NodeStatfser       = (*snapDir)(nil)
	_ fs.NodeOnForgetter    = (*snapDir)(nil)
	_ fs.NodeOpener         = (*snapFile)(nil)
	_ fs.NodeReader         = (*snapFile)(nil)
	_ fs.NodeFlusher        = (*snapFile)(nil)
	_ fs.NodeGetattrer      = (*snapFile)(nil)
)

// ReadOnly mounts a state, immutable, at dir.
func ReadOnly(dir string, state tree.Tree, opts Options) (*Mount, error) {
	opts = opts.withDefaults()
	ctx, cancel := context.WithCancel(context.Background())
	snap := newSnap(ctx, state, "", opts)
	return mounting{
		dir:      dir,
		root:     &snapDir{snap: snap},
		rootAttr: snap.stable("", syscall.S_IFDIR),
		readOnly: true,
		cancel:   cancel,
	}.start(opts)
}

// snap is one state in a mount.
type snap struct {
	ctx    context.Context // ends with the mount. That of a request ends with a signal, but no program expects EINTR here
	state  tree.Tree
	lazy   *lazyTree // the same as state, below All; nil: the state of ReadOnly
	prefix string    // where the state is in the mount: inode numbers depend on it
	opts   Options
	time   uint64 // the state's ModTime
}

func newSnap(ctx context.Context, state tree.Tree, prefix string, opts Options) *snap {
	return &snap{ctx: ctx, state: state, prefix: prefix, opts: opts, time: uint64(state.ModTime().Unix())}
}

// stable gives the inode number of a path of the state.
func (s *snap) stable(path string, mode uint32) fs.StableAttr {
	return stableAttr(s.prefix+"/"+path, mode)
}

// fill fills out with the attributes of a file or directory of the state.
func (s *snap) fill(out *fuse.Attr, mode uint32, size int64) {
	out.Mode, out.Size, out.Nlink = mode, uint64(size), 1
	out.Uid, out.Gid = s.opts.UID, s.opts.GID
	out.Atime, out.Mtime, out.Ctime = s.time, s.time, s.time
}

// snapDir is a directory of a state.
type snapDir struct {
	fs.Inode
	snap *snap
	path string
}

// Lookup finds a name. One that does not exist never will, so the kernel may cache that, too.
func (d *snapDir) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	path := tree.Join(d.path, name)
	e, err := d.snap.state.Lookup(d.snap.ctx, path)
	if err != nil {
		return nil, d.snap.opts.errno("lookup", path, err)
	}
	e.Name = name
	return d.child(ctx, e, out), 0
}

// child makes the node of an entry.
func (d *snapDir) child(ctx context.Context, e tree.Entry, out *fuse.EntryOut) *fs.Inode {
	path := tree.Join(d.path, e.Name)
	out.SetEntryTimeout(longTime)
	out.SetAttrTimeout(longTime)
	if e.Dir {
		d.snap.fill(&out.Attr, syscall.S_IFDIR|0o700, 0)
		return d.NewInode(ctx, &snapDir{snap: d.snap, path: path}, d.snap.stable(path, syscall.S_IFDIR))
	}
	d.snap.fill(&out.Attr, syscall.S_IFREG|0o600, e.File.Size())
	return d.NewInode(ctx, &snapFile{snap: d.snap, path: path, file: e.File}, d.snap.stable(path, syscall.S_IFREG))
}

// OpendirHandle opens the directory. The kernel may cache the listing.
func (d *snapDir) OpendirHandle(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	h := &listedDirHandle{dir: d}
	h.list = func() ([]fuse.DirEntry, syscall.Errno) {
		entries, err := d.snap.state.ReadDir(d.snap.ctx, d.path)
		if err != nil {
			return nil, d.snap.opts.errno("readdir", d.path, err)
		}
		h.found = make(map[string]tree.Entry, len(entries))
		list := dots()
		for _, e := range entries {
			mode := uint32(syscall.S_IFREG)
			if e.Dir {
				mode = syscall.S_IFDIR
			}
			h.found[e.Name] = e
			list = append(list, fuse.DirEntry{Name: e.Name, Mode: mode, Ino: d.snap.stable(tree.Join(d.path, e.Name), mode).Ino})
		}
		return list, 0
	}
	return h, fuse.FOPEN_CACHE_DIR | fuse.FOPEN_KEEP_CACHE, 0
}

// Getattr is stat.
func (d *snapDir) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	d.snap.fill(&out.Attr, syscall.S_IFDIR|0o700, 0)
	out.SetTimeout(longTime)
	return 0
}

// Statfs says that there is no room.
func (d *snapDir) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	return statfsNone(out)
}

func statfsNone(out *fuse.StatfsOut) syscall.Errno {
	out.Bsize, out.Frsize, out.NameLen = blockSize, blockSize, 255
	return 0
}

// OnForget releases a state below All when the kernel has forgotten its data directory.
func (d *snapDir) OnForget() {
	if d.snap.lazy != nil && d.path == "" {
		d.snap.lazy.close()
	}
}

// snapFile is a file of a state.
type snapFile struct {
	fs.Inode
	snap *snap
	path string
	file tree.File
}

// Open answers ENOSYS, which means that files need not be opened: the kernel asks once in a
// mount's life, sends no more Opens, and keeps the contents that it has read.
func (f *snapFile) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, 0, syscall.ENOSYS
}

// Flush answers ENOSYS, after which the kernel sends no more of them, either.
func (f *snapFile) Flush(context.Context, fs.FileHandle) syscall.Errno { return syscall.ENOSYS }

// Read reads, at any offset and size, in one call of the tree.File.
func (f *snapFile) Read(_ context.Context, _ fs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	size := f.file.Size()
	if off >= size {
		return fuse.ReadResultData(nil), 0
	}
	dest = dest[:min(int64(len(dest)), size-off)]
	if err := tree.ReadFull(f.snap.ctx, f.file, dest, off); err != nil {
		return nil, f.snap.opts.errno("read", f.path, err)
	}
	return fuse.ReadResultData(dest), 0
}

// Getattr is stat.
func (f *snapFile) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	f.snap.fill(&out.Attr, syscall.S_IFREG|0o600, f.file.Size())
	out.SetTimeout(longTime)
	return 0
}
