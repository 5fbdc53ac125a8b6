package xlog_test

import (
	"bytes"
	"compress/gzip"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"zenith/internal/pg"
	"zenith/internal/pgtest"
	"zenith/internal/xlog"
)

// Fixtures are WAL of a real server, testdata/<case>.wal.gz, and what its pg_waldump -b
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

// loadFixture reads the files of a case.
func loadFixture(t testing.TB, name string) fixture {
	t.Helper()
	raw := unpack(t, name+".wal.gz")
	f := fixture{
		memWAL: newMemWAL(),
		start:  pg.LSN(le64(raw[8:])),
		cfg:    xlog.Config{Version: pg.V15, SegSize: fixtureSegSize, SysID: le64(raw[24:])},
		dump:   string(unpack(t, name+".dump.gz")),
	}
	f.write(f.start, raw)
	f.end = f.start + pg.LSN(len(raw))
	return f
}

func le64(b []byte) (v uint64) {
	for i := 7; i >= 0; i-- {
		v = v<<8 | uint64(b[i])
	}
	return v
}

func unpack(t testing.TB, name string) []byte {
	t.Helper()
	file, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatalf("%v: run make testdata", err)
	}
	defer file.Close()
	z, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func pack(t *testing.T, name string, b []byte) {
	t.Helper()
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join("testdata", name), out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// record takes a stopped server's WAL from a segment's start on.
func record(t *testing.T, srv *pgtest.Server, start pg.LSN) fixture {
	t.Helper()
	wal := srv.WAL(t)
	f := fixture{memWAL: newMemWAL(), start: start, cfg: xlog.Config{Version: pg.V15, SegSize: wal.SegSize, SysID: srv.Control(t).SystemID}}
	r := wal.Reader(start)
	var rec xlog.Record
	var err error
	for ; err == nil; err = r.Next(&rec) {
		f.end = (r.EndLSN() + xlog.PageSize - 1) &^ (xlog.PageSize - 1)
	}
	if err != io.EOF {
		t.Fatal(err)
	}
	page := make([]byte, xlog.PageSize)
	for at := start; at < f.end; at += xlog.PageSize {
		if n, err := wal.ReadWAL(page, at); err != nil || n != len(page) {
			t.Fatalf("read %v: %d bytes, %v", at, n, err)
		}
		f.write(at, page)
	}
	dump, err := pgtest.Command(t, "pg_waldump", "-b", "-p", wal.Dir, "-t", fmt.Sprint(wal.TLI), "-s", firstRecord(start).String()).Output()
	if !strings.Contains(string(dump), "rmgr: ") {
		t.Fatalf("pg_waldump: %v: %s", err, dump) // it ends with an error where the WAL does
	}
	f.dump = string(dump)
	return f
}

func firstRecord(segment pg.LSN) pg.LSN { return xlog.RecordStart(segment, fixtureSegSize) }

// save writes the fixture's files.
func (f fixture) save(t *testing.T, name string) {
	t.Helper()
	var raw []byte
	for at := f.start; at < f.end; at += xlog.PageSize {
		raw = append(raw, f.pages[at]...)
	}
	pack(t, name+".wal.gz", raw)
	pack(t, name+".dump.gz", []byte(f.dump))
	t.Logf("%s: %d bytes of WAL", name, len(raw))
}

// runMixed makes a server, lets it run testdata/mixed.sql and more statements, and gives
// the WAL that this wrote.
func runMixed(t *testing.T, more string) fixture {
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
func runOverwritten(t *testing.T) fixture {
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
	f := record(t, srv, start)
	if !strings.Contains(f.dump, "OVERWRITE_CONTRECORD") {
		t.Fatalf("without segment %s no record was overwritten\n%s", lost, srv.Log(t))
	}
	return f
}

// TestUpdateFixtures is what `make testdata` runs.
func TestUpdateFixtures(t *testing.T) {
	if !*update {
		t.Skip("only with -update")
	}
	runMixed(t, "").save(t, "mixed")
	runOverwritten(t).save(t, "overwritten")
}
