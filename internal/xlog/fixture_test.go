package xlog_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"zenith/internal/pg"
	"zenith/internal/pgtest"
	"zenith/internal/xlog"
)

// Fixtures are WAL of a real server, testdata/<case>.wal.zst, and what its pg_waldump -b
// says of it, testdata/<case>.dump.gz. `make testdata` records them anew, by running the
// tests with -update.
var update = flag.Bool("update", false, "record the fixtures anew")

const fixtureSegSize = 1 << 20

// fixture is WAL as it was recorded, with pg_waldump's words.
type fixture struct {
	*memWAL
	cfg   xlog.Config
	start pg.LSN
	dump  string
}

func (f fixture) reader() *xlog.Reader { return xlog.NewReader(f, f.cfg, f.start) }

// newFixture takes recorded WAL apart into pages.
func newFixture(r pgtest.Recorded, dump string) fixture {
	f := fixture{memWAL: newMemWAL(), start: r.Start, cfg: r.Config(), dump: dump}
	f.write(r.Start, r.Pages)
	f.end = r.Start + pg.LSN(len(r.Pages))
	return f
}

// loadFixture reads the files of a case.
func loadFixture(t testing.TB, name string) fixture {
	t.Helper()
	wal, dump := fixtureFiles(name)
	return newFixture(pgtest.LoadRecorded(t, wal), string(pgtest.Gunzip(t, dump)))
}

// fixtureFiles are the paths of a case's WAL and of pg_waldump's words.
func fixtureFiles(name string) (wal, dump string) {
	return filepath.Join("testdata", name+".wal.zst"), filepath.Join("testdata", name+".dump.gz")
}

// recording is a stopped server's WAL, and what its pg_waldump says of it.
type recording struct {
	pgtest.Recorded
	dump string
}

// record takes a stopped server's WAL from a segment's start on.
func record(t *testing.T, srv *pgtest.Server, start pg.LSN) recording {
	t.Helper()
	r := recording{Recorded: srv.Record(t, start)}
	wal := srv.WAL(t)
	dump, err := pgtest.Command(t, "pg_waldump", "-b", "-p", wal.Dir, "-t", fmt.Sprint(wal.TLI), "-s", firstRecord(start).String()).Output()
	if !strings.Contains(string(dump), "rmgr: ") {
		t.Fatalf("pg_waldump: %v: %s", err, dump) // it ends with an error where the WAL does
	}
	r.dump = string(dump)
	return r
}

func firstRecord(segment pg.LSN) pg.LSN { return xlog.RecordStart(segment, fixtureSegSize) }

// save writes a case's files.
func (r recording) save(t *testing.T, name string) {
	t.Helper()
	wal, dump := fixtureFiles(name)
	r.Save(t, wal)
	pgtest.Gzip(t, dump, []byte(r.dump))
	t.Logf("%s: %d bytes of WAL", name, len(r.Pages))
}

// runMixed makes a server, lets it run testdata/mixed.sql and more statements, and gives
// the WAL that this wrote.
func runMixed(t *testing.T, more string) recording {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "mixed.sql"))
	if err != nil {
		t.Fatal(err)
	}
	setup, load, found := strings.Cut(string(b), "\n-- record\n")
	if !found {
		t.Fatal("no line to record from")
	}
	var config []string
	for _, line := range strings.Split(setup, "\n") {
		if v, ok := strings.CutPrefix(line, "-- config: "); ok {
			config = append(config, v)
		}
	}
	srv := pgtest.Init(t, pgtest.Options{
		InitArgs: []string{"--wal-segsize=1"},
		Config:   append(config, "wal_keep_size='10GB'"),
	})
	srv.Start(t)
	srv.Psql(t, setup+"\nSELECT pg_switch_wal();")
	srv.Stop(t, pgtest.Fast)
	start := srv.Control(t).CheckPoint &^ (fixtureSegSize - 1)
	srv.Configure(t, "max_connections=33")
	srv.Start(t)
	srv.Psql(t, fmt.Sprintf("\\set conn 'host=%s user=postgres dbname=postgres'\n%s%s", srv.Socket, load, more))
	srv.Stop(t, pgtest.Fast)
	return record(t, srv, start)
}

// runOverwritten makes a server crash with a record half written, as the file that was
// to hold its end is lost, and start again.
func runOverwritten(t *testing.T) recording {
	t.Helper()
	srv := pgtest.Init(t, pgtest.Options{InitArgs: []string{"--wal-segsize=1"}, Config: []string{"wal_keep_size='1GB'"}})
	srv.Start(t)
	srv.Psql(t, "CREATE TABLE t (i int); SELECT pg_switch_wal(); CHECKPOINT")
	start := srv.LSN(t, "SELECT pg_current_wal_insert_lsn()") &^ (fixtureSegSize - 1)
	for srv.LSN(t, "SELECT pg_current_wal_insert_lsn()")%fixtureSegSize < fixtureSegSize-50000 {
		srv.Psql(t, "SELECT pg_logical_emit_message(true, '', repeat('x', 40000))")
	}
	srv.Psql(t, "SELECT pg_logical_emit_message(true, '', repeat('y', 90000)); SELECT pg_switch_wal()")
	srv.Stop(t, pgtest.Immediate)
	lost := xlog.SegmentName(1, start+fixtureSegSize, fixtureSegSize)
	for seg := start + fixtureSegSize; ; seg += fixtureSegSize {
		path := filepath.Join(srv.Dir, "pg_wal", xlog.SegmentName(1, seg, fixtureSegSize))
		if _, err := os.Stat(path); err != nil {
			break
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	srv.Start(t)
	srv.Psql(t, "INSERT INTO t VALUES (1)")
	srv.Stop(t, pgtest.Fast)
	r := record(t, srv, start)
	if !strings.Contains(r.dump, "OVERWRITE_CONTRECORD") {
		t.Fatalf("without segment %s no record was overwritten\n%s", lost, srv.Log(t))
	}
	return r
}

// TestUpdateFixtures is what `make testdata` runs.
func TestUpdateFixtures(t *testing.T) {
	if !*update {
		t.Skip("only with -update")
	}
	runMixed(t, "").save(t, "mixed")
	runOverwritten(t).save(t, "overwritten")
}
