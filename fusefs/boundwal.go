package fusefs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"zenith/internal/durable"
	"zenith/internal/pg"
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
type boundWAL struct {
	dir    string // the directory that is bound
	to     string // the directory of the branch's segments
	opts   Options
	size   int // of a segment
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

// removeBound removes a directory that was bound, and what is in it.
func removeBound(dir string) error {
	if err := os.RemoveAll(dir + unfinished); err != nil {
		return err
	}
	if err := durable.Rename(dir, dir+unfinished); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.RemoveAll(dir + unfinished)
}

// newBoundWAL makes the directory, with the files that the working tree would show in pg_wal.
func newBoundWAL(t *worktree) (*boundWAL, error) {
	s := &t.wal
	dir := filepath.Join(t.work.Dir, boundName)
	b := &boundWAL{
		dir: dir + unfinished, to: s.dir, opts: t.opts, size: int(t.control.SegSize),
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
		path := filepath.Join(b.to, name)
		if err := errors.Join(b.own(path), os.Link(path, filepath.Join(b.dir, name))); err != nil {
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
	if err := errors.Join(os.Mkdir(path, 0o700), b.own(path)); err != nil {
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
		to := filepath.Join(path, name)
		err := makeFile(to, f.Size() > 0, func(disk *os.File) error { return copyToDisk(t.ctx, f, disk) })
		if err = errors.Join(err, b.own(to)); err != nil {
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

// othersIn lists the files of the pg_wal at wal that are neither segments nor unfinished, by their
// paths in it.
func othersIn(wal string) (paths []string, err error) {
	for _, dir := range []string{"", archiveStatus} {
		entries, err := os.ReadDir(filepath.Join(wal, dir))
		if err != nil && !errors.Is(err, iofs.ErrNotExist) {
			return nil, err
		}
		for _, e := range entries {
			if e.Type().IsRegular() && !pg.IsWALSegmentName(e.Name()) && !strings.HasPrefix(e.Name(), "xlogtemp.") {
				paths = append(paths, filepath.Join(dir, e.Name()))
			}
		}
	}
	return paths, nil
}

// own gives a file to the user who runs the server.
func (b *boundWAL) own(path string) error {
	return os.Chown(path, int(b.opts.UID), int(b.opts.GID))
}

// bind makes pg_wal of the mount at mnt show the directory, and begins to follow what is written
// to it. It ends with close.
func (b *boundWAL) bind(mnt string) error {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return fmt.Errorf("watch %s: %w", b.dir, err)
	}
	events := os.NewFile(uintptr(fd), "inotify")
	_, err = unix.InotifyAddWatch(fd, b.dir, unix.IN_MODIFY|unix.IN_CREATE|unix.IN_MOVED_TO|unix.IN_ONLYDIR)
	if err == nil {
		err = bindMount(b.dir, filepath.Join(mnt, walDir))
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

// bindMount makes the directory at show what is in dir.
func bindMount(dir, at string) error {
	if err := unix.Mount(dir, at, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s to %s: %w", dir, at, err)
	}
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
	end, err := written(filepath.Join(b.dir, last), start, b.size)
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
	path := filepath.Join(b.to, next)
	had, err := b.spare.take(path)
	if err != nil || !had {
		b.spare.wrote(end)
		return err
	}
	if err := errors.Join(b.own(path), durable.SyncDir(b.to)); err != nil {
		return err
	}
	err = os.Link(path, filepath.Join(b.dir, next))
	if errors.Is(err, os.ErrExist) {
		return nil // the server has made its own in the meantime, which will be adopted
	}
	return err
}

// adopt makes every segment of the server a segment of the branch, durably.
func (b *boundWAL) adopt() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return adopt(b.dir, b.to)
}

// segmentsIn lists the segments in a directory.
func segmentsIn(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if pg.IsWALSegmentName(e.Name()) {
			names = append(names, e.Name())
		}
	}
	return names, err
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

// AdoptWAL takes over the segments, and the state of archiving, that a server wrote to a bound pg_wal after the process that
// served the mount was killed: see WorkOptions.BindWAL. workDir is the mount's WorkOptions.Dir,
// walDir the directory of the branch's segments. No server may be running on the mount any more.
func AdoptWAL(workDir, walDir string) error {
	dir := filepath.Join(workDir, boundName)
	if _, err := os.Lstat(dir); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err := adopt(dir, walDir); err != nil {
		return fmt.Errorf("take wal from %s: %w", dir, err)
	}
	if err := savedIn(workDir).takeWAL(dir); err != nil {
		return fmt.Errorf("take the state of archiving from %s: %w", dir, err)
	}
	return removeBound(dir)
}

// adopt gives each segment in dir a second name in the directory to, and makes the names durable.
func adopt(dir, to string) error {
	names, err := segmentsIn(dir)
	if err != nil {
		return err
	}
	made := false
	for _, name := range names {
		did, err := adoptSegment(filepath.Join(dir, name), to)
		if err != nil {
			return err
		}
		made = made || did
	}
	if !made {
		return nil
	}
	return durable.SyncDir(to)
}

// adoptSegment gives a segment its name in the directory to; made is false if it had it. Another
// file of that name is replaced: it was never a part of the branch, but WAL beyond its end, or a
// spare that the server did not use.
func adoptSegment(path, to string) (made bool, err error) {
	name := filepath.Join(to, filepath.Base(path))
	err = os.Link(path, name)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil // the server removed it just now, so it had been adopted
	}
	if !errors.Is(err, os.ErrExist) {
		return err == nil, err
	}
	ours, err := os.Stat(name)
	if err != nil {
		return false, err
	}
	servers, err := os.Stat(path)
	if err != nil || os.SameFile(ours, servers) {
		if errors.Is(err, os.ErrNotExist) {
			err = nil
		}
		return false, err
	}
	temp := filepath.Join(to, adoptName)
	if err := os.Remove(temp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return false, err
	}
	if err := os.Link(path, temp); err != nil {
		return false, err
	}
	return true, os.Rename(temp, name)
}

// written finds out how far the segment at path, which begins at start, is written, in bytes.
func written(path string, start pg.LSN, size int) (int64, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return int64(size), nil // the server has removed it, so it was full
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return xlog.WrittenPages(f, start, size)
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
	t.opts.Log.Info("wal goes through the mount", "dir", dir, "err", errors.Join(why, removeBound(dir)))
	t.wal.direct.Store(nil)
}

// bindWAL binds the directory that prepareBound made, into the mount at mnt.
func (t *worktree) bindWAL(mnt string) {
	b := t.wal.bound()
	if b == nil {
		return
	}
	if err := b.bind(mnt); err != nil {
		t.serveWAL(b.dir, err)
	}
}
