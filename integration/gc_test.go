package integration

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"zenith/internal/pg"
)

// diskUse gives the bytes on disk of the files below the work directory that match a pattern.
func (s *site) diskUse(pattern string) (bytes int64) {
	s.t.Helper()
	roots, err := filepath.Glob(filepath.Join(s.work, pattern))
	for _, root := range roots {
		err = filepath.WalkDir(root, func(_ string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if st, ok := info.Sys().(*syscall.Stat_t); err == nil && ok {
				bytes += st.Blocks * 512
			}
			return err
		})
	}
	if err != nil || bytes == 0 {
		s.t.Fatalf("disk use of %s: %d bytes, %v", pattern, bytes, err)
	}
	return bytes
}

const (
	stores = "tenants/*/store"
	wals   = "tenants/*/timelines"
)

// state mounts a point, and gives the fingerprint of its data directory.
func (s *site) state(point string) string {
	s.t.Helper()
	dir, err := os.MkdirTemp(s.dir, "state")
	if err != nil {
		s.t.Fatal(err)
	}
	s.ok("mount", point, dir)
	sum := fingerprint(s.t, dir)
	s.ok("umount", dir)
	return sum
}

// behind gives the bytes of WAL from an LSN to the head of main.
func (s *site) behind(lsn string) string {
	s.t.Helper()
	return fmt.Sprintf("%dB", s.mustLSN(s.lsn("main"))-s.mustLSN(lsn))
}

func (s *site) mustLSN(text string) pg.LSN {
	s.t.Helper()
	lsn, err := pg.ParseLSN(text)
	if err != nil {
		s.t.Fatal(err)
	}
	return lsn
}

// forgotten expects all commands to refuse a point, with an error that tells where the horizon is.
func (s *site) forgotten(lsn, horizon string) {
	s.t.Helper()
	at := "main@" + lsn
	dir := filepath.Join(s.dir, "nothing")
	for _, args := range [][]string{
		{"lsn", at}, {"branch", "late", at}, {"mount", at, dir}, {"mount", at, dir, "--scratch"}, {"export", at, "--dir", dir},
		{"pg", "exec", at, "--", "true"}, {"page", "dump", at, "global/1262", "0"}, {"wal", "dump", "main", lsn},
	} {
		if line := s.fails(14, args...); !strings.Contains(line, "horizon") || !strings.Contains(line, horizon) {
			s.t.Errorf("%v: %q does not say that the horizon is at %s", args, line, horizon)
		}
	}
	s.wireFails("22003", "lease "+s.ok("tenant", "list")+" main "+lsn)
}

// TestGC forgets history. What is above the horizon, and what a branch, a mount or a lease needs, stays as it
// was, byte for byte. Everything else is refused, and its space is free again.
func TestGC(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	main := s.start("main")
	// step writes more than a segment of WAL, and gives the LSN of the head then.
	step := func() string {
		s.sql(main, "UPDATE t SET v = v + 1, s = md5(s)", "DELETE FROM t WHERE g % 17 = 3 AND v = 3", "VACUUM t", "SELECT pg_switch_wal()")
		return s.lsn("main")
	}
	s.sql(main, "CREATE TABLE t AS SELECT g, 0 AS v, md5(g::text) AS s FROM generate_series(1, 20000) g", "CREATE INDEX ON t (s)")
	var points []string
	for range 7 {
		points = append(points, step())
	}
	branched, leased, mounted, lost, horizon, above := points[0], points[1], points[2], points[3], points[4], points[5]
	s.ok("branch", "dev", "main@"+branched)
	dev := s.start("dev")
	s.sql(dev, "UPDATE t SET v = 100 WHERE g < 5000", "CREATE TABLE own AS SELECT g, repeat(md5(g::text), 100) AS s FROM generate_series(1, 20000) g", "SELECT pg_switch_wal()")
	s.ok("pg", "stop", "dev")
	until := s.wire("lease " + s.ok("tenant", "list") + " main " + leased)
	if at, err := time.Parse("2006-01-02 15:04:05.999999-07", until); err != nil || time.Until(at) < 9*time.Minute || time.Until(at) > 11*time.Minute {
		t.Errorf("leased until %q: %v", until, err)
	}
	dir := s.mountDir("mounted")
	s.ok("mount", "main@"+mounted, dir)
	want := map[string]string{dir: fingerprint(t, dir)}
	kept := []string{"main@" + branched, "dev@" + branched, "main@" + leased, "main@" + horizon, "main@" + above, "dev@" + s.lsn("dev")}
	for _, point := range kept {
		want[point] = s.state(point)
	}
	same := func() {
		t.Helper()
		for _, point := range kept {
			if s.state(point) != want[point] {
				t.Errorf("%s is not what it was", point)
			}
		}
	}
	walBefore := s.diskUse(wals)

	s.ok("gc", "main", "--retain", s.behind(horizon), "--force") // while postgres runs on the head: its WAL must stay
	same()
	if fingerprint(t, dir) != want[dir] {
		t.Error("the mount is not what it was")
	}
	s.forgotten(lost, horizon)
	s.sql(main, "CHECKPOINT")
	s.ok("pg", "stop", "main")
	s.ok("gc", "main", "--retain", "1GB") // the horizon does not move back
	s.fails(14, "lsn", "main@"+lost)
	if line := s.fails(14, "lsn", "main@-1h"); !strings.Contains(line, "horizon") {
		t.Errorf("an hour ago: %s", line)
	}
	s.clean()
	same()
	if walAfter := s.diskUse(wals); walAfter > walBefore-16<<20 {
		t.Errorf("%d bytes of WAL before, %d after", walBefore, walAfter)
	}

	s.ok("umount", dir)
	s.fails(14, "lsn", "main@"+mounted)
	s.ok("restart") // a lease survives a restart
	s.ok("gc", "--retain", s.behind(horizon), "--force")
	store := s.diskUse(stores)
	s.ok("branch", "delete", "dev", "-f")
	s.ok("gc", "--force")
	if after := s.diskUse(stores); after > store-1<<20 {
		t.Errorf("the store takes %d bytes, and %d without the branch", store, after)
	}
	s.fails(14, "lsn", "main@"+branched)
	kept = []string{"main@" + leased, "main@" + horizon, "main@" + above}
	same()
	s.clean()
	if got := s.wire("do_gc " + s.ok("tenant", "list") + " main 0"); len(strings.Split(got, "|")) != 5 {
		t.Errorf("do_gc: %q", got)
	}
	s.fails(14, "lsn", "main@"+above)
	if wal := s.diskUse(wals); wal > 5*16<<20 { // the lease and the head need up to five segments
		t.Errorf("%d bytes of WAL are left", wal)
	}
	main = s.start("main")
	s.want(main, "SELECT count(*) > 15000 AND min(v) = 7 FROM t", "t")
	s.checkIndexes(main)
}

// TestGCKilled kills the page server in the middle of collections. That does no harm; and after a collection
// that comes to its end, store and WAL take about as much space as a plain data directory.
func TestGCKilled(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	main := s.start("main")
	s.tool("pgbench", "-i", "-q", "-s", "2", main)
	s.ok("branch", "dev", "main")
	s.tool("pgbench", "-n", "-t", "1000", "-c", "2", main)
	at := "main@" + s.lsn("main")
	s.tool("pgbench", "-n", "-t", "500", "-c", "2", main)
	s.ok("pg", "stop", "main")
	s.flush()
	head := "main@" + s.lsn("main")
	want := []string{s.state(at), s.state(head), s.state("dev")}
	rnd := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	for i := range 3 {
		gc := exec.Command(binary, "-D", s.work, "-q", "gc", "--retain", s.behind(strings.TrimPrefix(at, "main@")), "--force")
		if err := gc.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(20+rnd.IntN(200*(i+1))) * time.Millisecond)
		kill9(t, pidIn(t, filepath.Join(s.work, "pageserver.pid")))
		_ = gc.Wait() // an error is no surprise: gc has lost its page server, unless it was done before
		s.ok("start")
		s.clean()
	}
	got := []string{s.state(at), s.state(head), s.state("dev")}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("state %d is not what it was", i)
		}
	}
	s.ok("branch", "delete", "dev", "-f")
	s.ok("gc", "--retain", "0B", "--force")
	s.clean()
	if s.state(head) != want[1] {
		t.Error("the head is not what it was")
	}
	plain := filepath.Join(s.dir, "plain")
	s.ok("export", head, "--dir", plain)
	rel, err := filepath.Rel(s.work, plain)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := s.diskUse(stores)+s.diskUse(wals), s.diskUse(rel)
	t.Logf("store and WAL take %.2f times the plain data directory's %d MiB", float64(ours)/float64(theirs), theirs>>20)
	if ours*10 > theirs*11 {
		t.Errorf("store and WAL take %d bytes, a plain data directory %d", ours, theirs)
	}
}

// TestRetention: the page server forgets by itself, while a load runs on the head, the history that its settings
// do not retain.
func TestRetention(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.ok("stop")
	other := "0123456789abcdef0123456789abcdef"
	file := filepath.Join(s.work, "pageserver.toml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	set := func(more string) {
		if err := os.WriteFile(file, append(text[:len(text):len(text)], more...), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	set("[retention]\ntime = \"soon\"\n")
	if line := s.fails(1, "start"); !strings.Contains(line, file+":") || !strings.Contains(line, "soon") {
		t.Errorf("the error does not name the line: %s", line)
	}
	set("[retention]\ntime = \"1s\"\ninterval = \"1s\"\n[tenants." + other + ".retention]\nbytes = \"1TB\"\n")
	s.ok("start")
	s.ok("tenant", "create", other)
	main := s.start("main")
	s.sql(main, "CREATE TABLE early AS SELECT 1") // so that the point is not the one at which the mount began, which is kept
	first, otherFirst := s.lsn("main"), s.ok("lsn", "main", "--tenantid", other)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s.tool("pgbench", "-i", "-q", "-s", "2", main)
	load := exec.CommandContext(ctx, program("pgbench"), "-n", "-c", "2", "-t", "2000", main)
	if err := load.Start(); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		s.sql(main, fmt.Sprintf("CREATE TABLE t%d AS SELECT 1", i), "SELECT pg_switch_wal()")
	}
	s.sql(main, "CHECKPOINT")
	eventually(t, "the first point to be forgotten", func() bool { return s.run("lsn", "main@"+first).code == 14 })
	if err := load.Wait(); err != nil {
		t.Errorf("pgbench: %v", err)
	}
	s.want(main, "SELECT (SELECT sum(tbalance) FROM pgbench_tellers) = (SELECT sum(abalance) FROM pgbench_accounts)", "t")
	s.checkIndexes(main)
	s.ok("pg", "stop", "main")
	s.clean()
	s.ok("lsn", "main@"+otherFirst, "--tenantid", other)
}
