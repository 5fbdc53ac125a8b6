package fusefs

import (
	"context"
	"errors"
	iofs "io/fs"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"zenith/internal/tree"
)

var (
	_ fs.NodeLookuper       = (*upperDir)(nil)
	_ fs.NodeOpendirHandler = (*upperDir)(nil)
	_ fs.NodeGetattrer      = (*upperDir)(nil)
	_ fs.NodeStatfser       = (*upperDir)(nil)
	_ fs.NodeReadlinker     = (*upperLink)(nil)
	_ fs.NodeGetattrer      = (*upperLink)(nil)
)

// Lookup finds a name. One that does not exist may exist later, so the kernel must ask again.
func (d *upperDir) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	ops, mode, believed, err := d.find(d, name)
	if err != nil {
		out.SetEntryTimeout(never)
		return nil, d.all.errno("lookup", tree.Join(d.path, name), err)
	}
	d.all.fill(&out.Attr, mode)
	if snap, ok := ops.(*snapDir); ok {
		snap.snap.fill(&out.Attr, syscall.S_IFDIR|0o700, 0)
	}
	out.SetEntryTimeout(believed)
	return d.NewInode(ctx, ops, stableAttr(tree.Join(d.path, name), mode)), 0
}

// OpendirHandle opens the directory.
func (d *upperDir) OpendirHandle(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	list := func() ([]fuse.DirEntry, syscall.Errno) {
		entries, err := d.list()
		if err != nil {
			return nil, d.all.errno("readdir", d.path, err)
		}
		for i, e := range entries {
			entries[i].Ino = stableAttr(tree.Join(d.path, e.Name), e.Mode).Ino
		}
		return append(dots(), entries...), 0
	}
	return newDirHandle(list, nil), 0, 0
}

// Getattr is stat.
func (d *upperDir) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	d.all.fill(&out.Attr, syscall.S_IFDIR)
	return 0
}

// Statfs says that there is no room.
func (d *upperDir) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	return statfsNone(out)
}

// fill fills out with the attributes of an upper directory or link: anyone may read them.
func (a *all) fill(out *fuse.Attr, mode uint32) {
	t := uint64(a.opts.Time.Unix())
	out.Mode, out.Nlink = mode|0o755, 1
	if mode == syscall.S_IFLNK {
		out.Mode = mode | 0o777
	}
	out.Uid, out.Gid = a.opts.UID, a.opts.GID
	out.Atime, out.Mtime, out.Ctime = t, t, t
}

func (a *all) errno(op, path string, err error) syscall.Errno {
	return a.opts.errno(op, path, err)
}

// upperLink is a symbolic link, resolved each time it is read.
type upperLink struct {
	fs.Inode
	all  *all
	path string
	read func() (string, error)
}

// Readlink asks for the link's target each time: it changes.
func (l *upperLink) Readlink(context.Context) ([]byte, syscall.Errno) {
	target, err := l.read()
	if err != nil {
		return nil, l.all.errno("readlink", l.path, err)
	}
	return []byte(target), 0
}

// Getattr is lstat. The size is 0: the target may be a longer one by the time it is read.
func (l *upperLink) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	l.all.fill(&out.Attr, syscall.S_IFLNK)
	return 0
}

// lazyTree is a state that is released when the kernel forgets its data directory, and made again
// when it is needed once more: the kernel may forget a directory at the moment in which somebody
// looks it up.
type lazyTree struct {
	make func(context.Context) (state tree.Tree, release func(), err error)

	mu      sync.Mutex
	state   tree.Tree // nil: closed
	release func()    // state's
	modTime time.Time // state's, also when it is closed
}

// get gives the state, made if it is closed.
func (t *lazyTree) get(ctx context.Context) (tree.Tree, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.state != nil {
		return t.state, nil
	}
	state, release, err := t.make(ctx)
	if err != nil {
		return nil, err
	}
	t.state, t.release, t.modTime = state, release, state.ModTime()
	return state, nil
}

func (t *lazyTree) closed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state == nil
}

// close releases the state. Whoever asks for something of it later has it made again.
func (t *lazyTree) close() {
	t.mu.Lock()
	release := t.release
	t.state, t.release = nil, nil
	t.mu.Unlock()
	if release != nil {
		release()
	}
}

// ModTime is the state's. It is known from the first get on.
func (t *lazyTree) ModTime() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.modTime
}

// ReadDir is the state's.
func (t *lazyTree) ReadDir(ctx context.Context, path string) ([]tree.Entry, error) {
	state, err := t.get(ctx)
	if err != nil {
		return nil, gone(err)
	}
	return state.ReadDir(ctx, path)
}

// Lookup is the state's.
func (t *lazyTree) Lookup(ctx context.Context, path string) (tree.Entry, error) {
	state, err := t.get(ctx)
	if err != nil {
		return tree.Entry{}, gone(err)
	}
	return state.Lookup(ctx, path)
}

// gone changes the error of a state that does not exist any more. Its fs.ErrNotExist would tell
// the kernel that a name does not exist in the state, which it caches for ever.
func gone(err error) error {
	if errors.Is(err, iofs.ErrNotExist) {
		return errLookAgain
	}
	return err
}
