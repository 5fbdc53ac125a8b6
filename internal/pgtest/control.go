package pgtest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

func (s *Server) controlPath() string { return filepath.Join(s.Dir, "global", "pg_control") }

// Control reads the server's pg_control, whether the server runs or not.
func (s *Server) Control(tb testing.TB) *pg.ControlFile {
	tb.Helper()
	b, err := os.ReadFile(s.controlPath())
	if err != nil {
		tb.Fatal(err)
	}
	c, err := pg.ParseControlFile(b)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// SetCounters changes what the stopped server's next start begins with (the next transaction id and so on), as
// pg_resetwal does, which not every installation has: it writes another shutdown checkpoint behind the last one.
// That the SLRUs have the pages of the new counters is the caller's business.
func (s *Server) SetCounters(tb testing.TB, change func(cp *pg.CheckPoint)) {
	tb.Helper()
	c, wal := s.Control(tb), s.WAL(tb)
	var last xlog.Record
	if err := wal.Reader(c.CheckPoint).Next(&last); err != nil {
		tb.Fatalf("read the last checkpoint of %s: %v", s.Dir, err)
	}
	change(&c.CheckPointCopy)
	patches, _ := xlog.ShutdownCheckpoint(last.EndLSN, last.StartLSN, &c.CheckPointCopy,
		xlog.Config{Version: c.Version, SegSize: int(c.SegSize), SysID: c.SystemID})
	c.CheckPoint = c.CheckPointCopy.Redo
	for _, p := range patches {
		s.patchWAL(tb, wal, p)
	}
	if err := os.WriteFile(s.controlPath(), c.Encode(), 0o600); err != nil {
		tb.Fatal(err)
	}
}

// patchWAL writes a piece of WAL into its segment, which it makes if need be.
func (s *Server) patchWAL(tb testing.TB, wal WALDir, p xlog.Patch) {
	tb.Helper()
	name := xlog.SegmentName(wal.TLI, p.At, wal.SegSize)
	b := make([]byte, wal.SegSize)
	old, err := os.ReadFile(filepath.Join(wal.Dir, name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		tb.Fatal(err)
	}
	copy(b, old)
	copy(b[int(p.At)%wal.SegSize:], p.Bytes)
	s.writeSegment(tb, name, b)
}

// needsRecovery makes a cleanly stopped data directory look crashed, so that the next
// start replays the WAL behind its last checkpoint.
func (s *Server) needsRecovery(tb testing.TB) {
	tb.Helper()
	c := s.Control(tb)
	c.State = pg.DBInProduction
	if err := os.WriteFile(s.controlPath(), c.Encode(), 0o600); err != nil {
		tb.Fatal(err)
	}
}
