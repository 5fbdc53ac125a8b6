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

var loadSeconds = flag.Int("load", 3, "how long the oracle's loads keep a server busy, in seconds")

// TestOracleLoad runs many clients at once against a table with btree, hash, BRIN and
// bloom indexes, with VACUUM and checkpoints beside them, through the oracle: what only
// happens under concurrency (splits finished by others, tuples killed under a scan, pages
// that VACUUM and insertion fight over), and page images in the midst of it.
func TestOracleLoad(t *testing.T) { testLoad(t, "load", "pglz") }

// TestOracleTrees does the same to GIN, GiST and SP-GiST indexes: pending lists that are
// cleaned up under insertion, splits finished by others, tuples killed under a scan,
// redirections.
func TestOracleTrees(t *testing.T) { testLoad(t, "trees", "lz4") }

// testLoad puts the load in a directory of testdata through the oracle, once without page
// images and once with compressed ones.
func testLoad(t *testing.T, dir, compression string) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	for name, config := range map[string][]string{
		"deltas": {"full_page_writes=off"},
		"images": {"full_page_writes=on", "wal_compression=" + compression},
	} {
		t.Run(name, func(t *testing.T) {
			base := pgtest.Init(t, pgtest.Options{
				InitArgs: []string{"--wal-segsize=16", "--data-checksums"},
				Config: append(config, "max_wal_size='100GB'", "wal_keep_size='10GB'",
					"enable_seqscan=off", "enable_bitmapscan=off"),
			})
			base.Start(t)
			base.Psql(t, string(loadScript(t, dir, "init.sql")))
			base.Stop(t, pgtest.Fast)
			consult(t, base, busyClients(t, dir))
		})
	}
}

// busyClients runs the load's scripts side by side.
func busyClients(t *testing.T, dir string) func(srv *pgtest.Server) {
	return func(srv *pgtest.Server) {
		var wg sync.WaitGroup
		for script, clients := range map[string]string{"work.sql": "6", "vacuum.sql": "1"} {
			path := filepath.Join(srv.Socket, script)
			if err := os.WriteFile(path, loadScript(t, dir, script), 0o644); err != nil {
				t.Error(err)
				return
			}
			wg.Go(func() {
				// Deadlocks of some clients are part of the load.
				out, err := srv.Client(t, "pgbench", "-n", "-f", path, "-c", clients,
					"-T", strconv.Itoa(*loadSeconds), "--max-tries=5", "postgres").CombinedOutput()
				if err != nil {
					t.Errorf("pgbench %s: %v\n%s", script, err, out)
				}
			})
		}
		wg.Wait()
	}
}

func loadScript(t *testing.T, dir, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
