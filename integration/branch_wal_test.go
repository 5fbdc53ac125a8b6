package integration

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"zenith/internal/pgtest"
)

// TestBranchFarIntoSegment starts a branch whose first segment is its ancestor's up to far in. Little is written for it,
// and it does all that any branch does: its commits outlive a crash, a branch of it starts, and a standby that
// streams from its server, which begins at the start of that segment, follows it.
func TestBranchFarIntoSegment(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	main := s.start("main")
	s.sql(main, "CREATE TABLE ledger (i int PRIMARY KEY)", "SELECT pg_switch_wal()",
		"CREATE TABLE filler AS SELECT g AS i, repeat('x', 500) AS x FROM generate_series(1, 4000) g")
	s.ok("branch", "dev", "main")
	dev := s.start("dev", "--tcp")
	segments, err := filepath.Glob(filepath.Join(s.work, "tenants", "*", "timelines", s.timelines(s.ok("tenant", "list"))["dev"], "wal", "0*"))
	if err != nil || len(segments) == 0 {
		t.Fatalf("segments %q, %v", segments, err)
	}
	info, err := os.Stat(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	// A server that may summarize its WAL reads all of its first segment.
	if onDisk := info.Sys().(*syscall.Stat_t).Blocks * 512; onDisk > 1<<20 && !pgtest.Version().SummarizesWAL {
		t.Errorf("a branch that was started takes %d KiB of disk for WAL", onDisk>>10)
	}
	l := &ledger{}
	l.during(s, dev, 100, func() {
		kill9(t, pidIn(t, filepath.Join(s.work, "pageserver.pid")))
		s.ok("start")
	})
	dev = s.start("dev", "--tcp")
	l.check(s, dev)
	s.want(dev, "SELECT count(*), sum(i) FROM filler", "4000|8002000")

	s.sql(dev, "CREATE ROLE replica REPLICATION LOGIN PASSWORD 'replica'")
	address := s.compute("", "dev").Address
	port := address[strings.LastIndexByte(address, ':')+1:]
	dir := filepath.Join(pgtest.TempDir(t), "data")
	s.asOwner("pg_basebackup", "-d", "host=127.0.0.1 user=replica password=replica port="+port, "-D", dir, "-R", "-c", "fast")
	standby := s.serveStandby(dir)
	s.sql(dev, "INSERT INTO filler VALUES (0, 'after')")
	standby.follows(dev)
	standby.same(dev, "SELECT count(*), sum(i) FROM filler")
}
