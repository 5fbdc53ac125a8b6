package walredo

import (
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"zenith/internal/pgtest"
)

// TestOracleTrees runs many clients at once against a table with GIN, GiST and SP-GiST
// indexes, with VACUUM and checkpoints beside them, through the oracle: pending lists that
// are cleaned up under insertion, splits finished by others, tuples killed under a scan,
// redirections, and page images in the midst of all that.
func TestOracleTrees(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	for name, config := range map[string][]string{
		"deltas": {"full_page_writes=off"},
		"images": {"full_page_writes=on", "wal_compression=lz4"},
	} {
		t.Run(name, func(t *testing.T) {
			base := pgtest.Init(t, pgtest.Options{
				InitArgs: []string{"--wal-segsize=16", "--data-checksums"},
				Config: append(config, "max_wal_size='100GB'", "wal_keep_size='10GB'",
					"enable_seqscan=off", "enable_bitmapscan=off"),
			})
			base.Start(t)
			base.Psql(t, string(treesScript(t, "init.sql")))
			base.Stop(t, pgtest.Fast)
			consult(t, base, treesLoad(t))
		})
	}
}

// treesLoad runs the scripts side by side.
func treesLoad(t *testing.T) func(srv *pgtest.Server) {
	return func(srv *pgtest.Server) {
		var wg sync.WaitGroup
		for script, clients := range map[string]string{"work.sql": "6", "vacuum.sql": "1"} {
			path := filepath.Join(srv.Socket, script)
			if err := os.WriteFile(path, treesScript(t, script), 0o644); err != nil {
				t.Error(err)
				return
			}
			wg.Go(func() {
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

func treesScript(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "trees", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
