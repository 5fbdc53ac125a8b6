package receiver

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"zenith/internal/durable"
	"zenith/internal/pg"
	"zenith/internal/xlog"
	"zenith/repo"
)

// Segments writes a stream of WAL into a timeline's segment files. One goroutine writes; one
// syncs.
type Segments struct {
	tl   *repo.Timeline
	size pg.LSN

	mu      sync.Mutex
	cur     *os.File
	at      pg.LSN     // the first LSN of cur
	full    []*os.File // segments that are written to their ends and not synced yet
	made    bool       // a file was made whose name is not durable yet
	written pg.LSN     // the end of what was written
	dirty   bool       // something was written since the last sync
}

// NewSegments makes the Segments for a stream of WAL that begins at from. The caller closes them.
func NewSegments(tl *repo.Timeline, from pg.LSN) *Segments {
	return &Segments{tl: tl, size: pg.LSN(tl.Info().SegSize), written: from}
}

// Write writes data, which is the WAL from at on.
func (s *Segments) Write(at pg.LSN, data []byte) error {
	for len(data) > 0 {
		f, err := s.open(at &^ (s.size - 1))
		if err != nil {
			return fmt.Errorf("write wal: %w", err)
		}
		off := at & (s.size - 1)
		n := min(len(data), int(s.size-off))
		if _, err := f.WriteAt(data[:n], int64(off)); err != nil {
			return fmt.Errorf("write wal: %w", err)
		}
		at, data = at+pg.LSN(n), data[n:]
		s.mu.Lock()
		s.written, s.dirty = at, true
		s.mu.Unlock()
	}
	return nil
}

// open gives the segment that begins at start, made of zeros if it is new.
func (s *Segments) open(start pg.LSN) (*os.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cur != nil && s.at == start {
		return s.cur, nil
	}
	f, err := os.OpenFile(s.tl.SegmentPath(start), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && info.Size() < int64(s.size) {
		s.made = true
		err = f.Truncate(int64(s.size))
	}
	if err == nil {
		err = s.fill(f, start)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if s.cur != nil {
		s.full = append(s.full, s.cur)
	}
	s.cur, s.at = f, start
	return f, nil
}

// Written gives the end of the WAL that was written, durable or not.
func (s *Segments) Written() pg.LSN {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.written
}

// fill copies the WAL before the branch point, which is the ancestor's, to a branch's first
// segment. This program reads it from the ancestor, but a server that writes the branch needs
// whole segments.
func (s *Segments) fill(f *os.File, start pg.LSN) error {
	parent, at := s.tl.Ancestor()
	if parent == nil || start >= at {
		return nil
	}
	buf := make([]byte, 256<<10)
	for lsn := start; lsn < at; {
		part := buf[:min(int(at-lsn), len(buf))]
		if err := xlog.ReadFull(s.tl.WAL(), part, lsn); err != nil {
			return err
		}
		if _, err := f.WriteAt(part, int64(lsn-start)); err != nil {
			return err
		}
		lsn += pg.LSN(len(part))
	}
	return nil
}

// Sync makes durable what was written before the call, and gives the end of that.
func (s *Segments) Sync() (pg.LSN, error) {
	s.mu.Lock()
	files, done, made, upTo, dirty := append([]*os.File(nil), s.full...), len(s.full), s.made, s.written, s.dirty
	if s.cur != nil {
		files = append(files, s.cur)
	}
	s.full, s.made, s.dirty = nil, false, false
	s.mu.Unlock()
	if !dirty {
		return upTo, nil
	}
	var err error
	for i, f := range files {
		err = errors.Join(err, durable.SyncData(f))
		if i < done {
			err = errors.Join(err, f.Close())
		}
	}
	if made {
		err = errors.Join(err, durable.SyncDir(s.tl.WALDir()))
	}
	if err != nil {
		return 0, fmt.Errorf("sync wal: %w", err)
	}
	return upTo, nil
}

// Close closes the files. What was not synced may be lost: nobody was told about it.
func (s *Segments) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	for _, f := range s.full {
		err = errors.Join(err, f.Close())
	}
	if s.cur != nil {
		err = errors.Join(err, s.cur.Close())
	}
	s.full, s.cur = nil, nil
	return err
}
