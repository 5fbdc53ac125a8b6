package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"zenith/internal/pgtest"
)

// serverHeaders finds the directory of PostgreSQL's server headers, which Debian has in
// postgresql-server-dev-15; PG_SERVER_INCLUDE may name another one.
func serverHeaders(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("PG_SERVER_INCLUDE")
	if dir == "" {
		dir = "/usr/include/postgresql/15/server"
	}
	if _, err := os.Stat(filepath.Join(dir, "postgres.h")); err != nil {
		t.Skipf("needs PostgreSQL's server headers: %v", err)
	}
	return dir
}

// stampLibrary builds the extension of testdata/stamp.c, and gives the library's path.
func stampLibrary(t *testing.T) string {
	t.Helper()
	lib := filepath.Join(pgtest.TempDir(t), "stamp.so")
	cmd := exec.Command("gcc", "-shared", "-fPIC", "-O2", "-I", serverHeaders(t), "-o", lib, "testdata/stamp.c")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return lib
}

// TestForeignRecords changes pages by records that only an extension can replay, so many that their images
// fill several WAL segments. After a clean stop everything is there, whoever looks, and without the
// library, too. After a crash it is said what is missing.
func TestForeignRecords(t *testing.T) {
	t.Parallel()
	lib := stampLibrary(t)
	s := replSite(t)
	main := s.start("main", "--set", "shared_preload_libraries="+lib)
	s.sql(main, "create function stamp(oid, int, int, int) returns void language c as '"+lib+"'",
		"create table t as select g as a, repeat('x', 100) as b from generate_series(1, 20000) g",
		"create unlogged table u as select * from t", "create sequence q", "select nextval('q')", "checkpoint")
	const sum = "select md5(string_agg(b, '' order by a)) from t"
	stamp := func(url, value string) string {
		s.sql(url, "select stamp('t'::regclass, g, 8150, "+value+") from generate_series(1, 300) g")
		return strings.TrimSpace(s.sql(url, sum))
	}
	stamped := stamp(main, "65")
	s.sql(main, "create database copied template postgres strategy file_copy", "create database logged template postgres strategy wal_log")
	s.ok("pg", "stop", "main")
	point := s.lsn("main")

	main = s.start("main", "--unset", "shared_preload_libraries")
	s.want(main, sum, stamped)
	s.want(main, "select count(*) from u", "20000") // pg_control and what else is kept fit the new checkpoint
	s.want(main, "select nextval('q')", "2")
	for _, db := range []string{"copied", "logged"} {
		s.want(strings.TrimSuffix(main, "postgres")+db, sum, stamped)
	}
	s.sql(main, "update t set b = 'y' || b where a % 7 = 0")
	s.ok("branch", "dev", "main@"+point)
	dev := s.start("dev")
	s.want(dev, sum, stamped)
	if got := s.ok("pg", "exec", "main@"+point, "--", "psql", "-XAtqc", sum); got != stamped {
		t.Errorf("main@%s has %s, want %s", point, got, stamped)
	}
	s.ok("pg", "stop", "main")
	s.ok("pg", "stop", "dev")
	s.ok("stop")
	s.ok("start")
	s.ok("check", "main@"+point)

	// A crash: the pages are named, and those of before are there.
	main = s.start("main", "--set", "shared_preload_libraries="+lib)
	before := strings.TrimSpace(s.sql(main, sum))
	at := s.lsn("main")
	stamp(main, "66")
	pid := pidIn(t, filepath.Join(s.dataOf("main"), "postmaster.pid"))
	kill9(t, pid)
	eventually(t, "postgres to be there again", func() bool {
		p, err := os.ReadFile(filepath.Join(s.dataOf("main"), "postmaster.pid"))
		return err == nil && pidIn(t, filepath.Join(s.dataOf("main"), "postmaster.pid")) != pid && len(p) > 0
	})
	s.ok("pg", "stop", "main")
	if said := s.run("pg", "start", "main").err; !strings.Contains(said, "300 of its pages cannot be read") || !strings.Contains(said, "resource manager 128") {
		t.Errorf("pg start does not say which pages cannot be read: %q", said)
	}
	if got := s.ok("pg", "exec", "main@"+at, "--", "psql", "-XAtqc", sum); got != before {
		t.Errorf("main@%s has %s, want %s", at, got, before)
	}
}
