package integration

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// TestBranchBehind makes two branches at points in the past of main.
func TestBranchBehind(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	main := s.start("main")
	s.sql(main, "CREATE TABLE foo (t text)", "INSERT INTO foo SELECT 'a long string to consume some space ' || g FROM generate_series(1, 100) g")
	at100 := s.sql(main, "SELECT pg_current_wal_insert_lsn()")
	s.sql(main, "INSERT INTO foo SELECT 'more ' || g FROM generate_series(1, 100000) g")
	at100100 := s.sql(main, "SELECT pg_current_wal_insert_lsn()")
	s.sql(main, "INSERT INTO foo SELECT 'yet more ' || g FROM generate_series(1, 100000) g")

	s.ok("branch", "hundred", "main@"+at100)
	s.ok("branch", "more", "main@"+strings.ReplaceAll(at100100, "/", "_"))
	hundred, more := s.start("hundred"), s.start("more")
	s.want(hundred, "SELECT count(*) FROM foo", "100")
	s.want(more, "SELECT count(*) FROM foo", "100100")
	s.want(main, "SELECT count(*) FROM foo", "200100")

	s.sql(hundred, "INSERT INTO foo VALUES ('only here')")
	s.want(hundred, "SELECT count(*) FROM foo", "101")
	s.want(more, "SELECT count(*) FROM foo", "100100")
	s.want(main, "SELECT count(*) FROM foo", "200100")
}

// TestBranchOfBranch nests branches three deep, and writes to each of them.
func TestBranchOfBranch(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	url, names := s.start("main"), []string{"main"}
	s.sql(url, "CREATE TABLE t (level int)")
	for level := 1; level <= 3; level++ {
		s.sql(url, fmt.Sprintf("INSERT INTO t VALUES (%d)", level))
		name := fmt.Sprintf("level%d", level)
		s.ok("branch", name, names[len(names)-1])
		url, names = s.start(name), append(names, name)
		s.want(url, "SELECT string_agg(level::text, ' ' ORDER BY level) FROM t", strings.TrimSpace("1 2 3"[:2*level-1]))
	}
	s.sql(s.url("level1"), "DELETE FROM t")
	s.want(s.url("level3"), "SELECT count(*) FROM t", "3")
	s.want(s.url("level2"), "SELECT count(*) FROM t", "3")
	s.want(s.url("main"), "SELECT count(*) FROM t", "1")

	tree := s.ok("branch")
	for _, want := range []string{" main", "┗━ @", "level1", "level2", "level3"} {
		if !strings.Contains(tree, want) {
			t.Errorf("tree lacks %q:\n%s", want, tree)
		}
	}
	s.fails(11, "branch", "delete", "level1") // has children, and postgres runs on it
	s.fails(1, "branch", "level1", "main")    // a branch of that name exists
	s.fails(13, "branch", "x", "nosuch")
}

// url gives the connection string of a running postgres.
func (s *site) url(name string) string {
	s.t.Helper()
	var list []struct{ Branch, URI string }
	if err := json.Unmarshal([]byte(s.ok("pg", "list", "-o", "json")), &list); err != nil {
		s.t.Fatal(err)
	}
	for _, c := range list {
		if c.Branch == name {
			return c.URI
		}
	}
	s.t.Fatalf("pg list has no %s:\n%s", name, s.ok("pg", "list"))
	return ""
}

// TestBranchAfterRelmapChange rewrites mapped catalogs, makes a database of them, and then a branch.
func TestBranchAfterRelmapChange(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	main := s.start("main")
	s.sql(main, "CREATE TABLE t AS SELECT g FROM generate_series(1, 10) g",
		"VACUUM FULL pg_class", "VACUUM FULL pg_database", "REINDEX SYSTEM postgres",
		"CREATE DATABASE copied"+strategy("wal_log"), "CREATE DATABASE filecopied"+strategy("file_copy"),
		"CREATE DATABASE fromhere TEMPLATE template1")
	s.sql(database(main, "copied"), "CREATE TABLE c AS SELECT 1 AS x", "VACUUM FULL pg_class")
	s.sql(database(main, "filecopied"), "CREATE TABLE f AS SELECT 2 AS x")
	s.ok("branch", "dev", "main")
	dev := s.start("dev")
	s.want(dev, "SELECT count(*) FROM t", "10")
	s.want(database(dev, "copied"), "SELECT x FROM c", "1")
	s.want(database(dev, "filecopied"), "SELECT x FROM f", "2")
	s.want(database(dev, "fromhere"), "SELECT count(*) > 300 FROM pg_class", "t")
	s.sql(dev, "DROP DATABASE copied")
	s.want(database(main, "copied"), "SELECT x FROM c", "1")
}

// TestBranchSeesRoles: a branch has the roles of its parent, which are in shared catalogs.
func TestBranchSeesRoles(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	main := s.start("main")
	s.sql(main, "CREATE USER testuser WITH PASSWORD 'x'")
	s.ok("branch", "dev", "main")
	dev := s.start("dev")
	s.want(dev, "SELECT rolname FROM pg_roles WHERE rolname = 'testuser'", "testuser")
	s.sql(dev, "DROP USER testuser")
	s.want(main, "SELECT count(*) FROM pg_roles WHERE rolname = 'testuser'", "1")
}

// TestBranchKeepsMultiXacts compares the multixact counters of a branch with main's at the branch point.
func TestBranchKeepsMultiXacts(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	main := s.start("main")
	s.sql(main, "CREATE TABLE t (i int PRIMARY KEY, v int)", "INSERT INTO t SELECT g, 0 FROM generate_series(1, 50) g")
	// Subtransactions that lock in one mode and update in another make multixacts within one session.
	s.sql(main, `DO $$ BEGIN
		FOR n IN 1..40 LOOP
			PERFORM 1 FROM t WHERE i = n FOR KEY SHARE;
			BEGIN UPDATE t SET v = v + 1 WHERE i = n; EXCEPTION WHEN division_by_zero THEN NULL; END;
		END LOOP; END $$`)
	s.sql(main, "CHECKPOINT")
	const counters = "SELECT next_multixact_id, next_multi_offset FROM pg_control_checkpoint()"
	want := s.sql(main, counters)
	if strings.HasPrefix(want, "1|") {
		t.Fatalf("the load made no multixacts: %s", want)
	}
	s.ok("branch", "dev", "main")
	dev := s.start("dev")
	s.want(dev, counters, want)
	s.want(dev, "SELECT sum(v) FROM t", "40")
}

// TestBranchKeepsPrepared: a branch commits one prepared transaction and rolls back another; both stay
// prepared on main.
func TestBranchKeepsPrepared(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	main := s.start("main", "--set", "max_prepared_transactions=5")
	s.sql(main, "CREATE TABLE foo (t text)")
	s.sql(main, "BEGIN; INSERT INTO foo VALUES ('one'); PREPARE TRANSACTION 'insert_one'")
	s.sql(main, "BEGIN; INSERT INTO foo VALUES ('two'); PREPARE TRANSACTION 'insert_two'")
	s.sql(main, "BEGIN; INSERT INTO foo VALUES ('three'); PREPARE TRANSACTION 'insert_three'", "COMMIT PREPARED 'insert_three'")
	s.ok("branch", "dev", "main")
	dev := s.start("dev", "--set", "max_prepared_transactions=5")
	s.want(dev, "SELECT string_agg(gid, ' ' ORDER BY gid) FROM pg_prepared_xacts", "insert_one insert_two")
	s.sql(dev, "COMMIT PREPARED 'insert_one'", "ROLLBACK PREPARED 'insert_two'")
	s.want(dev, "SELECT string_agg(t, ' ' ORDER BY t) FROM foo", "one three")
	s.want(main, "SELECT string_agg(t, ' ') FROM foo", "three")
	s.want(main, "SELECT count(*) FROM pg_prepared_xacts", "2")
	s.sql(main, "COMMIT PREPARED 'insert_two'")
	s.want(main, "SELECT string_agg(t, ' ' ORDER BY t) FROM foo", "three two")
}

// TestDataDirectoryMadeAgain destroys a postgres and its data directory twice. The branch still has all that
// was written.
func TestDataDirectoryMadeAgain(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for n := 1; n <= 3; n++ {
		main := s.start("main")
		if n == 1 {
			s.sql(main, "CREATE TABLE t (i int)")
		}
		s.sql(main, fmt.Sprintf("INSERT INTO t VALUES (%d)", n))
		s.want(main, "SELECT count(*) FROM t", fmt.Sprint(n))
		s.ok("pg", "stop", "main", "--destroy")
		if list := s.ok("pg", "list"); strings.Contains(list, "main") {
			t.Errorf("destroyed, and still listed:\n%s", list)
		}
	}
}

// TestBranchAtTime goes back to a time between two commits.
func TestBranchAtTime(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	main := s.start("main")
	s.sql(main, "CREATE TABLE t AS SELECT 1 AS i")
	const now = `SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`
	between := s.sql(main, "SELECT pg_sleep(0.2)", now)
	between = between[strings.LastIndexByte(between, '\n')+1:]
	s.sql(main, "SELECT pg_sleep(0.2)", "INSERT INTO t VALUES (2)")
	s.ok("branch", "before", "main@"+between)
	s.want(s.start("before"), "SELECT count(*) FROM t", "1")
	s.ok("branch", "after", "main@"+strings.TrimSpace(s.sql(main, now)))
	s.want(s.start("after"), "SELECT count(*) FROM t", "2")
	s.ok("branch", "aged", "main@-1ms")
	s.fails(14, "branch", "old", "main@-400d")
}

// TestBranchAtBoundaries makes branches at the start of a segment, at the start of a page, inside of a record
// and before the start of history.
func TestBranchAtBoundaries(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	main := s.start("main")
	s.sql(main, "CREATE TABLE t (i int)", "INSERT INTO t VALUES (1)", "SELECT pg_switch_wal()")
	boundary := s.sql(main, "SELECT pg_current_wal_lsn()") // the start of the next segment, which has no WAL yet
	s.sql(main, "INSERT INTO t VALUES (2)")
	inside := s.sql(main, "SELECT pg_current_wal_insert_lsn() + 9")
	s.sql(main, "INSERT INTO t SELECT g FROM generate_series(1, 3000) g")
	page := s.sql(main, "SELECT '0/0'::pg_lsn + trunc((pg_current_wal_insert_lsn() - '0/0'::pg_lsn) / 8192) * 8192")

	for name, c := range map[string]struct{ at, count string }{
		"segment": {boundary, "1"},
		"inside":  {inside, "2"},
	} {
		s.ok("branch", name, "main@"+c.at)
		s.want(s.start(name), "SELECT count(*) FROM t", c.count)
	}
	s.ok("branch", "page", "main@"+page)
	s.want(s.start("page"), "SELECT count(*) IN (2, 3002) FROM t", "t")

	s.fails(14, "branch", "early", "main@0/1000")
	s.fails(14, "branch", "late", "main@FF/0")
	s.fails(14, "branch", "old", "main@2001-01-01T00:00:00Z")
	s.fails(14, "branch", "older", "@0/1000")
	for _, bad := range []string{"main@", "main@x/y", "main@lately", "@0/1/2", ""} {
		if r := s.run("branch", "bad", bad); r.code != 1 && r.code != 2 {
			t.Errorf("branch at %q: exit %d: %s", bad, r.code, r.err)
		}
	}
}

// TestBranchOfUnsynced makes branches of a server with fsync=off, right after its commits. Its WAL may still
// be in the kernel's cache of the mount, yet a branch has every commit that was acknowledged before.
func TestBranchOfUnsynced(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	url := s.start("main", "--set", "fsync=off", "--set", "wal_writer_delay=10s")
	s.sql(url, "CREATE TABLE t (i int)")
	const rounds = 4
	var script strings.Builder
	for i := range rounds {
		fmt.Fprintf(&script, "INSERT INTO t SELECT generate_series(1, 1000);\n\\! %s -q -D %s branch b%d main\n", binary, s.work, i)
	}
	cmd := exec.Command(program("psql"), "-Xq", "-v", "ON_ERROR_STOP=1", url)
	cmd.Stdin = strings.NewReader(script.String())
	if r := s.runCmd(cmd); r.code != 0 || r.err != "" {
		t.Fatalf("psql: exit %d: %s", r.code, r.err)
	}
	for i := range rounds {
		got := s.ok("pg", "exec", "b"+strconv.Itoa(i), "--", program("psql"), "-XAtc", "SELECT count(*) FROM t")
		if want := strconv.Itoa(1000 * (i + 1)); got != want {
			t.Errorf("branch %d has %s rows, want %s", i, got, want)
		}
	}
}

// TestBranchDeleteUnwritten: a branch on which a server ran and that nobody wrote to is deleted without force; one
// that was written to is not.
func TestBranchDeleteUnwritten(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, name := range []string{"read", "written"} {
		s.ok("branch", name, "main")
		for range 2 {
			url := s.start(name)
			s.sql(url, "SELECT count(*) FROM pg_class", "CHECKPOINT", "SELECT pg_switch_wal()")
			if name == "written" {
				s.sql(url, "CREATE TABLE IF NOT EXISTS t ()")
			}
			s.ok("pg", "stop", name)
		}
	}
	s.ok("branch", "delete", "read")
	if said := s.fails(12, "branch", "delete", "written"); !strings.Contains(said, "bytes of WAL of its own") {
		t.Errorf("branch delete says %q", said)
	}
}
