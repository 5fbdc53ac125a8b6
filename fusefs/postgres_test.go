package fusefs_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"zenith/internal/pgtest"
)

// workConfig has the settings that a working tree needs, and those that the tests need.
var workConfig = []string{
	"fsync=on", "full_page_writes=off", "wal_init_zero=off", "wal_recycle=off",
	"autovacuum=on", "wal_level=logical", "max_prepared_transactions=5",
	"max_wal_size=64MB", "track_commit_timestamp=on", "logging_collector=off",
}

// diskSpec is a working tree over the data directory of a stopped server.
func diskSpec(t *testing.T, base string) spec {
	t.Helper()
	return spec{Kind: "work", Disk: base, State: t.TempDir(), WALDir: t.TempDir(), ConfDir: t.TempDir()}
}

// serverOn gives the server of a mounted data directory.
func serverOn(t *testing.T, m *mounted) *pgtest.Server {
	t.Helper()
	s := &pgtest.Server{Dir: m.dir, Socket: pgtest.TempDir(t)}
	t.Cleanup(func() {
		if pid, err := os.ReadFile(m.dir + "/postmaster.pid"); err == nil {
			line, _, _ := strings.Cut(string(pid), "\n")
			if n, err := strconv.Atoi(line); err == nil {
				killServer(t, n)
			}
		}
	})
	return s
}

// killServer ends a postmaster and its children as a power cut does.
func killServer(t *testing.T, postmaster int) {
	t.Helper()
	pids := []string{strconv.Itoa(postmaster)}
	children, _ := exec.Command("pgrep", "-P", pids[0]).Output()
	for _, pid := range append(pids, strings.Fields(string(children))...) {
		n, err := strconv.Atoi(pid)
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(n, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
			t.Error(err)
		}
		waitFor(t, "process "+pid+" to be gone", func() bool { return syscall.Kill(n, 0) == syscall.ESRCH })
	}
}

const exercise = `
CREATE TABLE ledger (i int PRIMARY KEY, t text);
INSERT INTO ledger SELECT g, repeat('x', g % 500) FROM generate_series(1, 20000) g;
CREATE INDEX ON ledger USING gin (to_tsvector('simple', t));
CREATE UNLOGGED TABLE lost (i int PRIMARY KEY, p point);
CREATE INDEX ON lost USING gist (p);
INSERT INTO lost SELECT g, point(g, g) FROM generate_series(1, 5000) g;
CREATE TEMP TABLE temp AS SELECT * FROM ledger;
SET work_mem = '64kB';
SELECT count(*) FROM (SELECT t FROM ledger ORDER BY t, i DESC) s;
VACUUM FULL ledger;
DELETE FROM ledger WHERE i > 15000;
VACUUM (TRUNCATE) ledger;
CREATE DATABASE copied STRATEGY file_copy;
CREATE DATABASE logged STRATEGY wal_log;
DROP DATABASE copied;
ALTER SYSTEM SET log_min_duration_statement = 4711;
SELECT pg_create_physical_replication_slot('physical', true);
SELECT pg_create_logical_replication_slot('logical', 'test_decoding');
BEGIN; INSERT INTO ledger VALUES (100001, 'prepared'); PREPARE TRANSACTION 'two';
SET allow_in_place_tablespaces = on;
CREATE TABLESPACE inside LOCATION '';
CREATE TABLE near TABLESPACE inside AS SELECT generate_series(1,1000) AS i;
CREATE DATABASE there TABLESPACE inside STRATEGY file_copy;
DROP DATABASE there;
SELECT pg_switch_wal();
CHECKPOINT;
`

// TestPostgres runs a stock server on a working tree: everything it does to files,
// a crash of a backend, a kill of the server, a clean stop, and the next mount.
func TestPostgres(t *testing.T) {
	requireFuse(t)
	src := pgtest.Init(t, pgtest.Options{InitArgs: []string{"-k"}, Config: workConfig})
	for _, no := range []bool{false, true} {
		t.Run(fmt.Sprintf("NoWriteback=%v", no), func(t *testing.T) {
			s := diskSpec(t, src.Dir)
			s.NoWriteback = no
			m := startMount(t, s)
			srv := serverOn(t, m)
			srv.Start(t)
			location := pgtest.TempDir(t)
			srv.Run(t, "pgbench", "-i", "-q", "-s", "2")
			srv.Psql(t, exercise)
			srv.Psql(t, "CREATE TABLESPACE away LOCATION '"+location+"'")
			srv.Psql(t, "CREATE TABLE far TABLESPACE away AS SELECT generate_series(1,1000) AS i")
			// Nothing of it lies outside of the mount, so that the same can be done once more, and undone.
			srv.Psql(t, "CREATE TABLESPACE away2 LOCATION '"+location+"'")
			srv.Psql(t, "CREATE TABLE passing TABLESPACE away2 AS SELECT 1 AS i")
			srv.Psql(t, "DROP TABLE passing")
			srv.Psql(t, "DROP TABLESPACE away2")
			if left, err := os.ReadDir(location); err != nil || len(left) > 0 {
				t.Errorf("%s has %v, %v after tablespaces were made there; want nothing", location, left, err)
			}
			srv.Run(t, "pgbench", "-n", "-c", "4", "-j", "2", "-T", "2")
			srv.Run(t, "pgbench", "-n", "-C", "-c", "4", "-j", "2", "-t", "20")
			checkBank(t, srv)
			crashBackend(t, srv)
			checkBank(t, srv)
			killAndRestart(t, srv)
			checkBank(t, srv)
			// A crash makes unlogged relations empty; they are filled again for what follows.
			srv.Psql(t, "INSERT INTO lost SELECT g, point(g, g) FROM generate_series(1, 5000) g; VACUUM lost")
			m.eventually(t, "synced 000000010000000000000001")
			srv.Stop(t, pgtest.Fast)
			run(t, pgtest.Command(t, "pg_checksums", "--check", "-D", m.dir))
			if got := m.said("level=ERROR"); len(got) > 0 {
				t.Errorf("errors: %s", strings.Join(got, "\n"))
			}
			if log := srv.Log(t); strings.Contains(log, syscall.EIO.Error()) || strings.Contains(log, "Input/output error") {
				t.Errorf("the server had i/o errors:\n%s", log)
			}
			remount(t, m, s)
		})
	}
}

// checkBank verifies pgbench's invariant and the ledger.
func checkBank(t *testing.T, srv *pgtest.Server) {
	t.Helper()
	if got := srv.Psql(t, `SELECT (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(bbalance) FROM pgbench_branches)
		AND (SELECT sum(tbalance) FROM pgbench_tellers) = (SELECT sum(delta) FROM pgbench_history)
		AND (SELECT count(*) FROM ledger) = 15000 AND (SELECT sum(i) FROM far) = (SELECT sum(i) FROM near)`); got != "t" {
		t.Errorf("the bank's books do not balance: %s", got)
	}
}

// crashBackend makes the server restart itself.
func crashBackend(t *testing.T, srv *pgtest.Server) {
	t.Helper()
	pid := srv.Psql(t, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'")
	n, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(n, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the server to come back", func() bool {
		out, err := srv.Client(t, "psql", "-XAtqc", "SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'").Output()
		now := strings.TrimSpace(string(out))
		return err == nil && now != "" && now != pid
	})
}

func killAndRestart(t *testing.T, srv *pgtest.Server) {
	t.Helper()
	bench := srv.Client(t, "pgbench", "-n", "-c", "4", "-j", "2", "-T", "30")
	if err := bench.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "pgbench to work", func() bool {
		return srv.Psql(t, "SELECT count(*) > 100 FROM pgbench_history WHERE mtime > now() - interval '1 second'") == "t"
	})
	killServer(t, srv.Pid())
	bench.Wait() //nolint:errcheck // pgbench has lost its server
	*srv = pgtest.Server{Dir: srv.Dir, Socket: srv.Socket}
	srv.Start(t) // may return early: the pid file still says that the dead server is ready
	waitFor(t, "the server to recover", func() bool { return srv.Client(t, "psql", "-XAtqc", "SELECT 1").Run() == nil })
}

// remount copies what the mount shows, and mounts the copy as the branch's new head.
func remount(t *testing.T, m *mounted, s spec) {
	t.Helper()
	before := wholeTree(t, m.dir)
	s.Disk = filepath.Join(pgtest.TempDir(t), "head")
	// Unlogged relations are in the copy, but osTree does not show them.
	run(t, exec.Command("cp", "-a", m.dir, s.Disk))
	s.Dir = m.dir
	m.unmount(t)
	m = startMount(t, s)
	after := wholeTree(t, m.dir)
	for path, text := range before {
		if kind := path; strings.HasPrefix(kind, "postmaster.") || strings.Contains(path, "pg_internal.init") || strings.HasPrefix(path, "pg_subtrans/") {
			continue
		}
		if after[path] != text {
			t.Errorf("%s differs after the next mount: %d bytes, were %d", path, len(after[path]), len(text))
		}
	}
	srv := serverOn(t, m)
	srv.Start(t)
	checkBank(t, srv)
	for sql, want := range map[string]string{
		"SELECT count(*), sum(i) FROM lost":                                      "5000|12502500",
		"SELECT count(*) FROM lost WHERE p <@ box '(0,0),(100,100)'":             "100",
		"SELECT string_agg(slot_name, ' ' ORDER BY 1) FROM pg_replication_slots": "logical physical",
		"SHOW log_min_duration_statement":                                        "4711ms",
		"SELECT gid FROM pg_prepared_xacts":                                      "two",
		"SELECT n_tup_ins FROM pg_stat_user_tables WHERE relname = 'lost'":       "5000",
	} {
		if got := srv.Psql(t, sql); got != want {
			t.Errorf("%s: %s, want %s", sql, got, want)
		}
	}
	if log := srv.Log(t); strings.Contains(log, "recovery") || !strings.Contains(log, "database system was shut down at") {
		t.Errorf("the server recovered:\n%s", log)
	}
	killServer(t, srv.Pid())
	waitFor(t, "the server's files to be closed", func() bool { return m.ask(t, "unmount") == "ok" })

	// After an unclean end, none of that is there.
	m = startMount(t, s)
	srv = serverOn(t, m)
	srv.Start(t)
	if got := srv.Psql(t, "SELECT count(*) FROM lost"); got != "0" {
		t.Errorf("unlogged rows after a crash: %s", got)
	}
	srv.Stop(t, pgtest.Fast)
	m.unmount(t)
}

// wholeTree reads all files.
func wholeTree(t *testing.T, root string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		files[strings.TrimPrefix(path, root+"/")] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestPostgresBehindWAL: what changes a data directory without WAL is refused, with
// the reason in the log.
func TestPostgresBehindWAL(t *testing.T) {
	requireFuse(t)
	src := pgtest.Init(t, pgtest.Options{InitArgs: []string{"-k"}})
	s := diskSpec(t, src.Dir)
	m := startMount(t, s)
	before := wholeTree(t, m.dir)
	for _, args := range [][]string{
		{"pg_checksums", "--disable", "-D", m.dir},
		{"pg_resetwal", "-f", "-D", m.dir},
		{"pg_resetwal", "-f", "-l", "0000000100000000000000FF", "-D", m.dir},
	} {
		out, err := pgtest.Command(t, args[0], args[1:]...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "Operation not permitted") {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
	}
	m.eventually(t, "while no postgres runs")
	for path, text := range before {
		if string(readFile(t, filepath.Join(m.dir, path))) != text {
			t.Errorf("%s was changed", path)
		}
	}
	srv := serverOn(t, m)
	srv.Configure(t, "wal_level=minimal", "max_wal_senders=0")
	if err := srv.TryStart(t); err == nil {
		t.Error("a server with wal_level=minimal started")
	}
	m.eventually(t, "wal_level=minimal, with which not all changes are in WAL")
	srv.Configure(t, "wal_level=replica")
	if err := srv.TryStart(t); err == nil {
		t.Error("a server started over WAL that the branch has")
	}
	m.unmount(t)
	m = startMount(t, s)
	srv = serverOn(t, m)
	srv.Start(t)
	srv.Psql(t, "CREATE TABLE t AS SELECT 1")
	srv.Stop(t, pgtest.Fast)
	m.unmount(t)

	// Nothing is refused on a scratch mount: what is spoilt there is thrown away.
	s.Scratch, s.State = true, t.TempDir()
	m = startMount(t, s)
	run(t, pgtest.Command(t, "pg_checksums", "--disable", "-D", m.dir))
	run(t, pgtest.Command(t, "pg_resetwal", "-f", "-D", m.dir))
	srv = serverOn(t, m)
	srv.Start(t)
	srv.Psql(t, "CREATE TABLE t AS SELECT 1")
	srv.Stop(t, pgtest.Fast)
	m.unmount(t)
}
