package rmgrdesc_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
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
	pgtest.Majors(t, func(t *testing.T, _ *pg.Version, in pgtest.Installation) {
		if !hasWaldump(in) {
			t.Skip("the installation has no pg_waldump")
		}
		srv, start := loaded(t, in)
		seen := compare(t, srv.WAL(t), start, func(end pg.LSN) []string { return pgWaldump(t, in, srv.WAL(t), start, end) })
		if seen.records < 100_000 || len(seen.ops) < 100 {
			t.Errorf("%d records of %d operations are less than the load makes", seen.records, len(seen.ops))
		}
	})
}

// hasWaldump says whether an installation has a pg_waldump, which reads the WAL of its own major version only.
func hasWaldump(in pgtest.Installation) bool {
	_, err := os.Stat(filepath.Join(in.BinDir(), "pg_waldump"))
	return err == nil
}

// loaded gives a stopped server that has done one of everything, and where its WAL begins.
func loaded(t *testing.T, in pgtest.Installation) (srv *pgtest.Server, start pg.LSN) {
	t.Helper()
	load, err := os.ReadFile("testdata/load.sql")
	if err != nil {
		t.Fatal(err)
	}
	srv = pgtest.Init(t, pgtest.Options{
		Installation: in,
		InitArgs:     []string{"--wal-segsize=1", "--data-checksums"},
		Config: []string{
			"wal_level=logical", "wal_keep_size=10GB", "max_prepared_transactions=10",
			"track_commit_timestamp=on", "allow_in_place_tablespaces=on",
		},
	})
	start = srv.Control(t).CheckPointCopy.Redo
	srv.Start(t)
	srv.Psql(t, string(load))
	srv.Stop(t, pgtest.Immediate)
	srv.Configure(t, "max_connections=50", "wal_level=replica", "wal_compression=pglz", "wal_consistency_checking=all")
	srv.Start(t)
	srv.Psql(t, "UPDATE t SET b = b + 1; INSERT INTO g SELECT i, ARRAY[1, i] FROM generate_series(1, 3000) i; DELETE FROM g; VACUUM; CREATE TABLE z(i int)")
	srv.Stop(t, pgtest.Fast)
	return srv, start
}

// sight is what compare has come across.
type sight struct {
	records int
	ops     map[string]bool
}

// eachRecord calls fn with each record up to the end of WAL.
func eachRecord(t *testing.T, rd *xlog.Reader, fn func(rec *xlog.Record)) {
	t.Helper()
	for {
		var rec xlog.Record
		err := rd.Next(&rec)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		fn(&rec)
	}
}

// compare compares our line about each record of the WAL from start on with that of dump, which tells of the
// records up to an LSN.
func compare(t *testing.T, dir pgtest.WALDir, start pg.LSN, dump func(end pg.LSN) []string) sight {
	t.Helper()
	loc, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	seen := sight{ops: map[string]bool{}}
	var ours []string
	rd := dir.Reader(start)
	eachRecord(t, rd, func(rec *xlog.Record) {
		seen.records++
		rm, op := walredo.Name(rec)
		seen.ops[rm+"/"+op] = true
		ours = append(ours, rmgrdesc.Line(rec, loc))
	})

	differ := 0
	theirs := dump(rd.EndLSN())
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
func pgWaldump(t *testing.T, in pgtest.Installation, dir pgtest.WALDir, start, end pg.LSN) []string {
	t.Helper()
	cmd := in.Command(t, "pg_waldump", "-p", dir.Dir, "-s", start.String(), "-e", end.String())
	cmd.Env = append(cmd.Env, "TZ="+zone)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("pg_waldump: %v\n%s", err, stderr.String())
	}
	return strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
}
