package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"zenith/internal/pgtest"
)

// withMajors names installations of other major versions in the settings of a page server that does not run.
func (s *site) withMajors(names ...string) {
	s.t.Helper()
	lines := "\n[pg_distribs]\n"
	for _, name := range names {
		lines += fmt.Sprintf("%s = %q\n", name, pgtest.Installed(s.t, name).Dir)
	}
	path := filepath.Join(s.work, "pageserver.toml")
	text, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, append(text, lines...), 0o644)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// TestUpgrade tries newer major versions on branches of one of 15, and throws them away.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	if v := pgtest.Version().Major; v != 15 {
		t.Skipf("begins with PostgreSQL 15, not %d", v)
	}
	s := emptySite(t)
	s.ok("init", "--pg-distrib", pgDistrib, "--listen", "127.0.0.1:0")
	s.withMajors("17", "18")
	s.ok("start")
	main := s.start("main")
	s.sql(main, "CREATE TABLE t (i int PRIMARY KEY, b text)", "INSERT INTO t SELECT g, repeat('x', g % 90) FROM generate_series(1, 5000) g",
		"DELETE FROM t WHERE i % 10 = 0", "CREATE DATABASE more", "CREATE ROLE somebody LOGIN", "VACUUM t")
	s.sql(database(main, "more"), "CREATE TABLE u AS SELECT 7 AS i")
	const sums = "SELECT count(*), sum(i), sum(length(b)) FROM t"
	want := s.sql(main, sums)
	point := "main@" + s.lsn("main")
	s.sql(main, "DROP TABLE t")

	if out := s.ok("branch", "trial", point, "--upgrade", "18", "--check"); !strings.Contains(out, "*Clusters are compatible*") {
		t.Errorf("pg_upgrade --check: %s", out)
	}
	s.fails(13, "pg", "start", "trial")
	var made []string
	for _, major := range []string{"17", "18"} {
		trial := "trial" + major
		r := s.run("branch", trial, point, "--upgrade", major)
		if r.code != 0 && strings.Contains(r.out, "pg_attver") {
			// Minor releases of November 2026 store it for each column, and those before do not know it.
			t.Logf("PostgreSQL %s here is older than the 15: pg_upgrade cannot go there", major)
			s.fails(13, "pg", "start", trial)
			continue
		}
		if r.code != 0 || !strings.Contains(r.out, "Upgrade Complete") || !strings.Contains(r.out, "Created branch '"+trial+"' of PostgreSQL "+major) {
			t.Fatalf("pg_upgrade: exit %d, %s%s", r.code, r.out, r.err)
		}
		made = append(made, trial+"b", trial)
		url := s.start(trial)
		s.want(url, sums, want)
		s.want(database(url, "more"), "SELECT i, current_setting('server_version_num')::int / 10000 FROM u", "7|"+major)
		s.sql(url, "INSERT INTO t SELECT g FROM generate_series(10000, 11000) g", "ANALYZE", "CREATE TABLE later AS SELECT * FROM t")
		s.ok("branch", trial+"b", trial)
		s.want(s.start(trial+"b"), "SELECT count(*) FROM later", s.sql(url, "SELECT count(*) FROM t"))
		s.ok("pg", "stop", trial+"b", "--destroy")
		s.ok("pg", "stop", trial, "--destroy")
		s.fails(2, "branch", "older", trial, "--upgrade", major)
	}
	if len(made) == 0 {
		t.Error("no upgrade was made")
	}
	s.want(main, "SELECT current_setting('server_version_num')::int / 10000", "15")
	if out := s.ok("check"); !strings.Contains(out, "0 problems") {
		t.Errorf("check: %s", out)
	}
	for _, trial := range made {
		s.ok("branch", "delete", trial, "--force")
	}
	if left, err := filepath.Glob(filepath.Join(s.work, "tenants", "*.creating")); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}

	s.ok("pg", "stop", "main")
	main = s.start("main", "--set", "max_prepared_transactions=5")
	s.sql(main, "BEGIN; CREATE TABLE p (i int); PREPARE TRANSACTION 'p'")
	r := s.run("branch", "trial", "main", "--upgrade", "17")
	if r.code == 0 || !strings.Contains(r.out, "prepared transactions") || !strings.Contains(r.err, "pg_upgrade") {
		t.Errorf("what pg_upgrade refuses: exit %d, %s%s", r.code, r.out, r.err)
	}
}
