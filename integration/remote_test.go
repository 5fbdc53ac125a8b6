package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// remoteSite is a work directory that only points to another site's page server.
func remoteSite(t *testing.T, to *site) *site {
	t.Helper()
	s := emptySite(t)
	out := s.ok("init", "--remote-pageserver", to.addr(), "--pg-distrib", pgDistrib)
	if !strings.Contains(out, "using page server "+to.addr()) || !strings.Contains(out, "using tenantid "+to.ok("tenant", "list")) {
		t.Errorf("init --remote-pageserver says %q", out)
	}
	return s
}

// TestRemoteWorkdir works from a work directory that has no page server of its own.
func TestRemoteWorkdir(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	r := remoteSite(t, s)
	r.fails(12, "start")
	r.fails(12, "stop")
	main := r.start("main") // on a mount, because the page server runs on this machine
	r.sql(main, "CREATE TABLE t AS SELECT g AS i FROM generate_series(1, 100) g")
	head := r.lsn("main")
	if got := s.lsn("main@" + head); got != head {
		t.Errorf("lsn there %s, here %s", head, got)
	}
	r.ok("branch", "dev", "main@"+head)
	if here, there := s.ok("branch"), r.ok("branch"); here != there || !strings.Contains(there, "dev") {
		t.Errorf("branches:\n%s\nand\n%s", here, there)
	}
	path := r.sql(main, "SELECT pg_relation_filepath('t')")
	r.ok("pg", "stop", "main") // so that nothing is written between the two answers
	for _, args := range [][]string{
		{"tenant", "list"}, {"branch", "-o", "json"}, {"mount", "list"}, {"pg", "list"}, {"receive", "list"}, {"check"},
		{"wal", "dump", "main"}, {"page", "dump", "main@" + head, path, "0"},
	} {
		if here, there := s.ok(args...), r.ok(args...); here != there {
			t.Errorf("%v: here\n%s\nthere\n%s", args, here, there)
		}
	}
	if out := r.ok("status"); !strings.Contains(out, "running") || !strings.Contains(out, s.addr()) {
		t.Errorf("status:\n%s", out)
	}
	r.fails(13, "receive", "stop", "main")
	r.ok("tenant", "create")
	r.ok("export", "dev", "--dir", filepath.Join(r.dir, "exported"))
	r.tool("pg_controldata", filepath.Join(r.dir, "exported"))
	dir := r.mountDir("mnt")
	r.ok("mount", "main@"+head, dir)
	r.tool("pg_controldata", dir)
	r.ok("umount", dir)
	if out := r.ok("pg", "exec", "dev", "--", program("psql"), "-XAtc", "SELECT count(*) FROM t"); out != "100" {
		t.Errorf("pg exec: %q", out)
	}
	entries, err := os.ReadDir(r.work)
	if err != nil || len(entries) != 1 {
		t.Errorf("the work directory has more than its config: %v, %v", entries, err)
	}
	s.ok("stop")
	if out := r.ok("status"); !strings.Contains(out, "not reachable") {
		t.Errorf("status of a page server that is gone:\n%s", out)
	}
	r.fails(1, "branch")
	s.ok("start")
}

// TestCopies runs postgres on copies of points: nothing that is written there is in the branch.
func TestCopies(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	r := remoteSite(t, s)
	main := s.start("main")
	s.sql(main, "CREATE TABLE t AS SELECT g AS i FROM generate_series(1, 100) g")
	before := s.lsn("main")
	s.sql(main, "DELETE FROM t WHERE i > 50")

	count := []string{"--", program("psql"), "-XAtc", "SELECT count(*) FROM t"}
	for point, want := range map[string]string{"main": "50", "main@" + before: "100"} {
		if got := r.ok(append([]string{"pg", "exec", "--copy", point}, count...)...); got != want {
			t.Errorf("%s: %s rows, want %s", point, got, want)
		}
	}
	if res := r.run("pg", "exec", "--copy", "main", "--", "sh", "-c", "exit 7"); res.code != 7 {
		t.Errorf("exit status %d, want 7: %s", res.code, res.err)
	}
	r.fails(13, "pg", "exec", "--copy", "nosuch", "--", "true")

	res := r.run("pg", "start", "main", "--copy", "--set", "work_mem=9MB")
	if res.code != 0 || strings.Count(res.err, "\n") != 1 || !strings.Contains(res.err, "what is written to it is not in the branch") {
		t.Fatalf("pg start --copy: exit %d, %q", res.code, res.err)
	}
	t.Cleanup(func() {
		_ = exec.Command(binary, "-D", r.work, "pg", "stop", "main", "--destroy", "-m", "immediate").Run()
	})
	lines := strings.Split(strings.TrimSpace(res.out), "\n")
	url := lines[len(lines)-1]
	r.want(url, "SHOW work_mem", "9MB")
	r.want(url, "SHOW zenith.tenant_id", s.ok("tenant", "list"))
	r.sql(url, "INSERT INTO t SELECT g FROM generate_series(1, 7) g")
	s.want(main, "SELECT count(*) FROM t", "50")
	listed := func(status string) {
		t.Helper()
		if list := r.ok("pg", "list"); !strings.Contains(list, status+"(copy)") {
			t.Errorf("want a copy that is %s:\n%s", status, list)
		}
	}
	listed("running")
	if again := r.start("main", "--copy"); again != url {
		t.Errorf("start it again: %s, want %s", again, url)
	}
	r.fails(11, "pg", "start", "main", "--copy", "--set", "work_mem=10MB")
	r.fails(1, "pg", "create", "main", "--copy")
	s.ok("stop") // a copy needs no page server
	r.want(url, "SELECT count(*) FROM t", "57")
	r.ok("pg", "stop", "main")
	s.ok("start")
	listed("stopped")
	r.ok("pg", "start", "main", "--copy")
	r.want(url, "SELECT count(*) FROM t", "57")
	r.want(url, "SHOW work_mem", "9MB")
	data, err := filepath.Glob(filepath.Join(r.work, "pg", "*", "main", "data"))
	if err != nil || len(data) != 1 {
		t.Fatalf("data directories: %v, %v", data, err)
	}
	kill9(t, pidIn(t, filepath.Join(data[0], "postmaster.pid")))
	listed("crashed")
	r.ok("pg", "start", "main", "--copy") // a copy is an ordinary directory: postgres does crash recovery on it
	r.want(url, "SELECT count(*) FROM t", "57")
	r.ok("pg", "stop", "main", "--destroy", "--copy")
	if list := r.ok("pg", "list"); strings.Contains(list, "copy") {
		t.Errorf("destroyed, and listed:\n%s", list)
	}
	if left, err := filepath.Glob(filepath.Join(r.work, "pg", "*", "[^.]*")); err != nil || len(left) != 0 {
		t.Errorf("something is left of copies: %v, %v", left, err)
	}
}

// TestComputeLife follows a postgres from pg create to a crash and back. Its settings stay.
func TestComputeLife(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	listed := func(want string) {
		t.Helper()
		for line := range strings.Lines(s.ok("pg", "list")) {
			if f := strings.Fields(line); len(f) == 4 && f[0] == "main" {
				if f[3] != want || want != "running" && f[2] != s.lsn("main") { // while it runs, postgres writes WAL by itself
					t.Errorf("pg list: %q, want %s at %s", line, want, s.lsn("main"))
				}
				return
			}
		}
		t.Errorf("pg list has no main:\n%s", s.ok("pg", "list"))
	}
	s.ok("pg", "create", "main", "--set", "work_mem=9MB", "--set", "log_min_messages=notice")
	listed("stopped")
	s.fails(1, "pg", "create", "main")
	url := s.start("main")
	listed("running")
	if again := s.start("main"); again != url {
		t.Errorf("start it again: %s, want %s", again, url)
	}
	for setting, want := range map[string]string{
		"work_mem": "9MB", "log_min_messages": "notice",
		"zenith.tenant_id": s.ok("tenant", "list"), "zenith.timeline_id": s.timelines(s.ok("tenant", "list"))["main"],
	} {
		s.want(url, "SHOW "+setting, want)
	}
	s.want(url, "SELECT setting, source FROM pg_settings WHERE name = 'log_min_messages'", "notice|command line")
	s.sql(url, "CREATE TABLE t AS SELECT 1 AS i", "ALTER SYSTEM SET maintenance_work_mem = '77MB'")
	data, err := filepath.Glob(filepath.Join(s.work, "tenants", "*", "pg", "main", "data"))
	if err != nil || len(data) != 1 {
		t.Fatalf("data directories: %v, %v", data, err)
	}
	conf, err := os.OpenFile(filepath.Join(data[0], "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = conf.WriteString("statement_timeout = '123s'\n")
	if cerr := conf.Close(); err != nil || cerr != nil {
		t.Fatal(err, cerr)
	}
	settings := func() {
		t.Helper()
		s.want(url, "SHOW work_mem", "9MB")
		s.want(url, "SHOW maintenance_work_mem", "77MB")
		s.want(url, "SHOW statement_timeout", "123s")
		s.want(url, "SELECT count(*) FROM t", "1")
	}
	s.ok("pg", "stop", "main")
	listed("stopped")
	s.fails(13, "pg", "stop", "main")
	if again := s.start("main"); again != url {
		t.Errorf("started again at %s, was %s", again, url)
	}
	settings()

	kill9(t, pidIn(t, filepath.Join(data[0], "postmaster.pid")))
	eventually(t, "the page server to start it anew", func() bool { return strings.Contains(s.ok("pg", "list", "-o", "json"), `"restarts": "1"`) })
	s.start("main")
	listed("running")
	settings()
	s.ok("pg", "stop", "main")
	s.ok("restart")
	listed("stopped")
	s.start("main", "--set", "work_mem=10MB")
	s.want(url, "SHOW work_mem", "10MB")
	s.want(url, "SHOW log_min_messages", "notice")
	s.sql(url, "ALTER SYSTEM RESET ALL")
	s.ok("branch", "dev", "main")
	dev := s.start("dev") // a branch has the configuration files of its parent, not the --set of pg start
	s.want(dev, "SHOW statement_timeout", "123s")
	s.want(dev, "SHOW work_mem", "4MB")
}
