package fusefs

import (
	"context"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
	"zenith/internal/tree"
)

// The kernel holds a directory's lock while it is changed, and the locks of both directories
// during a rename. So nobody else changes a name between the check of it and its change here.

// vacant refuses a name that is taken (EEXIST), and notes that the tree is about to change.
func (d *dir) vacant(name string) error {
	c, err := d.find(name)
	if err != nil {
		return err
	}
	if c != nil {
		return syscall.EEXIST
	}
	d.t.touched.Store(true)
	return nil
}

// Create makes a file and opens it.
func (d *dir) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	path := tree.Join(d.path(), name)
	f, err := d.create(ctx, path, name, mode)
	if err != nil {
		return nil, nil, 0, d.t.errno("create", path, err)
	}
	h, fuseFlags, errno := f.Open(ctx, flags)
	if errno != 0 {
		return nil, nil, 0, errno
	}
	return d.entry(ctx, f, out), h, fuseFlags, 0
}

// create makes an empty file, at path and called name in d.
func (d *dir) create(ctx context.Context, path, name string, mode uint32) (*file, error) {
	if err := d.vacant(name); err != nil {
		return nil, err
	}
	k := d.t.kindOf(path)
	if err := d.t.guard(k); err != nil {
		return nil, err
	}
	a := d.t.madeAttr(ctx, syscall.S_IFREG|mode&0o7777)
	body := newOverlay(d.t.privatePath(a.ino), nil)
	if k.place == inWAL {
		var err error
		if body, err = d.t.wal.create(name, k == kindWALTemp); err != nil {
			return nil, err
		}
	}
	f := d.t.newFile(k, body, a)
	f.dirty.Store(true)
	d.attach(name, f)
	return f, nil
}

// Mkdir makes a directory.
func (d *dir) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if err := d.vacant(name); err != nil {
		return nil, d.t.errno("mkdir", tree.Join(d.path(), name), err)
	}
	made := d.t.makeDir(ctx, mode)
	d.attach(name, made)
	return d.entry(ctx, made, out), 0
}

// Mknod makes a socket or a pipe.
func (d *dir) Mknod(ctx context.Context, name string, mode, rdev uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if err := d.vacant(name); err != nil {
		return nil, d.t.errno("mknod", tree.Join(d.path(), name), err)
	}
	switch mode & syscall.S_IFMT {
	case syscall.S_IFSOCK, syscall.S_IFIFO:
	default:
		return nil, syscall.EPERM
	}
	a := d.t.madeAttr(ctx, mode)
	a.rdev = rdev
	made := &special{node{t: d.t, attr: a}}
	d.attach(name, made)
	return d.entry(ctx, made, out), 0
}

// Symlink makes a symbolic link, or for a tablespace what stands in its place: see tablespace.go.
func (d *dir) Symlink(ctx context.Context, target, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if err := d.vacant(name); err != nil {
		return nil, d.t.errno("symlink", tree.Join(d.path(), name), err)
	}
	made := &link{node: node{t: d.t, attr: d.t.madeAttr(ctx, syscall.S_IFLNK|0o777)}, target: target}
	if d.t.isTablespace(tree.Join(d.path(), name), target) {
		return d.makeTablespace(ctx, made, name, out), 0
	}
	d.attach(name, made)
	return d.entry(ctx, made, out), 0
}

// Link answers what file systems without hard links answer.
func (d *dir) Link(context.Context, fs.InodeEmbedder, string, *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return nil, syscall.EPERM
}

// Unlink removes the name of a file, link, socket or pipe.
func (d *dir) Unlink(_ context.Context, name string) syscall.Errno {
	path := tree.Join(d.path(), name)
	c, err := d.find(name)
	if err != nil {
		return d.t.errno("unlink", path, err)
	}
	if c == nil {
		return syscall.ENOENT
	}
	d.t.touched.Store(true)
	f, ok := c.(*file)
	if !ok {
		d.detach(name)
		return 0
	}
	if err := d.t.guard(f.kind()); err != nil {
		return d.t.errno("unlink", path, err)
	}
	if err := f.removed(path); err != nil {
		return d.t.errno("unlink", path, err)
	}
	d.detach(name)
	return 0
}

// Rmdir removes an empty directory.
func (d *dir) Rmdir(_ context.Context, name string) syscall.Errno {
	c, err := d.find(name)
	if err != nil {
		return d.t.errno("rmdir", tree.Join(d.path(), name), err)
	}
	if c == nil {
		return syscall.ENOENT
	}
	if err := emptyDir(c); err != nil {
		return d.t.errno("rmdir", tree.Join(d.path(), name), err)
	}
	d.t.touched.Store(true)
	d.detach(name)
	return 0
}

// emptyDir refuses a directory that has names in it (ENOTEMPTY): it must be neither removed nor
// replaced.
func emptyDir(c child) error {
	sub, ok := c.(*dir)
	if !ok {
		return nil
	}
	names, err := sub.names()
	if err == nil && len(names) > 0 {
		return syscall.ENOTEMPTY
	}
	return err
}

// Rename gives a node another name, in the same directory or another. What had that name before
// loses it.
func (d *dir) Rename(ctx context.Context, name string, newParent fs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	to, ok := newParent.(*dir)
	if !ok || flags&^unix.RENAME_NOREPLACE != 0 {
		return syscall.EINVAL
	}
	oldPath, newPath := tree.Join(d.path(), name), tree.Join(to.path(), newName)
	err := d.rename(ctx, move{d, to, name, newName, oldPath, newPath}, flags)
	return d.t.errno("rename", oldPath+" to "+newPath, err)
}

// move is a rename, of name in the directory from to newName in the directory to.
type move struct {
	from, to         *dir
	name, newName    string
	oldPath, newPath string
}

func (d *dir) rename(ctx context.Context, m move, flags uint32) error {
	c, err := m.from.find(m.name)
	if err != nil {
		return err
	}
	old, err := m.to.find(m.newName)
	if err != nil {
		return err
	}
	if c == nil {
		return syscall.ENOENT
	}
	if old != nil {
		if flags&unix.RENAME_NOREPLACE != 0 {
			return syscall.EEXIST
		}
		if err := emptyDir(old); err != nil {
			return err
		}
	}
	d.t.touched.Store(true)
	f, ok := c.(*file)
	if !ok {
		m.apply(c)
		return d.t.movedDir(c, m.oldPath, m.newPath)
	}
	return d.t.moveFile(ctx, m, f, old)
}

// apply changes the names: the old one is gone, and the new one is c's. c is the node that had
// the old name, or the one that renameWAL has made in its place.
func (m move) apply(c child) {
	m.from.detach(m.name)
	m.to.detach(m.newName)
	m.to.attach(m.newName, c)
}

// moveFile renames a file. It gets the kind of its new path.
func (t *worktree) moveFile(ctx context.Context, m move, f *file, old child) error {
	was, becomes := f.kind(), t.kindOf(m.newPath)
	if err := t.guard(was); err != nil {
		return err
	}
	if err := t.guard(becomes); err != nil {
		return err
	}
	if was.place == inWAL || becomes.place == inWAL {
		return t.renameWAL(ctx, m, f, becomes, old != nil)
	}
	if err := f.storeMoved(m.oldPath, m.newPath, becomes); err != nil {
		return err
	}
	m.apply(f)
	return nil
}

// movedDir gives the files below a directory that was renamed the kinds of their new paths, and
// moves what the branch has stored of them.
func (t *worktree) movedDir(c child, oldPath, newPath string) error {
	sub, ok := c.(*dir)
	if !ok {
		return nil
	}
	names, err := sub.names()
	if err != nil {
		return err
	}
	for name, c := range names {
		oldPath, newPath := tree.Join(oldPath, name), tree.Join(newPath, name)
		if f, ok := c.(*file); ok {
			err = f.storeMoved(oldPath, newPath, t.kindOf(newPath))
		} else {
			err = t.movedDir(c, oldPath, newPath)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
