package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"zenith/internal/pgtest"
)

// TestFastCheckpoint: a base backup whose client asks for a fast checkpoint begins near the head, though the server on
// the branch has not written one for long; one that does not ask begins at the last checkpoint.
func TestFastCheckpoint(t *testing.T) {
	t.Parallel()
	s := newSite(t, "--listen", "127.0.0.1:0", "--auth", "trust")
	main := s.start("main")
	s.sql(main, "CREATE TABLE t (a int)", "CREATE ROLE other SUPERUSER LOGIN")
	s.ok("pg", "stop", "main") // the next start lets the owner in as the new role, too
	main = s.start("main")
	for range 18 { // of 16 MiB each
		s.sql(main, "INSERT INTO t VALUES (1)", "SELECT pg_switch_wal()")
	}
	behind := func(checkpoint string) string {
		dir := filepath.Join(pgtest.TempDir(t), "data")
		said := s.asOwner("pg_basebackup", "-d", s.replication("main"), "-D", dir, "-X", "none", "-c", checkpoint)
		label, err := os.ReadFile(filepath.Join(dir, "backup_label"))
		if err != nil {
			t.Fatal(err)
		}
		at := strings.Fields(strings.TrimPrefix(string(label), "START WAL LOCATION: "))[0]
		return s.sql(main, "SELECT pg_current_wal_lsn() - '"+at+"' > 256 * 1024 * 1024") + strings.TrimSpace(said)
	}
	if got := behind("spread"); !strings.HasPrefix(got, "t") {
		t.Errorf("a spread checkpoint was asked for: is it far behind? %q", got)
	}
	if got := behind("fast"); got != "f" {
		t.Errorf("a fast checkpoint was asked for: is it far behind? %q", got)
	}
	for range 18 {
		s.sql(main, "INSERT INTO t VALUES (1)", "SELECT pg_switch_wal()")
	}
	s.sql(main, "ALTER ROLE postgres NOLOGIN") // the page server's login is refused
	main = strings.Replace(main, "postgres@", "other@", 1)
	if got := behind("fast"); !strings.HasPrefix(got, "t") || !strings.Contains(got, "there is no newer one") {
		t.Errorf("a checkpoint cannot be asked for: %q", got)
	}
}
