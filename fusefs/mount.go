package fusefs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"zenith/internal/privileged"
)

const (
	maxWrite      = 1 << 20 // bytes of a read or a write: the kernel's own limit
	maxBackground = 64      // read-ahead requests under way; go-fuse's 12 starve two scans
	longTime      = 24 * time.Hour
)

// Reserve is how many bytes of the Go heap a mount occupies although they are not in use: go-fuse reads the kernel's
// requests into buffers of the largest size that one can have, and has one for each goroutine that waits, of which a
// mount has as many as there are processors, from 2 to 16, and one more. Whoever sets a limit for the heap must add it for
// each mount, or the garbage collector runs all the time.
func Reserve() int64 { return int64(min(max(runtime.GOMAXPROCS(0), 2), 16)+1) * maxWrite }

// Options are common to all mounts. The zero value works.
type Options struct {
	UID, GID uint32            // owner of the files; both 0: this process's
	Time     time.Time         // of the directories above All's states; zero: now
	Log      *slog.Logger      // default: slog.Default()
	Helper   privileged.Helper // makes and ends the mount; default: this process does
	// Failed is told of each use of a file that failed for a reason that its process cannot know from the number that it
	// gets, EIO or EOPNOTSUPP; nil: nobody is.
	Failed func(path string, err error)
	// Owners are the accounts of which one must own the mount point; nil: anybody may.
	Owners []int
}

func (o Options) withDefaults() Options {
	if o.UID == 0 && o.GID == 0 {
		o.UID, o.GID = uint32(os.Geteuid()), uint32(os.Getegid())
	}
	if o.Time.IsZero() {
		o.Time = time.Now()
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Helper == nil {
		o.Helper = &privileged.InProcess{}
	}
	return o
}

// Mount is a mounted file system. It is served until it is unmounted, by Unmount
// or by anyone else.
type Mount struct {
	dir    string
	id     privileged.MountID
	helper privileged.Helper
	work   *worktree // nil: not one
	cancel context.CancelFunc
	done   chan struct{}
	err    error // set before done is closed
	log    *slog.Logger
}

// mounting is what the kinds of mounts differ in.
type mounting struct {
	dir       string
	root      fs.InodeEmbedder
	rootAttr  fs.StableAttr
	readOnly  bool
	plainDir  bool               // no READDIRPLUS
	writeback bool               // the kernel may keep what is written for a while
	firstIno  uint64             // 0: go-fuse's
	cancel    context.CancelFunc // of the root's context
	finish    func() error       // called when nothing is served any more; may be nil
	work      *worktree          // nil: not one
}

// start mounts the file system and serves it until it is unmounted.
func (m mounting) start(opts Options) (*Mount, error) {
	err := checkFuse(opts.Helper)
	if err == nil {
		m.dir, err = privileged.RealPath(m.dir)
	}
	if err != nil {
		m.cancel()
		return nil, err
	}
	id, fuseFile, err := opts.Helper.Mount(privileged.MountSpec{
		Dir: m.dir, Owners: opts.Owners, ReadOnly: m.readOnly, AllowOther: opts.UID != uint32(os.Geteuid()),
		UID: os.Geteuid(), GID: os.Getegid(), MaxRead: maxWrite,
	})
	if err != nil {
		m.cancel()
		return nil, err
	}
	mnt := &Mount{dir: m.dir, id: id, helper: opts.Helper, work: m.work, cancel: m.cancel, done: make(chan struct{}), log: opts.Log}
	server, err := m.serverOn(fuseFile, opts)
	if err != nil {
		m.cancel()
		return nil, errors.Join(fmt.Errorf("mount %s: %w", m.dir, err), opts.Helper.Unmount(id, true))
	}
	go mnt.serve(server, m.finish)
	if err := server.WaitMount(); err != nil {
		return nil, errors.Join(fmt.Errorf("mount %s: %w", m.dir, err), mnt.Unmount())
	}
	if err := opts.Helper.Tune(id); err != nil {
		// The mount works all the same; scans and loads are slower.
		opts.Log.Info("the mount's part of the page cache is as the kernel has it", "dir", m.dir, "err", err)
	}
	if m.work != nil {
		m.work.bindWAL(mnt.id)
	}
	return mnt, nil
}

// serverOn makes go-fuse's server of a mount that was made, whose requests come from a file. It takes the file.
func (m mounting) serverOn(fuseFile *os.File, opts Options) (*fuse.Server, error) {
	fd, err := unix.FcntlInt(fuseFile.Fd(), unix.F_DUPFD_CLOEXEC, 0) // go-fuse closes a number, not a file
	if err = errors.Join(err, fuseFile.Close()); err != nil {
		return nil, err
	}
	fopts := m.fuseOptions(opts)
	server, err := fuse.NewServer(fs.NewNodeFS(m.root, fopts), fmt.Sprintf("/dev/fd/%d", fd), &fopts.MountOptions)
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return server, nil
}

// serve answers the kernel until the file system is unmounted.
func (m *Mount) serve(server *fuse.Server, finish func() error) {
	server.Serve()
	if finish != nil {
		m.err = finish()
	}
	m.cancel()
	m.helper.Release(m.id)
	close(m.done)
}

// fuseOptions gives go-fuse's options. The kernel checks permissions by the files' modes, and
// never drops cached contents by itself: nothing changes but through the kernel.
func (m mounting) fuseOptions(opts Options) *fs.Options {
	long := longTime
	o := fuse.MountOptions{
		FsName:                   privileged.FSName,
		Name:                     privileged.FSName,
		MaxWrite:                 maxWrite,
		MaxBackground:            maxBackground,
		DisableXAttrs:            true,
		DisableReadDirPlus:       m.plainDir,
		DisableSplice:            true, // answers are bytes in memory: a pipe would only be one more copy
		ExplicitDataCacheControl: true,
		Logger:                   slog.NewLogLogger(opts.Log.Handler(), slog.LevelWarn),
		PanicHandler: func(v any) fuse.Status {
			opts.Log.Error("panic in a file system call", "panic", v, "stack", string(debug.Stack()))
			return fuse.EIO
		},
	}
	if m.writeback {
		o.ExtraCapabilities = fuse.CAP_WRITEBACK_CACHE
	}
	return &fs.Options{
		MountOptions:      o,
		AttrTimeout:       &long, // names have theirs from each answer: a default would leave no way to say zero
		NegativeTimeout:   &long,
		NullPermissions:   true,
		FirstAutomaticIno: m.firstIno,
		RootStableAttr:    &m.rootAttr,
		Logger:            o.Logger,
	}
}

// checkFuse finds out whether this process can mount at all. The error of the attempt itself
// would not say what is missing.
func checkFuse(h privileged.Helper) error {
	if _, remote := h.(*privileged.Client); remote {
		return nil // it is not this process that mounts
	}
	if err := unix.Access("/dev/fuse", unix.R_OK|unix.W_OK); err != nil {
		return fmt.Errorf("use /dev/fuse: %w", err)
	}
	if os.Geteuid() == 0 {
		return nil
	}
	if _, err := exec.LookPath("fusermount3"); err != nil {
		return fmt.Errorf("mounting as an ordinary user needs fusermount3, of package fuse3: %w", err)
	}
	return nil
}

// Dir is the mount point.
func (m *Mount) Dir() string { return m.dir }

// Done is closed when the file system is unmounted and everything is put away.
func (m *Mount) Done() <-chan struct{} { return m.done }

// Wait waits until Done is closed. An error is about what could not be put away.
func (m *Mount) Wait() error {
	<-m.done
	return m.err
}
