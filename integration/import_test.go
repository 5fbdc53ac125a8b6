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
