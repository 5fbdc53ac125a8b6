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
	s.Configure(tb, "autovacuum=off", "hot_standby=off", "max_logical_replication_workers=0")
	s.Start(tb)
	s.Stop(tb, Fast)
	if log := s.Log(tb); !strings.Contains(log, "redo done") && !strings.Contains(log, "redo is not required") {
		tb.Fatalf("the copy did not recover:\n%s", log)
	}
	return s
}

// replaceWAL puts the segments of wal in place of the directory's own, cut at upTo:
// zeros follow in its segment, and later ones are left out.
func (s *Server) replaceWAL(tb testing.TB, wal WALDir, upTo pg.LSN) {
	tb.Helper()
	entries, err := os.ReadDir(wal.Dir)
	if err != nil {
		tb.Fatal(err)
	}
	uid, gid := Owner(tb)
	for _, e := range entries {
		_, start, ok := xlog.ParseSegmentName(e.Name(), wal.SegSize)
		if !ok {
			continue
		}
		to := filepath.Join(s.Dir, "pg_wal", e.Name())
		if upTo != 0 && start >= upTo {
			if err := os.RemoveAll(to); err != nil {
				tb.Fatal(err)
			}
			continue
		}
		b, err := os.ReadFile(filepath.Join(wal.Dir, e.Name()))
		if err != nil {
			tb.Fatal(err)
		}
		if upTo != 0 && start+pg.LSN(len(b)) > upTo {
			clear(b[upTo-start:])
		}
		if err := os.WriteFile(to, b, 0o600); err != nil {
			tb.Fatal(err)
		}
		if err := os.Chown(to, uid, gid); err != nil {
			tb.Fatal(err)
		}
	}
}
