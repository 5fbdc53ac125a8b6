package rmgrdesc_test

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"zenith/internal/pg"
	"zenith/internal/pgtest"
	"zenith/internal/rmgrdesc"
	"zenith/internal/xlog"
	"zenith/walredo"
)

// zone is one in which no programmer lives by accident.
const zone = "Asia/Kathmandu"

// TestServer compares what we and pg_waldump say of the WAL of a server that has done
// one of everything.
func TestServer(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a server")
	}
	load, err := os.ReadFile("testdata/load.sql")
	if err != nil {
		t.Fatal(err)
	}
	srv := pgtest.Init(t, pgtest.Options{
		InitArgs: []string{"--wal-segsize=1", "--data-checksums"},
		Config: []string{
			"wal_level=logical", "wal_keep_size=10GB", "max_prepared_transactions=10",
			"track_commit_timestamp=on", "allow_in_place_tablespaces=on",
		},
	})
	start := srv.Control(t).CheckPointCopy.Redo
	srv.Start(t)
	srv.Psql(t, string(load))
	srv.Stop(t, pgtest.Immediate)
	srv.Configure(t, "max_connections=50", "wal_level=replica", "wal_compression=lz4", "wal_consistency_checking=all")
	srv.Start(t)
	srv.Psql(t, "UPDATE t SET b = b + 1; INSERT INTO g SELECT i, ARRAY[1, i] FROM generate_series(1, 3000) i; DELETE FROM g; VACUUM; CREATE TABLE z(i int)")
	srv.Stop(t, pgtest.Fast)

	seen := compare(t, srv.WAL(t), start)
	if seen.records < 100_000 || len(seen.ops) < 100 {
		t.Errorf("%d records of %d operations are less than the load makes", seen.records, len(seen.ops))
	}
}

// sight is what compare has come across.
type sight struct {
	records int
	ops     map[string]bool
}

// compare runs pg_waldump over the WAL from start on and compares each line to ours.
func compare(t *testing.T, dir pgtest.WALDir, start pg.LSN) sight {
	t.Helper()
	loc, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	seen := sight{ops: map[string]bool{}}
	var ours []string
	rd := dir.Reader(start)
	for {
		var rec xlog.Record
		err := rd.Next(&rec)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		seen.records++
		rm, op := walredo.Name(&rec)
		seen.ops[rm+"/"+op] = true
		ours = append(ours, rmgrdesc.Line(&rec, loc))
	}
	differ := 0
	theirs := pgWaldump(t, dir, start, rd.EndLSN())
	for i := range max(len(ours), len(theirs)) {
		got, want := at(ours, i), at(theirs, i)
		if got == want {
			continue
		}
		t.Errorf("line %d\n got %s\nwant %s", i+1, got, want)
		if differ++; differ == 5 {
			t.Fatal("and so on")
		}
	}
	return seen
}

func at(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "nothing"
}

// pgWaldump gives pg_waldump's lines for the records from start to end.
func pgWaldump(t *testing.T, dir pgtest.WALDir, start, end pg.LSN) []string {
	t.Helper()
	cmd := pgtest.Command(t, "pg_waldump", "-p", dir.Dir, "-s", start.String(), "-e", end.String())
	cmd.Env = append(cmd.Env, "TZ="+zone)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("pg_waldump: %v\n%s", err, stderr.String())
	}
	return strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
}
