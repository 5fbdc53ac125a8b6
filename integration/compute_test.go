package integration

import (
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// dataOf gives the data directory of the postgres of a branch.
func (s *site) dataOf(branch string) string {
	s.t.Helper()
	dirs, err := filepath.Glob(filepath.Join(s.work, "tenants", "*", "pg", branch, "data"))
	if err != nil || len(dirs) != 1 {
		s.t.Fatalf("data directories of %s: %v, %v", branch, dirs, err)
	}
	return dirs[0]
}

// TestRevived: when a backend or the postmaster crashes, the page server starts postgres anew, on the head and
// without recovery. Checkpoints are rare, and WAL takes the direct way each time.
func TestRevived(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	url := s.start("main")
	data := s.dataOf("main")
	s.want(url, "SELECT current_setting('checkpoint_timeout'), current_setting('restart_after_crash')", "1d|off")
	s.sql(url, "CREATE TABLE t (i int)")
	for n, victim := range []func() string{
		func() string { return s.sql(url, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'") },
		func() string { return strconv.Itoa(pidIn(t, filepath.Join(data, "postmaster.pid"))) },
	} {
		s.sql(url, "INSERT INTO t SELECT generate_series(1, 1000)")
		pid, err := strconv.Atoi(victim())
		if err != nil {
			t.Fatal(err)
		}
		kill9(t, pid)
		times := strconv.Itoa(n + 1)
		eventually(t, "postgres to be started anew", func() bool {
			list := s.ok("pg", "list", "-o", "json")
			return strings.Contains(list, `"restarts": "`+times+`"`) && strings.Contains(list, `"running"`)
		})
		s.want(url, "SELECT count(*) FROM t", times+"000")
		if list := s.ok("pg", "list", "-o", "json"); os.Geteuid() == 0 && !strings.Contains(list, `"wal": "direct"`) {
			t.Errorf("wal does not take the direct way:\n%s", list)
		}
	}
	if log, err := os.ReadFile(filepath.Join(filepath.Dir(data), "postgres.log")); err != nil || strings.Contains(string(log), "redo starts") {
		t.Errorf("postgres needed recovery, or has no log: %v", err)
	}
	s.ok("pg", "stop", "main")
}

// TestPgCtl: pg_ctl restart and stop of a postgres that the page server has started are noticed.
func TestPgCtl(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	url := s.start("main")
	data := s.dataOf("main")
	s.sql(url, "CREATE TABLE t AS SELECT 1 AS i")
	first := pidIn(t, filepath.Join(data, "postmaster.pid"))
	ctl := func(args ...string) {
		t.Helper()
		cmd := s.compute("", "main").asAccount(program("pg_ctl"), append([]string{"-D", data, "-w"}, args...)...)
		if r := s.runCmd(cmd); r.code != 0 {
			t.Fatalf("pg_ctl %v: %s%s", args, r.out, r.err)
		}
	}
	ctl("-l", "/dev/null", "restart")
	eventually(t, "the restart to be noticed", func() bool { return strings.Contains(s.ok("pg", "list"), "running") })
	second := pidIn(t, filepath.Join(data, "postmaster.pid"))
	if second == first {
		t.Fatalf("pg_ctl did not restart process %d", first)
	}
	if again := s.start("main"); again != url {
		t.Errorf("start it again: %s, want %s", again, url)
	}
	s.want(url, "SELECT i FROM t", "1")
	kill9(t, second)
	eventually(t, "postgres to be started anew", func() bool { return strings.Contains(s.ok("pg", "list", "-o", "json"), `"restarts": "1"`) })
	s.want(url, "SELECT i FROM t", "1")
	ctl("-m", "immediate", "stop")
	eventually(t, "the stop to be noticed", func() bool { return strings.Contains(s.ok("pg", "list"), "stopped") })
	dir := s.mountDir("elsewhere")
	eventually(t, "the branch to be free", func() bool { return s.run("mount", "main", dir).code == 0 })
	s.ok("umount", dir)
	url = s.start("main")
	s.want(url, "SELECT i FROM t", "1")
	s.ok("pg", "stop", "main")
}

// TestStopOneOfTwo: where a postgres of the same name runs on a mount and on a copy, pg stop takes the one that the
// user names, and asks where it may be either.
func TestStopOneOfTwo(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.start("main", "--copy")
	onMount := s.start("main")
	if said := s.fails(2, "pg", "stop", "main"); !strings.Contains(said, "--copy=false") {
		t.Errorf("pg stop says %q", said)
	}
	s.ok("pg", "stop", "main", "--copy")
	s.want(onMount, "SELECT 1", "1")
	s.ok("pg", "stop", "main") // the one that runs
	s.fails(13, "pg", "stop", "main")
	s.fails(2, "pg", "stop", "main", "--destroy")
	s.ok("pg", "stop", "main", "--destroy", "--copy=false")
	s.start("main", "--copy")
	s.ok("stop")
	s.ok("pg", "stop", "main", "--destroy") // needs no page server
	s.ok("start")
	s.fails(13, "pg", "stop", "main", "--copy")
	s.fails(2, "export", "main", "--tar", filepath.Join(s.dir, "main.zip"))
}

// TestSlotsAreStartedOn: a server finds room for the slots that an earlier one on the branch has left, and writes the
// WAL that they need, though nothing is set any more that said so. Other branches have no slots, and no such settings.
func TestSlotsAreStartedOn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	main := s.start("main", "--set", "wal_level=logical", "--set", "max_replication_slots=20", "--set", "track_commit_timestamp=on")
	s.sql(main, "SELECT pg_create_logical_replication_slot('l', 'test_decoding')", "CREATE TABLE t ()",
		"SELECT pg_create_physical_replication_slot('p' || i) FROM generate_series(1, 11) i")
	s.ok("pg", "stop", "main")
	s.ok("branch", "dev", "main")
	said := s.run("pg", "start", "main", "--unset", "wal_level", "--unset", "max_replication_slots", "--unset", "track_commit_timestamp")
	if said.code != 0 || !strings.Contains(said.err, "12 replication slots are in this state") {
		t.Fatalf("pg start: exit %d: %s", said.code, said.err)
	}
	s.want(s.url("main"), "SELECT current_setting('wal_level'), current_setting('max_replication_slots'), current_setting('track_commit_timestamp')", "logical|12|on")
	s.want(s.url("main"), "SELECT count(*) FROM pg_logical_slot_get_changes('l', NULL, NULL)", "2")
	s.want(s.start("dev"), "SELECT current_setting('wal_level'), count(*) FROM pg_replication_slots", "replica|0")
}

// TestDestroyedDataIsNotCheckpointed: pg stop --destroy waits for no shutdown checkpoint of data that it throws away.
// A branch keeps what a clean stop leaves.
func TestDestroyedDataIsNotCheckpointed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, c := range []struct{ args, mode string }{
		{"main", "fast"}, {"main --copy", "immediate"}, {"main@" + s.lsn("main"), "immediate"},
	} {
		args := strings.Fields(c.args)
		s.start(args[0], args[1:]...)
		logs, err := filepath.Glob(filepath.Join(s.work, "*", "*", "*", "postgres.log"))
		more, merr := filepath.Glob(filepath.Join(s.work, "*", "*", "postgres.log"))
		deep, derr := filepath.Glob(filepath.Join(s.work, "*", "*", "*", "*", "postgres.log"))
		logs = append(append(logs, more...), deep...)
		if err != nil || merr != nil || derr != nil || len(logs) != 1 {
			t.Fatalf("logs of %s: %q", c.args, logs)
		}
		log, err := os.Open(logs[0])
		if err != nil {
			t.Fatal(err)
		}
		defer log.Close()
		s.ok("pg", "stop", "--destroy", args[0])
		said, err := io.ReadAll(log)
		if err != nil || !strings.Contains(string(said), "received "+c.mode+" shutdown request") {
			t.Errorf("pg stop --destroy of %s is not %s: %s, %v", c.args, c.mode, said, err)
		}
	}
}
