package fusefs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"zenith/internal/dirfd"
	"zenith/internal/durable"
	"zenith/internal/pg"
	"zenith/internal/privileged"
	"zenith/internal/tree"
	"zenith/internal/xlog"
)

// boundName is the directory, below a working tree's own, that is bound to its pg_wal.
const boundName = "pg_wal"

// boundWAL is pg_wal as an ordinary directory of the file system that the branch is on, bound
// into the mount: what a server writes and syncs there does not pass through this process. A
// segment is one file with two names, one in this directory and one in the branch's; the server
// may remove its own. It must not recycle it: the branch's file would become another segment.
//
// The server makes new segments. adopt gives them their names in the branch's directory, a little
// later but in time: the server removes no segment before a checkpoint is complete, and it writes
// that to pg_control, which is served, so that all segments are adopted before the write returns.
//
// The directory and the segments belong to this process, and to the group of the server's account, which
// may do with names in the directory what it likes: boundDir is how this process works there.
type boundWAL struct {
	dir    string // the directory that is bound
	to     string // the directory of the branch's segments
	opts   Options
	size   int    // of a segment
	from   pg.LSN // where the server's WAL begins: at the checkpoint from which it starts
	branch Branch
	spare  *spares

	mu     sync.Mutex // guards events; held while segments get names, too
	events *os.File   // inotify's, about dir; nil: not bound yet
	wg     sync.WaitGroup
}

// archiveStatus is the one directory that pg_wal has.
const archiveStatus = "archive_status"

// unfinished ends the name of the directory while it is made or removed: then it does not have all
// files that a server has left, or is to find.
const unfinished = ".unfinished"

// newBoundWAL makes the directory, with the files that the working tree would show in pg_wal.
func newBoundWAL(t *worktree) (_ *boundWAL, err error) {
	s := &t.wal
	dir := filepath.Join(t.work.Dir, boundName)
	b := &boundWAL{
		dir: dir + unfinished, to: s.dir, opts: t.opts, size: int(t.control.SegSize), from: t.control.CheckPoint,
		branch: s.branch, spare: &s.spare,
	}
	if err := os.RemoveAll(b.dir); err != nil {
		return nil, err
	}
	for _, dir := range []string{"", archiveStatus} {
		if err := b.make(t, dir); err != nil {
			return nil, err
		}
	}
	for _, name := range s.visible {
		if err := b.show(name); err != nil {
			return nil, err
		}
	}
	// From here on the server's account can write there.
	for _, dir := range []string{archiveStatus, "."} {
		if err := b.share(b.dir, dir, 0o770|iofs.ModeSetgid); err != nil {
			return nil, err
		}
	}
	// The server syncs pg_wal, but not the directory above it: it relies on that being durable.
	if err := durable.Rename(b.dir, dir); err != nil {
		return nil, err
	}
	b.dir = dir
	return b, nil
}

// make makes the directory that is called dir below pg_wal ("" for pg_wal), with the files that
// the base and the last mount have there; segments are not among them.
func (b *boundWAL) make(t *worktree, dir string) error {
	path := filepath.Join(b.dir, dir)
	if err := os.Mkdir(path, 0o700); err != nil {
		return err
	}
	shown := filepath.Join(walDir, dir)
	entries, err := t.base.ReadDir(t.ctx, shown)
	if err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return err
	}
	files := map[string]tree.File{}
	for _, e := range entries {
		if !e.Dir && !pg.IsWALSegmentName(e.Name) {
			files[e.Name] = e.File
		}
	}
	_, kept := t.kept.in(shown)
	for name, f := range kept {
		files[name] = f
	}
	for name, f := range files {
		err := makeFile(filepath.Join(path, name), f.Size() > 0, func(disk *os.File) error { return copyToDisk(t.ctx, f, disk) })
		if err = errors.Join(err, b.share(path, name, 0o660)); err != nil {
			return err
		}
	}
	return durable.SyncDir(path)
}

// makeFile makes the file at path, with what fill writes. An empty one has no contents to be made
// durable; there may be thousands of those.
func makeFile(path string, filled bool, fill func(*os.File) error) error {
	if filled {
		return durable.Create(path, 0o600, fill)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// share lets the server's account write a file of this process's, or a directory.
func (b *boundWAL) share(top, rel string, mode iofs.FileMode) error {
	return b.opts.Helper.Own(top, rel, privileged.Ownership{UID: os.Geteuid(), GID: int(b.opts.GID), Mode: mode})
}

// show gives a segment of the branch its name in the directory, for the server to write it.
func (b *boundWAL) show(name string) (err error) {
	if err := b.share(b.to, name, 0o660); err != nil {
		return err
	}
	branch, err := dirfd.Open(b.to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, branch.Close()) }()
	dir, err := dirfd.Open(b.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	return branch.LinkTo(name, dir, name)
}

// bind makes pg_wal of a mount show the directory, and begins to follow what is written
// to it. It ends with close.
func (b *boundWAL) bind(mnt privileged.MountID) error {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return fmt.Errorf("watch %s: %w", b.dir, err)
	}
	events := os.NewFile(uintptr(fd), "inotify")
	_, err = unix.InotifyAddWatch(fd, b.dir, unix.IN_MODIFY|unix.IN_CREATE|unix.IN_MOVED_TO|unix.IN_ONLYDIR)
	if err == nil {
		err = b.opts.Helper.Bind(mnt, b.dir, walDir)
	}
	if err != nil {
		return errors.Join(err, events.Close())
	}
	b.mu.Lock()
	b.events = events
	b.mu.Unlock()
	b.wg.Go(func() { b.follow(events) })
	return nil
}

// followPace is the least time between two looks at what the server wrote: however many writes
// there were in between, the kernel reports one event for a file.
const followPace = 10 * time.Millisecond

// follow tells the branch what the server writes, until close.
func (b *boundWAL) follow(events *os.File) {
	buf := make([]byte, 64<<10)
	for {
		n, err := events.Read(buf)
		if err != nil {
			if !errors.Is(err, os.ErrClosed) {
				b.opts.Log.Error("follow the WAL of a server", "dir", b.dir, "err", err)
			}
			return
		}
		if err := b.heed(buf[:n]); err != nil {
			b.opts.Log.Error("follow the WAL of a server", "dir", b.dir, "err", err) // the next event tries again
		}
		time.Sleep(followPace)
	}
}

// heed acts on events of inotify, in the kernel's form: new segments are adopted, and the branch
// is told how far the last one is written.
func (b *boundWAL) heed(events []byte) error {
	var made bool   // segments were made, or may have been
	var last string // the last segment that was written
	for len(events) >= unix.SizeofInotifyEvent {
		mask, length := binary.NativeEndian.Uint32(events[4:]), int(binary.NativeEndian.Uint32(events[12:]))
		name := string(bytes.TrimRight(events[unix.SizeofInotifyEvent:][:length], "\x00"))
		events = events[unix.SizeofInotifyEvent+length:]
		switch {
		case mask&unix.IN_Q_OVERFLOW != 0:
			made = true
		case !pg.IsWALSegmentName(name):
		case mask&unix.IN_MODIFY == 0:
			made = true
		case last == "" || position(name) > position(last):
			last = name
		}
	}
	if made {
		if err := b.adopt(); err != nil {
			return err
		}
	}
	if last == "" {
		return nil
	}
	tli, start, _ := xlog.ParseSegmentName(last, b.size)
	end, err := b.written(filepath.Join(b.to, last), start)
	if err != nil {
		return err
	}
	b.branch.SegmentSynced(last, end)
	if end <= int64(b.size)/2 {
		return nil
	}
	return b.prepare(xlog.SegmentName(tli, start+pg.LSN(b.size), b.size), end)
}

// prepare makes the spare the next segment, or has a spare made for that. The server uses a
// segment that it finds, as it does those that its checkpoints make in advance
// (PreallocXlogFiles). end is how far the segment before it is written.
func (b *boundWAL) prepare(next string, end int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, err := os.Lstat(filepath.Join(b.dir, next)); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	had, err := b.spare.take(filepath.Join(b.to, next))
	if err != nil || !had {
		b.spare.wrote(end)
		return err
	}
	err = errors.Join(durable.SyncDir(b.to), b.show(next))
	if errors.Is(err, os.ErrExist) {
		return nil // the server has made its own in the meantime, which will be adopted
	}
	return err
}

// adopt makes every segment of the server a segment of the branch, durably.
func (b *boundWAL) adopt() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	dir, err := openBound(b.dir, b.opts.Helper)
	if err != nil {
		return err
	}
	return errors.Join(dir.adopt(b.to), dir.Close())
}

// holds reports whether the server may still have a segment. It removes the oldest first, so it
// has none before the first that is there.
func (b *boundWAL) holds(name string) bool {
	names, err := segmentsIn(b.dir)
	return err != nil || len(names) == 0 || position(name) >= position(names[0])
}

// close ends the following and adopts the last segments. The directory must not be bound any
// more.
func (b *boundWAL) close() error {
	b.mu.Lock()
	events := b.events
	b.mu.Unlock()
	if events == nil {
		return nil
	}
	err := events.Close()
	b.wg.Wait()
	return errors.Join(err, b.adopt())
}

// saveOthers saves the state of archiving, as it is when the server has ended.
func (b *boundWAL) saveOthers(s *saved) error {
	dir, err := openBound(b.dir, b.opts.Helper)
	if err != nil {
		return err
	}
	return errors.Join(s.takeWAL(dir), dir.Close())
}

// written finds out how far the segment at path, which begins at start, is written, in bytes.
func (b *boundWAL) written(path string, start pg.LSN) (int64, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return int64(b.size), nil // it was full, and the branch did not need it any more
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return xlog.WrittenPages(f, start, b.size, b.from)
}

// bound gives the directory that is bound to pg_wal; nil: pg_wal is served like the rest.
func (s *segments) bound() *boundWAL { return s.direct.Load() }

// WALBound reports whether pg_wal is bound past the mount: see WorkOptions.BindWAL.
func (m *Mount) WALBound() bool { return m.work != nil && m.work.wal.bound() != nil }

// prepareBound makes the directory that bindWAL binds. If that fails, pg_wal is served.
func (t *worktree) prepareBound() {
	b, err := newBoundWAL(t)
	if err != nil {
		t.serveWAL(filepath.Join(t.work.Dir, boundName), err)
		return
	}
	t.wal.direct.Store(b)
}

// serveWAL removes a directory that could not be bound, and has pg_wal served: the mount works,
// but commits are slower.
func (t *worktree) serveWAL(dir string, why error) {
	t.opts.Log.Info("wal goes through the mount", "dir", dir, "err", errors.Join(why, removeBound(dir, t.opts.Helper)))
	t.wal.direct.Store(nil)
}

// bindWAL binds the directory that prepareBound made, into a mount.
func (t *worktree) bindWAL(mnt privileged.MountID) {
	b := t.wal.bound()
	if b == nil {
		return
	}
	if err := b.bind(mnt); err != nil {
		t.serveWAL(b.dir, err)
	}
}
