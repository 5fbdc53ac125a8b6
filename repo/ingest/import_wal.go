package ingest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"zenith/internal/durable"
	"zenith/internal/pg"
	"zenith/internal/xlog"
	"zenith/repo"
)

// stoppedWAL is the pg_wal of a stopped server, as an xlog.Source.
type stoppedWAL struct {
	dir     string
	tli     pg.TLI
	segSize int
}

func (s stoppedWAL) path(at pg.LSN) string {
	return filepath.Join(s.dir, xlog.SegmentName(s.tli, at, s.segSize))
}

// ReadWAL implements xlog.Source.
func (s stoppedWAL) ReadWAL(p []byte, at pg.LSN) (int, error) {
	f, err := os.Open(s.path(at))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, io.EOF
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	n, err := f.ReadAt(p, int64(at)%int64(s.segSize))
	if n > 0 {
		err = nil
	}
	return n, err
}

// shutdownEnd reads the record of the shutdown checkpoint that pg_control names, and tells
// where it ends.
func (s stoppedWAL) shutdownEnd(c *pg.ControlFile) (pg.LSN, error) {
	var rec xlog.Record
	r := xlog.NewReader(s, xlog.Config{Version: c.Version, SegSize: s.segSize, SysID: c.SystemID, TLI: s.tli}, c.CheckPoint)
	if err := r.Next(&rec); err != nil {
		if errors.Is(err, io.EOF) {
			err = r.EndReason()
		}
		return 0, fmt.Errorf("read the last checkpoint's record at %v in %s: %v: %w", c.CheckPoint, s.path(c.CheckPoint), err, ErrDamaged)
	}
	shutdown, ok := rec.IsCheckpoint()
	if !ok || !shutdown || rec.StartLSN != c.CheckPoint {
		return 0, fmt.Errorf("the record at %v is not the shutdown checkpoint that pg_control knows: %w", c.CheckPoint, ErrDamaged)
	}
	if cp, err := xlog.ParseCheckPoint(&rec); err != nil || cp != c.CheckPointCopy {
		return 0, fmt.Errorf("the checkpoint at %v is not what pg_control says: %w", c.CheckPoint, ErrDamaged)
	}
	return rec.EndLSN, nil
}

// copyTo puts the WAL from the segment of start on, up to end, into the timeline: zeros
// follow.
func (s stoppedWAL) copyTo(tl *repo.Timeline, start, end pg.LSN) error {
	size := pg.LSN(s.segSize)
	for at := start &^ (size - 1); at < end; at += size {
		if err := s.copySegment(tl, at, min(end-at, size)); err != nil {
			return fmt.Errorf("copy wal: %w", err)
		}
	}
	return durable.SyncDir(tl.WALDir())
}

func (s stoppedWAL) copySegment(tl *repo.Timeline, at, n pg.LSN) error {
	content := make([]byte, n)
	from, err := os.Open(s.path(at))
	if err != nil {
		return err
	}
	defer from.Close()
	if _, err := io.ReadFull(from, content); err != nil {
		return fmt.Errorf("read %s: %w", from.Name(), err)
	}
	return durable.Create(tl.SegmentPath(at), 0o600, func(to *os.File) error {
		if _, err := to.Write(content); err != nil {
			return err
		}
		return to.Truncate(int64(s.segSize))
	})
}
