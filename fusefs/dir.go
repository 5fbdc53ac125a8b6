package fusefs

import (
	"context"
	"errors"
	iofs "io/fs"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"zenith/internal/tree"
)

var (
	_ fs.NodeLookuper       = (*dir)(nil)
	_ fs.NodeOpendirHandler = (*dir)(nil)
	_ fs.NodeGetattrer      = (*dir)(nil)
	_ fs.NodeSetattrer      = (*dir)(nil)
	_ fs.NodeStatfser       = (*dir)(nil)
	_ fs.NodeCreater        = (*dir)(nil)
	_ fs.NodeMkdirer        = (*dir)(nil)
	_ fs.NodeMknoder        = (*dir)(nil)
	_ fs.NodeSymlinker      = (*dir)(nil)
	_ fs.NodeLinker         = (*dir)(nil)
	_ fs.NodeUnlinker       = (*dir)(nil)
	_ fs.NodeRmdirer        = (*dir)(nil)
	_ fs.NodeRenamer        = (*dir)(nil)
)

// dir is a directory of a working tree. Its names are taken from the base, and from
// what the last mount kept, when it is first used. From then on children has all of its names,
// and neither is asked again.
type dir struct {
	node
	from string // its path in the base, whatever it is called now

	loadMu   sync.Mutex // held while load runs
	loaded   atomic.Bool
	children map[string]child // guarded by t.mu
}

// newDir makes a directory with what the base has at from.
func (t *worktree) newDir(from string, a attr) *dir {
	return &dir{node: node{t: t, attr: a}, from: from}
}

// makeDir makes a directory that the base does not have.
func (t *worktree) makeDir(ctx context.Context, mode uint32) *dir {
	made := t.newDir("", t.madeAttr(ctx, syscall.S_IFDIR|mode&0o7777))
	made.children = map[string]child{}
	made.loaded.Store(true)
	return made
}

// load fills children, once: from the base, the kept files and the branch's segments.
func (d *dir) load() error {
	if d.loaded.Load() {
		return nil
	}
	d.loadMu.Lock()
	defer d.loadMu.Unlock()
	if d.loaded.Load() {
		return nil
	}
	entries, err := d.t.base.ReadDir(d.t.ctx, d.from)
	if err != nil && !errors.Is(err, iofs.ErrNotExist) { // a directory may have kept files only
		return err
	}
	found := make(map[string]child, len(entries))
	for _, e := range entries {
		if c := d.t.fromBase(tree.Join(d.from, e.Name), e); c != nil {
			found[e.Name] = c
		}
	}
	d.t.fromKept(d.from, found)
	if err := d.t.fromWAL(d.from, found); err != nil {
		return err
	}
	d.t.mu.Lock()
	defer d.t.mu.Unlock()
	d.children = make(map[string]child, len(found))
	for name, c := range found {
		d.attachLocked(name, c)
	}
	d.loaded.Store(true)
	return nil
}

// fromBase makes the node of the base's entry at path. It is nil for WAL: pg_wal shows the
// branch's own files (fromWAL), not the base's.
func (t *worktree) fromBase(path string, e tree.Entry) child {
	if e.Dir {
		return t.newDir(path, t.newAttr(syscall.S_IFDIR|0o700))
	}
	k := t.kindOf(path)
	if k.place == inWAL {
		return nil
	}
	a := t.newAttr(syscall.S_IFREG | 0o600)
	f := t.newFile(k, newOverlay(t.privatePath(a.ino), e.File), a)
	f.stored = k.sync == syncStore
	return f
}

// fromKept adds to found what the last mount kept in a directory, and the saved files. They hide the
// base's.
func (t *worktree) fromKept(dir string, found map[string]child) {
	dirs, files := t.kept.in(dir)
	for _, name := range dirs {
		if found[name] == nil {
			found[name] = t.newDir(tree.Join(dir, name), t.newAttr(syscall.S_IFDIR|0o700))
		}
	}
	for name, k := range files {
		a := t.newAttr(syscall.S_IFREG | 0o600)
		f := t.newFile(t.kindOf(tree.Join(dir, name)), newOverlay(t.privatePath(a.ino), k), a)
		f.kept = k
		f.stored = f.k.keep == keepSaved
		found[name] = f
	}
}

// attachLocked gives c the name in d; the caller holds t.mu.
func (d *dir) attachLocked(name string, c child) {
	d.children[name] = c
	n := c.common()
	n.parent, n.name, n.links = d, name, 1
}

// attach gives c the name in d.
func (d *dir) attach(name string, c child) {
	d.t.mu.Lock()
	d.attachLocked(name, c)
	d.t.mu.Unlock()
	d.modified()
}

// detach removes a name from d. The node that had it lives on until it is closed and the kernel
// has forgotten it, and keeps its old path, for messages.
func (d *dir) detach(name string) {
	d.t.mu.Lock()
	if c := d.children[name]; c != nil {
		c.common().links = 0
		delete(d.children, name)
	}
	d.t.mu.Unlock()
	d.modified()
}

// find gives a child; nil if there is none of that name.
func (d *dir) find(name string) (child, error) {
	if err := d.load(); err != nil {
		return nil, err
	}
	d.t.mu.RLock()
	defer d.t.mu.RUnlock()
	return d.children[name], nil
}

// names gives a copy of the children, by name.
func (d *dir) names() (map[string]child, error) {
	if err := d.load(); err != nil {
		return nil, err
	}
	d.t.mu.RLock()
	defer d.t.mu.RUnlock()
	return maps.Clone(d.children), nil
}

// Lookup finds a name.
func (d *dir) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	c, err := d.find(name)
	if err != nil {
		return nil, d.t.errno("lookup", tree.Join(d.path(), name), err)
	}
	if c == nil {
		return nil, syscall.ENOENT
	}
	return d.entry(ctx, c, out), 0
}

// OpendirHandle opens the directory.
func (d *dir) OpendirHandle(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	list := func() ([]fuse.DirEntry, syscall.Errno) {
		names, err := d.names()
		if err != nil {
			return nil, d.t.errno("readdir", d.path(), err)
		}
		list := dots()
		for _, name := range slices.Sorted(maps.Keys(names)) {
			n := names[name].common()
			n.attrMu.Lock()
			list = append(list, fuse.DirEntry{Name: name, Mode: n.attr.mode & syscall.S_IFMT, Ino: n.attr.ino})
			n.attrMu.Unlock()
		}
		return list, 0
	}
	sync := func() syscall.Errno {
		path := d.path()
		return d.t.errno("fsync", path, d.t.syncDir(path))
	}
	return newDirHandle(list, sync), 0, 0
}

// eachFile calls fn with the files in d and below it. Directories that were never used are left
// out: no file in them was opened, let alone changed.
func (d *dir) eachFile(fn func(path string, f *file) error) error {
	return d.t.eachFile("", d, fn)
}

func (t *worktree) eachFile(path string, d *dir, fn func(path string, f *file) error) error {
	t.mu.RLock()
	names := maps.Clone(d.children)
	t.mu.RUnlock()
	var errs []error
	for name, c := range names {
		switch c := c.(type) {
		case *dir:
			errs = append(errs, t.eachFile(tree.Join(path, name), c, fn))
		case *file:
			errs = append(errs, fn(tree.Join(path, name), c))
		}
	}
	return errors.Join(errs...)
}

// syncDir is fsync of a directory. Only pg_wal's names are made durable: after a crash the next
// mount has all others from its base, but for those of saved files, which are durable already.
func (t *worktree) syncDir(path string) error {
	if path != walDir || t.scratch() {
		return nil
	}
	return t.wal.syncDir()
}

// Statfs answers with the room on the file system that has the private files.
func (d *dir) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	st, err := d.t.statfs()
	if err != nil {
		return d.t.errno("statfs", d.path(), err)
	}
	out.Blocks, out.Bfree, out.Bavail = st.Blocks, st.Bfree, st.Bavail
	out.Files, out.Ffree = st.Files, st.Ffree
	out.Bsize, out.Frsize, out.NameLen = uint32(st.Bsize), uint32(st.Frsize), 255
	return 0
}
