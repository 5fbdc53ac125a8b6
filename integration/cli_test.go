package integration

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestExec brings a table back by pg exec and pg_dump, as the README does.
func TestExec(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	main := s.start("main")
	s.sql(main, "CREATE TABLE orders AS SELECT g AS id FROM generate_series(1, 42) g")
	before := s.lsn("main")
	s.sql(main, "DROP TABLE orders")

	if !hasOwn("pg_dump") {
		s.ok("pg", "exec", "main@"+before, "--", program("pg_dump"), "-t", "orders")
		t.Skip("this PostgreSQL has no pg_dump of its own, and a newer one's output is for newer servers")
	}
	dump := s.ok("pg", "exec", "main@"+before, "--", program("pg_dump"), "-t", "orders")
	if err := os.WriteFile(filepath.Join(s.dir, "orders.sql"), []byte(dump+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.tool("psql", main, "-Xq", "-v", "ON_ERROR_STOP=1", "-f", filepath.Join(s.dir, "orders.sql"))
	s.want(main, "SELECT count(*) FROM orders", "42")

	if r := s.run("pg", "exec", "main", "--", "sh", "-c", "exit 7"); r.code != 7 {
		t.Errorf("exit status of the command: %d, want 7: %s", r.code, r.err)
	}
	if out := s.ok("pg", "exec", "main", "--", "sh", "-c", "echo $PGHOST $PGPORT $PGUSER $PGDATABASE"); len(strings.Fields(out)) != 4 {
		t.Errorf("environment: %q", out)
	}
	s.sql(main, "ALTER SYSTEM SET archive_mode = 'on'", "ALTER SYSTEM SET archive_command = 'false'", "CHECKPOINT")
	if out := s.ok("pg", "exec", "main", "--", program("psql"), "-XAtc", "SHOW archive_mode"); out != "off" {
		t.Errorf("a copy archives: archive_mode is %q", out)
	}
	if list := s.ok("mount", "list"); strings.Count(list, "exec") != 0 {
		t.Errorf("something is left of exec:\n%s", list)
	}
}

// TestPort: pg start refuses a port that is in use, and leaves nothing behind.
func TestPort(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s.fails(11, "pg", "start", "main", "--port", port)
	if list := s.ok("pg", "list"); strings.Contains(list, "main") {
		t.Errorf("refused, and listed:\n%s", list)
	}
	s.fails(1, "pg", "start", "main", "--set", "shared_buffers=nonsense")
	s.start("main")
}

// TestTenants: two tenants have nothing to do with each other.
func TestTenants(t *testing.T) {
	t.Parallel()
	const id = "0123456789abcdef0123456789abcdef"
	s := newSite(t)
	first := s.ok("tenant", "list")
	out := s.ok("tenant", "create", id)
	if !strings.Contains(out, "using tenant id "+id) || !strings.Contains(out, "tenant successfully created on the pageserver") {
		t.Errorf("tenant create says %q", out)
	}
	if list := strings.Fields(s.ok("tenant", "list")); len(list) != 2 {
		t.Errorf("tenant list: %v", list)
	}
	s.fails(1, "tenant", "create", id)
	s.fails(13, "branch", "--tenantid", strings.Repeat("f", 32))
	s.ok("branch", "dev", "main", "--tenantid", id)
	if strings.Contains(s.ok("branch", "--tenantid", first), "dev") {
		t.Error("a tenant sees another's branch")
	}
	var branches []map[string]any
	if err := json.Unmarshal([]byte(s.ok("branch", "--tenantid", id, "-o", "json")), &branches); err != nil || len(branches) != 2 {
		t.Errorf("branch -o json: %v, %v", branches, err)
	}
}

// TestWithoutServer: what commands say if there is no work directory, or no page server runs.
func TestWithoutServer(t *testing.T) {
	t.Parallel()
	s := emptySite(t)
	s.fails(10, "branch")
	s.fails(10, "start")
	s.fails(1, "init", "--pg-distrib", filepath.Join(s.dir, "nothing"))
	if _, err := os.Stat(s.work); !os.IsNotExist(err) {
		t.Errorf("a failed init left %s: %v", s.work, err)
	}
	old := filepath.Join(s.dir, "pg13")
	if err := os.MkdirAll(filepath.Join(old, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(old, "bin", "postgres"), []byte("#!/bin/sh\necho 'postgres (PostgreSQL) 13.1'\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if line := s.fails(2, "init", "--pg-distrib", old); !strings.Contains(line, "13.1") {
		t.Errorf("another major version: %q", line)
	}
	first := s.ok("init", "--pg-distrib", pgDistrib, "--tenantid", strings.Repeat("a", 32))
	for _, want := range []string{"initializing tenantid " + strings.Repeat("a", 32), "created initial timeline ", "created main branch"} {
		if !strings.Contains(first, want) {
			t.Errorf("init does not say %q:\n%s", want, first)
		}
	}
	s.fails(1, "branch")
	s.fails(2, "nosuchcommand")
	if out := s.ok("status"); !strings.Contains(out, "not running") {
		t.Errorf("status: %q", out)
	}
}

// TestFromPGData imports a stopped data directory and goes on writing to it.
func TestFromPGData(t *testing.T) {
	t.Parallel()
	s := emptySite(t)
	data := filepath.Join(s.dir, "pgdata")
	if err := os.Mkdir(data, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(data, 0o777); err != nil {
		t.Fatal(err)
	}
	data = filepath.Join(data, "d")
	if r := s.runCmd(asPostgres(program("initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-N", "--wal-segsize=1")); r.code != 0 {
		t.Fatalf("initdb: %s", r.err)
	}
	v := s.serve(data)
	s.tool("pgbench", "-i", "-q", "-s", "3", v.url)
	s.sql(v.url, "CREATE UNLOGGED TABLE u AS SELECT 1 AS i")
	s.fails(1, "init", "--pg-distrib", pgDistrib, "--from-pgdata", data) // its server runs
	v.stop("immediate")
	s.fails(1, "init", "--pg-distrib", pgDistrib, "--from-pgdata", data) // its server crashed
	v = s.serve(data)
	s.tool("pgbench", "-n", "-t", "100", v.url)
	v.stop("fast")
	s.ok("init", "--pg-distrib", pgDistrib, "--from-pgdata", data)
	s.ok("start")
	main := s.start("main")
	s.want(main, "SELECT (SELECT count(*) FROM pgbench_accounts), (SELECT count(*) FROM pgbench_history)", "300000|100")
	s.want(main, "SELECT count(*) FROM u", "0")
	s.tool("pgbench", "-n", "-c", "4", "-t", "500", main)
	s.ok("branch", "dev", "main")
	s.want(s.start("dev"), "SELECT count(*) FROM pgbench_history", "2100")
	s.checkIndexes(s.url("dev"))
}

// TestLookingGlasses: wal dump prints what pg_waldump prints, and page dump a page that postgres has.
func TestLookingGlasses(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	main := s.start("main")
	s.sql(main, "CREATE TABLE t AS SELECT g FROM generate_series(1, 10) g")
	path := s.sql(main, "SELECT pg_relation_filepath('t')")
	if dump := s.ok("wal", "dump", "main"); !strings.Contains(dump, "rmgr: Heap") || !strings.Contains(dump, "desc: COMMIT") {
		t.Errorf("wal dump:\n%s", tail([]byte(dump), 5))
	}
	if out := s.ok("page", "dump", "main", path, "0"); len(out) == 0 {
		t.Error("page dump says nothing")
	}
	s.fails(13, "page", "dump", "main", "base/1/999999", "0")
}
