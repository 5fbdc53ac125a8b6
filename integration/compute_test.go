package integration

import (
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
	s.asOwner("pg_ctl", "-D", data, "-w", "-l", "/dev/null", "restart")
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
	s.asOwner("pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
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
