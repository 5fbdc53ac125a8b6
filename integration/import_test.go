package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"zenith/internal/pgtest"
)

// TestImportPromoted imports a cluster that was promoted a moment ago: its last checkpoint lies on a page of WAL
// that the old timeline began, which a server finds to be its own by the history file only.
func TestImportPromoted(t *testing.T) {
	t.Parallel()
	production := pgtest.Init(t, pgtest.Options{})
	production.Start(t)
	production.Psql(t, "CREATE TABLE t AS SELECT 1 a")
	production.Stop(t, pgtest.Fast)
	signal := filepath.Join(production.Dir, "standby.signal")
	uid, gid := pgtest.Owner(t)
	if err := os.WriteFile(signal, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(signal, uid, gid); err != nil {
		t.Fatal(err)
	}
	production.Start(t)
	production.Psql(t, "SELECT pg_promote()")
	production.Stop(t, pgtest.Fast)
	s := emptySite(t)
	s.ok("init", "--pg-distrib", pgDistrib, "--from-pgdata", production.Dir)
	s.ok("start")
	s.ok("branch", "dev", "main")
	for _, args := range [][]string{{"main"}, {"dev"}, {"--copy", "main"}} {
		got := s.ok(append(append([]string{"pg", "exec"}, args...), "--", "psql", "-XAtc", "table t")...)
		if strings.TrimSpace(got) != "1" {
			t.Errorf("pg exec %v: %q", args, got)
		}
	}
	url := s.start("main")
	s.sql(url, "insert into t values (2)", "checkpoint", "insert into t values (3)")
	s.ok("pg", "stop", "main")
	s.want(s.start("main"), "select count(*) from t", "3")
	s.ok("pg", "stop", "main")
}

// TestLogin has a branch whose bootstrap superuser has another name, and no database postgres: who runs a
// command, or starts a server, connects as that one, to a database that is there. States from before the
// change keep the old names.
func TestLogin(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	before := s.lsn("main")
	url := s.start("main")
	s.sql(url, `create role admin superuser login password 'admin'`, `create database "App Data"`)
	other := strings.Replace(strings.Replace(url, "//postgres@", "//admin:admin@", 1), "/postgres", "/template1", 1)
	s.sql(other, `begin; alter role postgres rename to nobody; rollback`, `alter role postgres rename to "The Boss"`, `drop database postgres`,
		`create database half`, `update pg_database set datallowconn = false where datname = 'half'`,
		`vacuum full pg_authid`, `vacuum full pg_database`, `alter role "The Boss" connection limit 5`)
	s.ok("pg", "stop", "main")
	const want = "The Boss|App Data"
	check := func(want string, args ...string) {
		t.Helper()
		got := s.ok(append(append([]string{"pg", "exec"}, args...), "--", "psql", "-XAtc", "select session_user, current_database()")...)
		if strings.TrimSpace(got) != want {
			t.Errorf("pg exec %v: %q, want %q", args, got, want)
		}
	}
	check(want, "main")
	check(want, "--copy", "main")
	check("postgres|postgres", "main@"+before)
	s.ok("branch", "dev", "main")
	url = s.start("dev")
	s.want(url, "select session_user, current_database()", want)
	s.sql(url, `alter role "The Boss" nologin`)
	s.ok("pg", "stop", "dev")
	check("admin|App Data", "dev") // of the others the oldest
}

// TestImportKinds imports clusters that are not made like the usual one, and works on them: each is as it was, and postgres
// goes on.
func TestImportKinds(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]pgtest.Options{
		"no checksums": {},
		"minimal WAL":  {InitArgs: []string{"--data-checksums"}, Config: []string{"wal_level=minimal", "max_wal_senders=0"}},
		"small WAL":    {InitArgs: []string{"--data-checksums", "--wal-segsize=1"}},
		"large WAL":    {InitArgs: []string{"--wal-segsize=64"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := pgtest.Init(t, o)
			srv.Start(t)
			srv.Psql(t, "CREATE TABLE t AS SELECT g FROM generate_series(1, 20000) g")
			settings := "SELECT current_setting('data_checksums'), current_setting('wal_segment_size'), pg_size_bytes(current_setting('wal_segment_size'))"
			want := srv.Psql(t, settings)
			srv.Stop(t, pgtest.Fast)
			s := emptySite(t)
			s.ok("init", "--pg-distrib", pgDistrib, "--from-pgdata", srv.Dir)
			s.ok("start")
			const count = "SELECT count(*), sum(g) FROM t"
			if got := s.exec("main", count); got != "20000|200010000" {
				t.Errorf("imported: %s", got)
			}
			s.ok("branch", "dev", "main")
			for _, branch := range []string{"main", "dev"} {
				url := s.start(branch)
				s.want(url, settings, want)
				s.sql(url, "INSERT INTO t SELECT g FROM generate_series(1, 20000) g", "CHECKPOINT", "UPDATE t SET g = -g")
				s.ok("pg", "stop", branch)
				s.want(s.start(branch), count, "40000|-400020000")
				s.ok("pg", "stop", branch)
			}
			s.clean()
		})
	}
}

// readableBinary gives a copy of the binary that the account of postgres may run.
func readableBinary(t *testing.T) string {
	t.Helper()
	code, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(pgtest.TempDir(t), "zenith")
	if err := os.WriteFile(path, code, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestImportLeavesOut imports, as an account that may not read all, a cluster whose configuration lies elsewhere in part:
// what is not taken along is told by name.
func TestImportLeavesOut(t *testing.T) {
	t.Parallel()
	srv := pgtest.Init(t, pgtest.Options{})
	elsewhere := pgtest.TempDir(t)
	srv.Configure(t, "include '"+elsewhere+"/site.conf'", "include_dir 'conf.d'")
	uid, gid := pgtest.Owner(t)
	for _, path := range []string{srv.Dir + "/conf.d/a.conf", elsewhere + "/site.conf", srv.Dir + "/server.key", srv.Dir + "/backup/old"} {
		dir := filepath.Dir(path)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("work_mem = '5MB'\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(path, uid, gid); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(dir, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	unreadable := func(path string) {
		t.Helper()
		if err := os.Chmod(filepath.Join(srv.Dir, path), 0); err != nil {
			t.Fatal(err)
		}
	}
	unreadable("server.key")
	unreadable("backup")
	s, program := emptySite(t), readableBinary(t)
	importing := func() result {
		t.Helper()
		return s.runCmd(asPostgres(program, "-D", filepath.Join(pgtest.TempDir(t), ".zenith"), "init", "--pg-distrib", pgDistrib, "--from-pgdata", srv.Dir))
	}
	r := importing()
	if r.code != 0 {
		t.Fatalf("init: exit %d: %s", r.code, r.err)
	}
	for _, want := range []string{
		"not imported: server.key: cannot be read",
		"not imported: backup: cannot be read",
		"not imported: " + elsewhere + "/site.conf: included by postgresql.conf",
	} {
		if !strings.Contains(r.err, want) {
			t.Errorf("init says nothing of %q:\n%s", want, r.err)
		}
	}
	if strings.Contains(r.err, "conf.d") {
		t.Errorf("init complains of what it has taken:\n%s", r.err)
	}
	for _, path := range []string{"base/1/1259", "pg_hba.conf"} {
		unreadable(path)
		if r := importing(); r.code == 0 || !strings.Contains(r.err, path) {
			t.Errorf("%s cannot be read: exit %d: %s", path, r.code, r.err)
		}
		if err := os.Chmod(filepath.Join(srv.Dir, path), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
