package integration

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"zenith/internal/pgtest"
)

// TestIOMethods has PostgreSQL 18 read and write a mount in each of its ways: by its own workers, by io_uring, by plain
// calls, and with all files open for direct I/O. Buffers are few, so that the ways are taken. Its server is killed, and
// what a server that does it the plain way finds then is what was acknowledged.
func TestIOMethods(t *testing.T) {
	t.Parallel()
	if pgtest.Version().Major != 15 {
		t.Skip("brings its own version")
	}
	in := pgtest.Installed(t, "18")
	s := emptySite(t)
	s.ok("init", "--pg-distrib", in.Dir)
	s.ok("start")
	start := func(method, direct string) string {
		return s.start("main", "--set", "io_method="+method, "--set", "debug_io_direct="+direct, "--set", "shared_buffers=2MB",
			"--set", "effective_io_concurrency=16", "--set", "io_combine_limit=16")
	}
	dump := func(url string) string {
		return s.runCmd(exec.Command(in.Program("pg_dump"), "--restrict-key=same", url)).out
	}
	l := &ledger{}
	s.sql(start("sync", ""), "CREATE TABLE ledger (i int PRIMARY KEY)")
	for _, c := range []struct{ method, direct string }{
		{"worker", "data, wal, wal_init"}, {"io_uring", ""}, {"io_uring", "data, wal, wal_init"}, {"sync", "data, wal, wal_init"},
	} {
		if c.method == "io_uring" && !hasIOUring() {
			t.Log("no io_uring here")
			continue
		}
		s.ok("pg", "stop", "main", "--destroy")
		url := start(c.method, c.direct)
		s.want(url, "SELECT current_setting('io_method'), current_setting('debug_io_direct')", c.method+"|"+c.direct)
		s.sql(url, churn...)
		s.sql(url, "DROP TABLE IF EXISTS big", "CREATE TABLE big AS SELECT g, repeat(md5(g::text), 8) AS t FROM generate_series(1, 10000) g",
			"CREATE INDEX ON big (g)", "DELETE FROM big WHERE g % 3 = 0", "VACUUM big", "CHECKPOINT")
		const sums = "SELECT count(*), sum(g), sum(hashtext(t)) FROM big"
		want := s.sql(url, sums)
		l.during(s, url, 20, func() {
			kill9(t, pidIn(t, filepath.Join(s.work, "pageserver.pid")))
		})
		s.ok("start")
		url = start("sync", "")
		l.check(s, url)
		s.want(url, sums, want)
		s.checkIndexes(url)
		plain := dump(url)
		s.ok("pg", "stop", "main", "--destroy")
		url = start(c.method, c.direct)
		if got := dump(url); got != plain || len(got) < 10000 {
			t.Errorf("io_method=%s debug_io_direct=%q: a dump of %d bytes differs from the plain one of %d", c.method, c.direct, len(got), len(plain))
		}
	}
	if out := s.ok("check"); !strings.Contains(out, "0 problems") {
		t.Errorf("check: %s", out)
	}
}

// hasIOUring says whether the kernel lets programs here use io_uring: one that does complains of the missing parameters, and
// one that does not, or a container, refuses the call.
func hasIOUring() bool {
	_, _, err := unix.Syscall(unix.SYS_IO_URING_SETUP, 1, 0, 0)
	return err == unix.EFAULT
}
