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
	"zenith/internal/pg"
	"zenith/internal/tree"
)

// WAL is where the WAL of a working tree's branch is, and who is told of it.
type WAL struct {
	// Dir has the branch's segment files. A segment that the base shows in pg_wal and
	// that is not there is copied there from the base.
	Dir string
	// Synced is called when a segment's contents are durable, before fsync returns; so it
	// should be quick. end is how far into it the last write of all went. With Bind, it is
	// called soon after something was written, durable or not.
	Synced func(segment string, end int64)
	// Throttle is called before contents are made durable, and may wait while the ingest
	// is behind. It must return when ctx ends.
	Throttle func(ctx context.Context)
	// Held, if it is set, is given what tells whether a server on the mount still has a
	// segment of Dir in its pg_wal. Others may be removed from Dir, or have another form.
	Held func(held func(segment string) bool)
	// Bind makes pg_wal a directory of the file system that has Dir, bound into the mount, where
	// we may do that: commits do not pass through us then, and are as fast as anywhere. The server
	// must not recycle segments (wal_recycle=off), and there is no Throttle. When the daemon was
	// killed, servers on the mount may go on to commit: they are to be ended, and then AdoptWAL
	// called, before anybody asks how far the branch's WAL goes.
	Bind bool
	// Plain makes a segment of Dir that has another form a plain file. Nil: all are.
	Plain func(segment string) error
}

// WorkOptions say what a working tree needs.
type WorkOptions struct {
	// Dir is the mount's private state: Dir/private is emptied at the start and
	// gone at the end, Dir/keep is what the next mount finds again.
	Dir string
	// WAL is the branch's; not used by a scratch mount.
	WAL WAL
	// PutFile stores a configuration file in the branch, durably, before it returns;
	// nil contents: the file is gone. Not used by a scratch mount.
	PutFile func(ctx context.Context, path string, content []byte) error
	// Scratch makes everything private, pg_wal too, and throws it away at the end.
	Scratch bool
	// NoWriteback makes the kernel send what is written at once, not when its cache
	// likes: slower, and for tests.
	NoWriteback bool
}

// Work mounts a writable working tree over base at dir. When it ends, by Unmount
// or otherwise, the base of the next mount of the branch must be the state at the
// end of the WAL: what was written to relations is not brought along.
//
// A postgres that was killed had best be started on a new mount, over a new base:
// then it needs no recovery. On the same mount it recovers as on any file system,
// for which it needs full_page_writes: a kill may tear a page that is being written
// where the kernel writes it without us.
func Work(dir string, base tree.Tree, work WorkOptions, opts Options) (*Mount, error) {
	opts = opts.withDefaults()
	opts.Time = base.ModTime()
	t, err := newWorktree(base, work, opts)
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
	work   WorkOptions
	opts   Options
	kept   *kept           // what the last mount left
	ctx    context.Context // the mount's life; interrupts of single calls are not heeded
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
func newWorktree(base tree.Tree, work WorkOptions, opts Options) (*worktree, error) {
	t := &worktree{base: base, work: work, opts: opts}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	if err := os.RemoveAll(t.privateDir()); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(t.privateDir(), 0o700); err != nil {
		return nil, err
	}
	if !work.Scratch {
		err := AdoptWAL(work.Dir, work.WAL.Dir)
		if err != nil {
			return nil, err
		}
		if t.control, err = baseControl(t.ctx, base); err != nil {
			return nil, err
		}
		if t.kept, err = openKept(work.Dir, t.control); err != nil {
			return nil, err
		}
		if err := t.wal.open(t.ctx, &t.work.WAL, base, t.kept); err != nil {
			return nil, err
		}
		if t.control != nil {
			t.wal.spare.start(t.ctx, t.work.WAL.Dir, int64(t.control.SegSize), func(err error) {
				opts.Log.Warn("make a spare wal segment", "dir", t.work.WAL.Dir, "err", err)
			})
			if work.WAL.Bind && os.Geteuid() == 0 && !work.NoWriteback {
				t.prepareBound()
			}
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

func (t *worktree) privateDir() string { return filepath.Join(t.work.Dir, "private") }

// privatePath names the private file of an inode.
func (t *worktree) privatePath(ino uint64) string {
	return filepath.Join(t.privateDir(), strconv.FormatUint(ino, 16))
}

func (t *worktree) errno(op, path string, err error) syscall.Errno {
	return errno(t.opts.Log, op, path, err)
}

// statfs is that of the file system with the private files.
func (t *worktree) statfs() (unix.Statfs_t, error) {
	var st unix.Statfs_t
	err := unix.Statfs(t.privateDir(), &st)
	return st, err
}

// finish puts everything away once nobody can reach the tree any more.
func (t *worktree) finish() error {
	var errs []error
	if !t.work.Scratch {
		errs = append(errs, t.storeAll())
		if b := t.wal.bound(); b != nil {
			errs = append(errs, b.close())
		}
		errs = append(errs, t.wal.spare.close())
		if t.touched.Load() {
			errs = append(errs, t.keepAll())
		}
	}
	if err := errors.Join(errs...); err != nil {
		// What could not be put away stays where it is, for who looks into it; the
		// next mount empties it.
		return fmt.Errorf("put away working tree %s: %w", t.work.Dir, err)
	}
	if b := t.wal.bound(); b != nil {
		if err := os.RemoveAll(b.dir); err != nil {
			return err
		}
	}
	return os.RemoveAll(t.privateDir())
}
