package walredo

import (
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"zenith/internal/pgtest"
)

var points = flag.Int("points", 1, "at how many record boundaries TestOracleBusy compares before the end")

// TestOracleBusy runs clients of many kinds at once, autovacuum among them, through the
// oracle: transactions, locks, relations and databases that come and go. Once with redo
// functions alone, once with page images, compressed, and hints in the WAL.
func TestOracleBusy(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	for name, config := range map[string][]string{
		"deltas": {"full_page_writes=off", "track_commit_timestamp=on"},
		"images": {"full_page_writes=on", "wal_log_hints=on", "wal_compression=zstd", "wal_level=logical"},
	} {
		t.Run(name, func(t *testing.T) {
			base := pgtest.Init(t, pgtest.Options{
				InitArgs: []string{"--wal-segsize=16"},
				Config:   append(config, "wal_keep_size='10GB'", "max_prepared_transactions=1000", "deadlock_timeout='20ms'"),
			})
			base.Start(t)
			psql(t, base, string(busyScript(t, "init.sql")))
			base.Stop(t, pgtest.Fast)
			consultAt(t, base, busyLoad(t), *points)
		})
	}
}

// busyLoad runs the scripts side by side. Errors of single transactions (deadlocks,
// objects in use) are part of the load.
func busyLoad(t *testing.T) func(srv *pgtest.Server) {
	return func(srv *pgtest.Server) {
		srv.Psql(t, "ALTER SYSTEM SET autovacuum = on; ALTER SYSTEM SET autovacuum_naptime = 1; SELECT pg_reload_conf()")
		var wg sync.WaitGroup
		for script, clients := range map[string]string{"locks.sql": "4", "tpc.sql": "3", "ddl.sql": "1"} {
			path := filepath.Join(srv.Socket, script)
			if err := os.WriteFile(path, busyScript(t, script), 0o644); err != nil {
				t.Fatal(err)
			}
			wg.Go(func() {
				cmd := srv.Client(t, "pgbench", "-n", "-f", path, "-c", clients, "-T", strconv.Itoa(*loadSeconds), "--max-tries=10", "postgres")
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Logf("pgbench %s: %v\n%s", script, err, out)
				}
			})
		}
		wg.Wait()
	}
}

func busyScript(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "busy", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
