package fusefs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"runtime/debug"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// fsName is the file system's name and type: mounts are listed by
// mount -t fuse.zenith.
const fsName = "zenith"

const (
	maxWrite      = 1 << 20 // bytes of a read or a write: the kernel's own limit
	maxBackground = 64      // read-ahead requests under way; go-fuse's 12 starve two scans
	longTime      = 24 * time.Hour
)

// Options are common to all mounts. The zero value works.
type Options struct {
	UID, GID uint32       // owner of the files; both 0: this process's
	Time     time.Time    // of the directories above All's states; zero: now
	Log      *slog.Logger // default: slog.Default()
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
	return o
}

// Mount is a mounted file system. It is served until it is unmounted, by Unmount
// or by anyone else.
type Mount struct {
	dir    string
	direct bool      // mounted by this process, not by fusermount3
	work   *worktree // nil: not one
	cancel context.CancelFunc
	done   chan struct{}
	err    error // set before done is closed

	connection string // the kernel's number for it; "" if it is not known
	log        *slog.Logger
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
	dir, err := checkMountPoint(m.dir)
	if err == nil {
		err = checkFuse()
	}
	if err != nil {
		m.cancel()
		return nil, err
	}
	fopts := m.fuseOptions(opts)
	var server *fuse.Server
	mount := func() (err error) {
		server, err = fuse.NewServer(fs.NewNodeFS(m.root, fopts), dir, &fopts.MountOptions)
		return err
	}
	if fopts.DirectMountStrict {
		err = withoutHeirs(mount)
	} else { // fusermount3 opens /dev/fuse, and go-fuse makes it close on exec
		err = mount()
	}
	if err != nil {
		m.cancel()
		return nil, fmt.Errorf("mount %s: %w", dir, err)
	}
	mnt := &Mount{dir: dir, direct: fopts.DirectMountStrict, work: m.work, cancel: m.cancel, done: make(chan struct{}), log: opts.Log}
	go mnt.serve(server, m.finish)
	if err := withoutForks(server.WaitMount); err != nil {
		return nil, errors.Join(fmt.Errorf("mount %s: %w", dir, err), mnt.Unmount())
	}
	if mnt.connection, err = connectionOf(dir); err != nil {
		opts.Log.Warn("the mount's connection is not known", "dir", dir, "err", err)
	}
	if mnt.direct {
		if err := setCacheLimits(dir); err != nil {
			// The mount works all the same; scans and loads are slower.
			opts.Log.Info("the mount's part of the page cache is as the kernel has it", "dir", dir, "err", err)
		}
	}
	if m.work != nil {
		m.work.bindWAL(dir)
	}
	return mnt, nil
}

// serve answers the kernel until the file system is unmounted.
func (m *Mount) serve(server *fuse.Server, finish func() error) {
	server.Serve()
	if finish != nil {
		m.err = finish()
	}
	m.cancel()
	close(m.done)
}

// fuseOptions gives go-fuse's options. The kernel checks permissions by the files' modes, and
// never drops cached contents by itself: nothing changes but through the kernel.
func (m mounting) fuseOptions(opts Options) *fs.Options {
	long := longTime
	root := os.Geteuid() == 0
	o := fuse.MountOptions{
		FsName:                   fsName,
		Name:                     fsName,
		Options:                  []string{"default_permissions"},
		AllowOther:               root,
		DirectMountStrict:        root,
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
	switch {
	case m.readOnly && root:
		o.DirectMountFlags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_RDONLY
	case m.readOnly:
		o.Options = append(o.Options, "ro")
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
func checkFuse() error {
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

// checkMountPoint gives the real path of a mount point. It refuses one that has a mount of this
// package's, dead or alive, and one that is not an empty directory.
func checkMountPoint(dir string) (string, error) {
	dir, err := realPath(dir)
	if err != nil {
		return "", err
	}
	mounts, err := mountsAt(dir)
	if err != nil {
		return "", err
	}
	for _, m := range mounts {
		if m.dead() {
			return "", fmt.Errorf("mount point %s: %w", dir, ErrStale)
		}
		if m.fsType == "fuse."+fsName {
			return "", fmt.Errorf("mount point %s has a mount already: %w", dir, ErrBusy)
		}
	}
	names, err := os.ReadDir(dir)
	if err != nil {
		return "", fmt.Errorf("mount point: %w", err)
	}
	if len(names) > 0 {
		return "", fmt.Errorf("mount point %s: %w", dir, ErrNotEmpty)
	}
	return dir, nil
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
