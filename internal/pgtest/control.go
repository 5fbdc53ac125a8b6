package pgtest

import (
	"os"
	"path/filepath"
	"testing"

	"zenith/internal/pg"
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
