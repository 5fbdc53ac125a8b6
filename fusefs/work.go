package fusefs

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"golang.org/x/sys/unix"
	"zenith/internal/durable"
	"zenith/internal/pg"
	"zenith/internal/tree"
	"zenith/internal/xlog"
)

// WorkOptions are Work's and Scratch's.
type WorkOptions struct {
	// Dir is the mount's directory for state of its own, on a file system with room for all that
	// will be written. Dir/private is emptied when the mount begins and removed when it ends;
	// Dir/keep and Dir/saved are what the branch's next mount finds again.
	Dir string
	// BindWAL makes pg_wal a directory of the file system that has the branch's segments, bound
	// into the mount: commits do not pass through this process then, and are as fast as anywhere.
	// It takes root; without, pg_wal is served like the rest. The server must not recycle
	// segments (wal_recycle=off). When this process is killed, servers on the mount may go on to
	// commit: they are to be ended, and then AdoptWAL called, before anybody asks how far the
	// branch's WAL goes.
	BindWAL bool
	// NoWriteback makes the kernel send each write at once, and not keep it in its cache for a
	// while: slower, and for tests.
	NoWriteback bool
	// Ended is called when a scratch mount has gone, before what was written is thrown away. Its error
	// becomes that of the mount's end. nil: nobody is told.
	Ended func(written WrittenPages) error
}

// Work mounts a writable working tree at dir: the head of a branch, whose state is base. When
// it ends, by Unmount or otherwise, the base of the next mount of the branch must be the state
// at the end of the WAL: what was written to relations is thrown away.
//
// A postgres that was killed had best be started on a new mount, over a new base: then it needs
// no recovery. On the same mount it recovers as on any file system, for which it needs
// full_page_writes: the kill may have torn a page that it was writing to the kernel's cache.
func Work(dir string, base tree.Tree, branch Branch, work WorkOptions, opts Options) (*Mount, error) {
	return mountWork(dir, base, branch, work, opts)
}

// Scratch mounts a working tree over base at dir that is nobody's: all that is written, WAL and
// configuration too, is private, and thrown away when the mount ends.
func Scratch(dir string, base tree.Tree, work WorkOptions, opts Options) (*Mount, error) {
	return mountWork(dir, base, nil, work, opts)
}

func mountWork(dir string, base tree.Tree, branch Branch, work WorkOptions, opts Options) (*Mount, error) {
	opts = opts.withDefaults()
	opts.Time = base.ModTime()
	t, err := newWorktree(base, branch, work, opts)
	if err != nil {
		return nil, fmt.Errorf("working tree: %w", err)
	}
	return mounting{
		dir:       dir,
		root:      t.root,
		rootAttr:  fs.StableAttr{Mode: syscall.S_IFDIR, Ino: t.root.attr.ino},
		plainDir:  true,
		writeback: !work.NoWriteback,
		cancel:    t.cancel,
		finish:    t.finish,
		work:      t,
	}.start(opts)
}

// worktree is the state of a working tree.
type worktree struct {
	base   tree.Tree
	branch Branch // nil: a scratch mount
	work   WorkOptions
	opts   Options
	kept   *kept           // what the last mount left, and the saved files
	saved  *saved          // nil: a scratch mount
	ctx    context.Context // ends with the mount. That of a request ends with a signal, but no program expects EINTR here
	cancel context.CancelFunc

	lastIno atomic.Uint64
	touched atomic.Bool // something was changed
	ended   atomic.Bool // no postgres may run on this mount any more: see checkControl

	mu   sync.RWMutex // guards the names: dir.children, node.parent, node.name, node.links
	root *dir

	control *pg.ControlFile // the base's; nil: it has none
	wal     segments
}

// newWorktree prepares the state below work.Dir.
func newWorktree(base tree.Tree, branch Branch, work WorkOptions, opts Options) (_ *worktree, err error) {
	t := &worktree{base: base, branch: branch, work: work, opts: opts}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	if t.control, err = baseControl(t.ctx, t.base); err != nil {
		return nil, err
	}
	if err := os.RemoveAll(t.privateDir()); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(t.privateDir(), 0o700); err != nil {
		return nil, err
	}
	if !t.scratch() {
		if err := t.openBranch(); err != nil {
			return nil, err
		}
	}
	// The number of the data directory is the key under which postgres looks for the
	// shared memory of an earlier server in it: no two mounts may have the same.
	t.root = &dir{node: node{t: t, links: 1, attr: t.newAttr(syscall.S_IFDIR | 0o700)}}
	t.root.attr.ino = 1<<20 + rand.Uint64N(1<<30)
	t.root.inNames.Do(func() {}) // go-fuse makes the root known
	t.lastIno.Store(1 << 32)
	return t, nil
}

// openBranch prepares what a scratch mount does not have: WAL, and what the branch's last mount
// left.
func (t *worktree) openBranch() (err error) {
	dir := t.branch.WALDir()
	if err := AdoptWAL(t.work.Dir, dir, t.opts); err != nil {
		return err
	}
	if t.kept, err = openKept(t.work.Dir, t.control, t.branch.Version(), t.opts.Log); err != nil {
		return err
	}
	if t.saved, err = openSaved(t.work.Dir, t.branch.Version(), t.kept); err != nil {
		return err
	}
	if err := t.saved.show(t.kept, t.privateDir()); err != nil {
		return err
	}
	if err := t.findWAL(); err != nil {
		return err
	}
	if t.control == nil {
		return nil // no server can start on this base: there will be no WAL
	}
	t.wal.spare.start(t.ctx, dir, int64(t.control.SegSize), func(err error) {
		t.opts.Log.Warn("make a spare wal segment", "dir", dir, "err", err)
	})
	if t.work.BindWAL && t.opts.Helper.Root() && !t.work.NoWriteback {
		t.prepareBound()
	}
	return t.saved.forgetHad()
}

// findWAL finds out which segments pg_wal shows.
func (t *worktree) findWAL() error {
	need := &needed{} // without pg_control no server can start
	if t.control != nil {
		var err error
		if need, err = t.saved.needed(int(t.control.SegSize)); err != nil {
			return err
		}
		if err := t.forgetReported(need); err != nil {
			return err
		}
	}
	return t.wal.open(t.ctx, t.branch, t.base, t.kept, need)
}

// forgetReported removes what archive_status says about the segment in which the branch goes on, and
// about later ones. A server may have died with a record that began at the end of a full segment, and was
// archiving that already: the branch goes on in place of the record, so the segment is not yet what is
// to be archived. When it is full, the next server reports it again.
func (t *worktree) forgetReported(need *needed) error {
	head := position(xlog.SegmentName(1, t.control.CheckPoint, need.segSize))
	for segment := range need.status {
		if position(segment) < head {
			continue
		}
		t.opts.Log.Warn("a segment goes on that was reported to the archiver; it will be archived again when it is full", "segment", segment)
		for _, suffix := range []string{".ready", ".done"} {
			path := walDir + "/" + archiveStatus + "/" + segment + suffix
			if err := t.saved.remove(path); err != nil {
				return err
			}
			delete(t.kept.files, path)
		}
		delete(need.status, segment)
	}
	return nil
}

// scratch reports whether all that is written is thrown away when the mount ends.
func (t *worktree) scratch() bool { return t.branch == nil }

func (t *worktree) privateDir() string { return filepath.Join(t.work.Dir, "private") }

// privatePath names the private file of an inode.
func (t *worktree) privatePath(ino uint64) string {
	return filepath.Join(t.privateDir(), strconv.FormatUint(ino, 16))
}

func (t *worktree) errno(op, path string, err error) syscall.Errno {
	return t.opts.errno(op, path, err)
}

// statfs asks the file system that has the private files.
func (t *worktree) statfs() (unix.Statfs_t, error) {
	var st unix.Statfs_t
	err := unix.Statfs(t.privateDir(), &st)
	return st, err
}

// finish stores and keeps what is to stay, and removes the rest. It is called when the mount is
// gone, so nobody can reach the tree any more.
func (t *worktree) finish() error {
	var errs []error
	if t.scratch() {
		if t.work.Ended != nil {
			errs = append(errs, t.work.Ended(t.writtenPage))
		}
	} else {
		errs = append(errs, t.storeAll())
		if b := t.wal.bound(); b != nil {
			errs = append(errs, b.close(), b.saveOthers(t.saved))
		}
		errs = append(errs, t.wal.spare.close())
		if t.touched.Load() {
			errs = append(errs, t.keepAll())
		}
	}
	if err := errors.Join(errs...); err != nil {
		return t.moveAside(err)
	}
	if b := t.wal.bound(); b != nil {
		if err := removeBound(b.dir, t.opts.Helper); err != nil {
			return err
		}
	}
	return os.RemoveAll(t.privateDir())
}

// moveAside keeps what was written to the mount for somebody to look into, after err kept it from being put
// away: the next mount empties the directory where it is. The files have their inodes' numbers.
func (t *worktree) moveAside(err error) error {
	err = fmt.Errorf("put away working tree %s: %w", t.work.Dir, err)
	if t.scratch() {
		return err
	}
	aside, merr := durable.MoveAside(t.privateDir())
	if merr != nil {
		return errors.Join(err, merr)
	}
	return fmt.Errorf("%w (what was written on the mount is in %s)", err, aside)
}

// errNotWritten is returned for a file that no process has made on the mount.
var errNotWritten = errors.New("is not there, or is the base's")

// Written gives the contents of a small file in the root of a working tree that a process on the
// mount has made: what it has written and closed or synced. It does not use the mount, which this
// process must not.
func (m *Mount) Written(name string) ([]byte, error) {
	if m.work == nil {
		return nil, fmt.Errorf("%s: %w", name, errNotWritten)
	}
	m.work.mu.RLock()
	f, ok := m.work.root.children[name].(*file)
	m.work.mu.RUnlock()
	if !ok || !f.body.whole() {
		return nil, fmt.Errorf("%s: %w", name, errNotWritten)
	}
	return f.contents()
}
