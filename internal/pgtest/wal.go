package pgtest

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// WALDir is a directory of WAL segments of one timeline, as an xlog.Source.
type WALDir struct {
	Version *pg.Version
	Dir     string
	TLI     pg.TLI
	SegSize int
}

// WAL gives the server's pg_wal.
func (s *Server) WAL(tb testing.TB) WALDir {
	tb.Helper()
	c := s.Control(tb)
	return WALDir{Version: c.Version, Dir: filepath.Join(s.Dir, "pg_wal"), TLI: c.CheckPointCopy.ThisTLI, SegSize: int(c.SegSize)}
}

// ReadWAL implements xlog.Source. It opens the segment anew for each call: tests read each part of WAL once.
func (d WALDir) ReadWAL(p []byte, at pg.LSN) (int, error) {
	f, err := os.Open(filepath.Join(d.Dir, xlog.SegmentName(d.TLI, at, d.SegSize)))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, io.EOF
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	n, err := f.ReadAt(p, int64(at)%int64(d.SegSize))
	if n > 0 {
		err = nil
	}
	return n, err
}

// Reader reads the records from start on, which is the end of a record.
func (d WALDir) Reader(start pg.LSN) *xlog.Reader {
	return xlog.NewReader(d, xlog.Config{Version: d.Version, SegSize: d.SegSize, TLI: d.TLI}, start)
}
