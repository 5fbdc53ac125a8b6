package fusefs

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"zenith/internal/durable"
	"zenith/internal/pg"
	"zenith/internal/tree"
)

// walDir is where postgres has its WAL.
const walDir = "pg_wal"

// segments are the branch's WAL segments. pg_wal shows fewer than the branch has: at first those
// that the base shows and the last mount kept. Those that postgres removes or recycles stay in
// the branch and are only hidden.
type segments struct {
	dir    string // the branch's
	branch Branch
	spare  spares
	direct atomic.Pointer[boundWAL] // nil: pg_wal is served

	mu      sync.Mutex      // guards what follows
	visible []string        // the segments that pg_wal shows at the start
	floor   string          // position of the first of them; segments before it are history
	hidden  map[string]bool // segments that were removed or recycled on this mount
}

// position gives what orders segments: the name without its timeline.
func position(segment string) string { return segment[8:] }

// open finds out which segments pg_wal is to show, and copies those to the branch's directory
// that only the base has.
func (s *segments) open(ctx context.Context, branch Branch, base tree.Tree, kept *kept, need *needed) error {
	s.dir, s.branch, s.hidden = branch.WALDir(), branch, map[string]bool{}
	if err := s.removeTemps(); err != nil {
		return err
	}
	entries, err := base.ReadDir(ctx, walDir)
	if err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if e.Dir || !pg.IsWALSegmentName(e.Name) {
			continue
		}
		if err := s.take(ctx, e); err != nil {
			return fmt.Errorf("take %s from the base: %w", e.Name, err)
		}
		s.show(e.Name)
	}
	if err := s.showNeeded(need); err != nil {
		return err
	}
	for _, name := range kept.segments() {
		if _, err := os.Stat(filepath.Join(s.dir, name)); err == nil && pg.IsWALSegmentName(name) {
			s.show(name)
		}
	}
	branch.HoldWAL(s.holds)
	for _, name := range s.visible {
		if err := branch.PlainWAL(name); err != nil {
			return fmt.Errorf("take %s back: %w", name, err)
		}
	}
	return nil
}

// showNeeded adds the segments that the server is to find, up to those of the base: what is behind them
// is no part of the branch.
func (s *segments) showNeeded(need *needed) error {
	head := ""
	for _, name := range s.visible {
		head = max(head, position(name))
	}
	names, err := segmentsIn(s.dir)
	for _, name := range names {
		if position(name) < head && need.has(name) {
			s.show(name)
		}
	}
	return err
}

// removeTemps removes the unfinished files of a killed process of ours, and of its postgres.
func (s *segments) removeTemps() error {
	entries, err := os.ReadDir(s.dir)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "xlogtemp.") || durable.Leftover(e.Name()) {
			err = errors.Join(err, os.Remove(filepath.Join(s.dir, e.Name())))
		}
	}
	return err
}

// show adds a segment to those that pg_wal shows at the start. The base and what the last mount
// kept may both name it.
func (s *segments) show(name string) {
	if slices.Contains(s.visible, name) {
		return
	}
	s.visible = append(s.visible, name)
	if s.floor == "" || position(name) < s.floor {
		s.floor = position(name)
	}
}

// take copies a segment of the base to the branch's directory, if it is not there.
func (s *segments) take(ctx context.Context, e tree.Entry) error {
	path := filepath.Join(s.dir, e.Name)
	if _, err := os.Stat(path); err == nil || !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return durable.Replace(path, 0o600, func(f *os.File) error { return copyToDisk(ctx, e.File, f) })
}

// fromWAL adds the visible segments to found, if dir is pg_wal.
func (t *worktree) fromWAL(dir string, found map[string]child) error {
	if dir != walDir || t.scratch() || t.wal.bound() != nil {
		return nil
	}
	for _, name := range t.wal.visible {
		body, err := openOverlay(filepath.Join(t.wal.dir, name))
		if err != nil {
			return err
		}
		found[name] = t.newFile(kindSegment, body, t.newAttr(syscall.S_IFREG|0o600))
	}
	return nil
}

// create makes a segment, or a temporary file that will become one. It is empty. With zeros it may
// be the spare, which is full of zeros: that is no harm, for postgres begins by writing zeros.
func (s *segments) create(name string, zeros bool) (*overlay, error) {
	if s.bound() != nil {
		return nil, fmt.Errorf("make %s beside the directory that is bound to pg_wal: %w", name, ErrNotAllowed)
	}
	path := filepath.Join(s.dir, name)
	if pg.IsWALSegmentName(name) {
		if err := s.mayMake(name); err != nil {
			return nil, err
		}
		// A file of that name was never a part of the branch: it is WAL beyond the branch's end.
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	if _, err := os.Lstat(path); zeros && errors.Is(err, os.ErrNotExist) {
		if had, err := s.spare.take(path); had || err != nil {
			return &overlay{path: path, exists: true, size: s.spare.size}, err
		}
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return &overlay{path: path, exists: true}, f.Close()
}

// mayMake refuses to make a segment that is a part of the branch's history.
func (s *segments) mayMake(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if position(name) < s.floor || s.hidden[name] {
		return fmt.Errorf("segment %s is in the branch's history: %w", name, ErrNotAllowed)
	}
	return nil
}

// holds reports whether a server on the mount still has a segment in its pg_wal.
func (s *segments) holds(name string) bool {
	if b := s.bound(); b != nil {
		return b.holds(name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return position(name) >= s.floor && !s.hidden[name]
}

// hide notes that pg_wal does not show a segment any more; the branch keeps it.
func (s *segments) hide(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hidden[filepath.Base(path)] = true
}

func (s *segments) remove(path string) error { return os.Remove(path) }

// sync makes a segment, or a temporary file of WAL, durable, and tells the branch about a segment.
func (s *segments) sync(ctx context.Context, f *file, k *kind) error {
	s.branch.Throttle(ctx)
	if err := f.body.sync(); err != nil {
		return err
	}
	if name := filepath.Base(f.body.where()); k == kindSegment {
		s.branch.SegmentSynced(name, f.written.Load())
	}
	return nil
}

// SendWAL has the kernel send the WAL that was written to a working tree and that it has in its
// cache: the branch's directory has all of it then, durable or not.
func (m *Mount) SendWAL() error {
	if m.work == nil {
		return nil
	}
	return m.work.sendWAL()
}

// sendWAL is SendWAL. Only open files are asked for: the kernel has sent the others when they
// were closed. NotifyContent also drops the file from the kernel's cache, which is no loss.
func (t *worktree) sendWAL() error {
	if b := t.wal.bound(); b != nil {
		return b.adopt()
	}
	if t.scratch() || t.work.NoWriteback {
		return nil
	}
	for _, f := range t.openWAL() {
		switch err := f.NotifyContent(0, 0); err {
		case 0:
		case syscall.ENOENT, syscall.ENODEV, syscall.EBADF: // the kernel has nothing of the file any more, or the mount is gone
		default:
			return fmt.Errorf("have %s sent: %w", f.path(), err)
		}
	}
	return nil
}

// openWAL lists the files in pg_wal that are WAL and open. One that is being made is in the directory and open before
// go-fuse knows it: the kernel has nothing of it yet.
func (t *worktree) openWAL() (list []*file) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	d, ok := t.root.children[walDir].(*dir)
	if !ok {
		return nil
	}
	for _, c := range d.children {
		if f, ok := c.(*file); ok && f.known.Load() && f.kind().place == inWAL && f.body.used() {
			list = append(list, f)
		}
	}
	return list
}

// syncDir makes the names of the branch's segments durable.
func (s *segments) syncDir() error { return durable.SyncDir(s.dir) }

// renameWAL renames a file that is in the branch's WAL directory, or is to be.
//
// A new segment is made under a temporary name and renamed: that is a rename in the branch's
// directory, too. In all other cases, of which the usual is that postgres recycles an old segment
// as a new one, the file under the old name has to stay what it is, for the branch and for
// the processes that have it open; so another file takes the new name. The kernel takes that for
// the old file. So the old one cannot be opened any more (file.moved): the error has the kernel
// look the name up again, and find the new one.
func (t *worktree) renameWAL(ctx context.Context, m move, f *file, becomes *kind, replaces bool) error {
	if becomes == kindSegment {
		if replaces {
			return fmt.Errorf("segment %s is there: %w", m.newName, ErrNotAllowed)
		}
		if err := t.wal.mayMake(m.newName); err != nil {
			return err
		}
	}
	if f.kind() == kindWALTemp && becomes.place == inWAL {
		if err := f.body.rename(filepath.Join(t.wal.dir, m.newName)); err != nil {
			return err
		}
		f.setKind(becomes)
		m.apply(f)
		return nil
	}
	fresh, err := t.standIn(ctx, m, f, becomes)
	if err != nil {
		return err
	}
	if err := f.removed(m.oldPath); err != nil {
		return err
	}
	f.mu.Lock()
	f.moved = true
	f.mu.Unlock()
	m.apply(fresh)
	return nil
}

// standIn makes the file that takes f's new name: full of zeros if a segment becomes another
// segment, else a copy of f.
func (t *worktree) standIn(ctx context.Context, m move, f *file, becomes *kind) (*file, error) {
	a := t.madeAttr(ctx, syscall.S_IFREG|0o600)
	body := newOverlay(t.privatePath(a.ino), nil)
	if becomes.place == inWAL {
		var err error
		if body, err = t.wal.create(m.newName, f.kind() == kindSegment && becomes == kindSegment); err != nil {
			return nil, err
		}
	}
	fresh := t.newFile(becomes, body, a)
	err := errors.Join(f.body.acquire(), fresh.body.acquire())
	if err == nil && f.kind() == kindSegment && becomes == kindSegment {
		err = fresh.body.allocate(0, f.size(), false)
	} else if err == nil {
		err = copyBody(t.ctx, fresh.body, f.body)
	}
	return fresh, errors.Join(err, f.body.release(), fresh.body.release())
}

// copyBody writes the whole contents of from to another file.
func copyBody(ctx context.Context, to, from *overlay) error {
	p := make([]byte, fillChunk)
	for off := int64(0); ; {
		n, err := from.read(ctx, p, off)
		if err != nil || n == 0 {
			return err
		}
		if _, err := to.write(ctx, p[:n], off); err != nil {
			return err
		}
		off += int64(n)
	}
}

// copyToDisk writes a File's contents to a file that is open and empty.
func copyToDisk(ctx context.Context, from tree.File, to *os.File) error {
	p := make([]byte, fillChunk)
	for off := int64(0); off < from.Size(); {
		part := p[:min(int64(len(p)), from.Size()-off)]
		if err := tree.ReadFull(ctx, from, part, off); err != nil {
			return err
		}
		if _, err := to.Write(part); err != nil {
			return err
		}
		off += int64(len(part))
	}
	return nil
}
