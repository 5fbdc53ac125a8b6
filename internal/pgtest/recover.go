package pgtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// Recover is the oracle: what stock PostgreSQL makes of base, a cleanly stopped data
// directory, and the WAL that another run on a copy of it wrote. It copies base, gives
// the copy the WAL up to upTo (0: all of it), lets it recover, and stops it.
//
// Stock replay is deterministic to the byte, so the relations' and SLRUs' files of the
// result may be compared raw. Not comparable: *_fsm, pg_subtrans, pg_stat,
// pg_internal.init, pg_control, pg_wal, and unlogged relations, which are made anew.
func Recover(tb testing.TB, base *Server, wal WALDir, upTo pg.LSN) *Server {
	tb.Helper()
	s := base.Copy(tb)
	s.replaceWAL(tb, wal, upTo)
	s.needsRecovery(tb)
	s.Configure(tb, recoverConfig...)
	s.Start(tb)
	s.Stop(tb, Fast)
	if log := s.Log(tb); !strings.Contains(log, "redo done") && !strings.Contains(log, "redo is not required") {
		tb.Fatalf("the copy did not recover:\n%s", log)
	}
	return s
}

// recoverConfig has the settings under which no process but the startup process changes data.
var recoverConfig = []string{"autovacuum=off", "hot_standby=off", "max_logical_replication_workers=0"}

// replaceWAL replaces the directory's segments by those of wal, up to upTo: the rest of that segment is zeros,
// and later segments are left out.
func (s *Server) replaceWAL(tb testing.TB, wal WALDir, upTo pg.LSN) {
	tb.Helper()
	if upTo == 0 {
		upTo = ^pg.LSN(0)
	}
	s.putWAL(tb, wal, 0, upTo)
	entries, err := os.ReadDir(filepath.Join(s.Dir, "pg_wal"))
	if err != nil {
		tb.Fatal(err)
	}
	for _, e := range entries {
		if _, start, ok := xlog.ParseSegmentName(e.Name(), wal.SegSize); ok && start >= upTo {
			if err := os.Remove(filepath.Join(s.Dir, "pg_wal", e.Name())); err != nil {
				tb.Fatal(err)
			}
		}
	}
}

// putWAL copies the segments of wal that have WAL between from and upTo, cut at upTo.
func (s *Server) putWAL(tb testing.TB, wal WALDir, from, upTo pg.LSN) {
	tb.Helper()
	entries, err := os.ReadDir(wal.Dir)
	if err != nil {
		tb.Fatal(err)
	}
	for _, e := range entries {
		_, start, ok := xlog.ParseSegmentName(e.Name(), wal.SegSize)
		if !ok || start >= upTo || start+pg.LSN(wal.SegSize) <= from {
			continue
		}
		b, err := os.ReadFile(filepath.Join(wal.Dir, e.Name()))
		if err != nil {
			tb.Fatal(err)
		}
		if upTo-start < pg.LSN(len(b)) {
			clear(b[upTo-start:])
		}
		s.writeSegment(tb, e.Name(), b)
	}
}

// writeSegment writes a segment file into pg_wal.
func (s *Server) writeSegment(tb testing.TB, name string, b []byte) {
	tb.Helper()
	path := filepath.Join(s.Dir, "pg_wal", name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		tb.Fatal(err)
	}
	uid, gid := Owner(tb)
	if err := os.Chown(path, uid, gid); err != nil {
		tb.Fatal(err)
	}
}
