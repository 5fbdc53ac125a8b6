package fusefs

import (
	"context"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"zenith/internal/tree"
)

// attr are a node's attributes: what stat shows, and chmod, chown and utimes change.
type attr struct {
	ino                 uint64
	mode                uint32 // with the file type
	uid, gid            uint32
	rdev                uint32
	atime, mtime, ctime time.Time
}

// newAttr makes the attributes of a node that shows what the base has.
func (t *worktree) newAttr(mode uint32) attr {
	at := t.opts.Time
	return attr{
		ino: t.lastIno.Add(1), mode: mode, uid: t.opts.UID, gid: t.opts.GID,
		atime: at, mtime: at, ctime: at,
	}
}

// madeAttr makes the attributes of a node that a process makes now. ctx is that of the FUSE
// request, which says whose process it is.
func (t *worktree) madeAttr(ctx context.Context, mode uint32) attr {
	now := time.Now()
	a := attr{ino: t.lastIno.Add(1), mode: mode, uid: t.opts.UID, gid: t.opts.GID, atime: now, mtime: now, ctime: now}
	if c, ok := fuse.FromContext(ctx); ok {
		a.uid, a.gid = c.Uid, c.Gid
	}
	return a
}

// node is what directories, files and the rest have in common: a place among the
// names, and attributes. The working tree holds its nodes itself; go-fuse learns of a node when
// it is first looked up.
type node struct {
	fs.Inode
	t       *worktree
	inNames sync.Once   // done when go-fuse has learned of the node
	known   atomic.Bool // likewise: until then go-fuse's Inode must not be used

	parent *dir // this and the next two are guarded by t.mu
	name   string
	links  uint32 // 0: unlinked

	attrMu sync.Mutex
	attr   attr // its number and file type never change
}

// child is a node in a directory.
type child interface {
	fs.InodeEmbedder
	common() *node
	size() int64
}

func (n *node) common() *node { return n }

// size is 0; files and links have a size of their own.
func (n *node) size() int64 { return 0 }

// path is where the node is, or was when it was unlinked.
func (n *node) path() string {
	n.t.mu.RLock()
	defer n.t.mu.RUnlock()
	return n.pathLocked()
}

func (n *node) pathLocked() string {
	if n.parent == nil {
		return n.name
	}
	return tree.Join(n.parent.pathLocked(), n.name)
}

// inode gives go-fuse's inode of a child of d.
func (d *dir) inode(ctx context.Context, c child) *fs.Inode {
	n := c.common()
	n.inNames.Do(func() {
		n.attrMu.Lock()
		id := fs.StableAttr{Mode: n.attr.mode & syscall.S_IFMT, Ino: n.attr.ino}
		n.attrMu.Unlock()
		d.NewInode(ctx, c, id)
		n.known.Store(true)
	})
	return &n.Inode
}

// stat fills out with the node's attributes. size is the node's, in bytes.
func (n *node) stat(out *fuse.Attr, size int64) {
	n.t.mu.RLock()
	out.Nlink = n.links
	n.t.mu.RUnlock()
	n.attrMu.Lock()
	defer n.attrMu.Unlock()
	a := n.attr
	out.Ino, out.Mode, out.Uid, out.Gid, out.Rdev = a.ino, a.mode, a.uid, a.gid, a.rdev
	out.Size = uint64(size)
	out.Blksize, out.Blocks = blockSize, (uint64(size)+511)/512
	out.SetTimes(&a.atime, &a.mtime, &a.ctime)
}

// entry answers the lookup or the creation of c in d.
func (d *dir) entry(ctx context.Context, c child, out *fuse.EntryOut) *fs.Inode {
	c.common().stat(&out.Attr, c.size())
	out.SetEntryTimeout(longTime)
	if _, ok := c.(*file); ok && d.from == walDir {
		// renameWAL may give the name to another file without the kernel's knowledge.
		out.SetEntryTimeout(0)
	}
	return d.inode(ctx, c)
}

// Getattr is stat.
func (n *node) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	n.stat(&out.Attr, 0)
	return 0
}

// Setattr is chmod, chown and utimes; the kernel has checked who may.
func (n *node) Setattr(_ context.Context, _ fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	n.change(in)
	n.stat(&out.Attr, 0)
	out.SetTimeout(longTime)
	return 0
}

// change sets the attributes that a request asks for, save the size.
func (n *node) change(in *fuse.SetAttrIn) {
	n.attrMu.Lock()
	defer n.attrMu.Unlock()
	a := &n.attr
	a.ctime = time.Now()
	if mode, ok := in.GetMode(); ok {
		a.mode = a.mode&syscall.S_IFMT | mode&0o7777
	}
	if uid, ok := in.GetUID(); ok {
		a.uid = uid
	}
	if gid, ok := in.GetGID(); ok {
		a.gid = gid
	}
	if t, ok := in.GetATime(); ok {
		a.atime = t
	}
	if t, ok := in.GetMTime(); ok {
		a.mtime = t
	}
}

// modified sets the times that a write sets.
func (n *node) modified() {
	now := time.Now()
	n.attrMu.Lock()
	n.attr.mtime, n.attr.ctime = now, now
	n.attrMu.Unlock()
}

var (
	_ fs.NodeGetattrer  = (*link)(nil)
	_ fs.NodeSetattrer  = (*link)(nil)
	_ fs.NodeReadlinker = (*link)(nil)
	_ fs.NodeGetattrer  = (*special)(nil)
	_ fs.NodeSetattrer  = (*special)(nil)
)

// link is a symbolic link.
type link struct {
	node
	target string
}

func (l *link) size() int64 { return int64(len(l.target)) }

// Readlink gives the link's target.
func (l *link) Readlink(context.Context) ([]byte, syscall.Errno) { return []byte(l.target), 0 }

// Getattr is lstat.
func (l *link) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	l.stat(&out.Attr, int64(len(l.target)))
	return 0
}

// Setattr is lchown and lutimes.
func (l *link) Setattr(_ context.Context, _ fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	l.change(in)
	l.stat(&out.Attr, int64(len(l.target)))
	out.SetTimeout(longTime)
	return 0
}

// special is a socket or a pipe; the kernel does what they do.
type special struct{ node }
