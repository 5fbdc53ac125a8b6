package integration

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// addr gives the address of the site's page server.
func (s *site) addr() string {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.work, "pageserver.addr"))
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

var pushed = regexp.MustCompile(`^pushed (\S+) to \S+: .*; sent (\d+) bytes$`)

// push pushes a branch to a remote and gives how many bytes were sent.
func (s *site) push(args ...string) int {
	s.t.Helper()
	out := s.ok(append([]string{"push"}, args...)...)
	m := pushed.FindStringSubmatch(out)
	if m == nil {
		s.t.Fatalf("push says %q", out)
	}
	n, err := strconv.Atoi(m[2])
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// sums gives the SHA-256 of each file below dir, by path, and "directory" for each directory.
func sums(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		name, _ := filepath.Rel(dir, path)
		if err != nil || d.IsDir() {
			all[name] = "directory"
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		h := sha256.New()
		if _, err := io.Copy(h, f); err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
		all[name] = hex.EncodeToString(h.Sum(nil))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// twins are the trees that two page servers have of one tenant.
type twins struct {
	t      *testing.T
	tenant string
	a, b   string // where their trees are mounted
}

func newTwins(t *testing.T, a, b *site) *twins {
	t.Helper()
	w := &twins{t: t, tenant: a.ok("tenant", "list"), a: a.mountDir("tree"), b: b.mountDir("tree")}
	a.ok("mount", w.a)
	b.ok("mount", w.b)
	return w
}

// same compares all files of a state on both page servers.
func (w *twins) same(timeline, lsn string) {
	w.t.Helper()
	at := filepath.Join("tenants", w.tenant, "timelines", timeline+"@"+strings.ReplaceAll(lsn, "/", "_"))
	ours, theirs := sums(w.t, filepath.Join(w.a, at)), sums(w.t, filepath.Join(w.b, at))
	if len(ours) < 800 {
		w.t.Errorf("%s has %d files only", at, len(ours))
	}
	for name, sum := range ours {
		if theirs[name] != sum {
			w.t.Errorf("%s: %s is %q here and %q there", at, name, sum, theirs[name])
		}
		delete(theirs, name)
	}
	if len(theirs) > 0 {
		w.t.Errorf("%s: only there: %v", at, theirs)
	}
}

// timelines gives the timeline ids of a site's branches, by name.
func (s *site) timelines(tenant string) map[string]string {
	s.t.Helper()
	ids := map[string]string{}
	found := regexp.MustCompile(`"name": "([^"]+)",\s+"timeline_id": "([0-9a-f]{32})"`)
	for _, m := range found.FindAllStringSubmatch(s.ok("branch", "-o", "json", "--tenantid", tenant), -1) {
		ids[m[1]] = m[2]
	}
	return ids
}

// TestPush pushes branches to another page server. It then has every state of them.
func TestPush(t *testing.T) {
	t.Parallel()
	a, b := newSite(t), newSite(t)
	tenant := a.ok("tenant", "list")
	main := a.start("main")
	lsn := func(url string) string { return a.sql(url, "SELECT pg_current_wal_insert_lsn()") }
	a.ok("remote", "add", "there", b.addr())
	a.fails(13, "push", "main", "nowhere")
	a.fails(13, "push", "nosuch", "there")

	a.sql(main, "CREATE TABLE t (i int PRIMARY KEY, v text)", "INSERT INTO t SELECT g, 'v' || g FROM generate_series(1, 5000) g")
	points := []string{lsn(main)}
	a.sql(main, "ALTER SYSTEM SET work_mem = '5MB'", "UPDATE t SET v = v || '!' WHERE i % 3 = 0", "CREATE UNLOGGED TABLE u AS SELECT 1 AS i")
	points = append(points, lsn(main))
	a.sql(main, "CREATE DATABASE other"+strategy("file_copy"), "ALTER SYSTEM SET work_mem = '6MB'")
	a.ok("branch", "dev", "main")
	branched := a.lsn("dev")
	dev := a.start("dev")
	a.sql(dev, "DELETE FROM t WHERE i % 2 = 0", "ALTER SYSTEM SET work_mem = '7MB'", "VACUUM t")
	points = append(points, branched, lsn(dev))
	a.sql(dev, "TRUNCATE t", "INSERT INTO t SELECT g, 'dev' FROM generate_series(1, 777) g")
	a.sql(main, "INSERT INTO t SELECT g, 'more' FROM generate_series(5001, 9000) g")

	// A push brings what the branch shares with its ancestor, too; the ancestor has no name there.
	points = append(points, a.lsn("dev")) // asked before the push, because postgres writes WAL by itself
	a.push("dev", "there")
	here, there := a.timelines(tenant), b.timelines(tenant)
	if there["dev"] != here["dev"] || there[here["main"]] != here["main"] || len(there) != 2 {
		t.Errorf("branches there: %v, here: %v", there, here)
	}
	w := newTwins(t, a, b)
	for _, at := range points {
		w.same(here["dev"], at)
	}
	onB := func(point string) string {
		return b.ok("pg", "exec", "--tenantid", tenant, point, "--", program("psql"), "-XAtc", "SELECT count(*), max(v) FROM t")
	}
	if got := onB("dev"); got != "777|dev" {
		t.Errorf("dev there: %q", got)
	}

	// A push of the ancestor sends only what follows the branch point.
	head := a.lsn("main")
	sent := a.push("main", "there")
	if there = b.timelines(tenant); there["main"] != here["main"] || len(there) != 2 {
		t.Errorf("branches there: %v, here: %v", there, here)
	}
	if got := onB("main"); got != "9000|v999!" {
		t.Errorf("main there: %q", got)
	}
	if delta := walBetween(a, main, branched, a.lsn("main")); sent > delta+64<<10 {
		t.Errorf("sent %d bytes for %d of WAL", sent, delta)
	}
	for range 3 {
		w.same(here["main"], someLSN(a, main, points[0], head))
	}

	// The next push sends what is new: nothing, if nothing is.
	a.ok("pg", "stop", "main")
	a.push("main", "there")
	if n := a.push("main", "there"); n != 0 {
		t.Errorf("nothing is new, and %d bytes were sent", n)
	}
	before := a.lsn("main")
	main = a.start("main")
	a.sql(main, "UPDATE t SET v = 'new' WHERE i < 500")
	head = a.lsn("main")
	if n, delta := a.push("main", "there"), walBetween(a, main, before, head); n < delta || n > delta+delta/10+64<<10 {
		t.Errorf("sent %d bytes for %d of WAL", n, delta)
	}
	w.same(here["main"], head)
	if out := b.ok("check", "--tenantid", tenant); strings.Contains(out, "problem") && !strings.Contains(out, " 0 problems") {
		t.Errorf("check there: %s", out)
	}

	// A branch that was written to on the other page server is not overwritten.
	url := b.start("dev", "--tenantid", tenant)
	b.sql(url, "INSERT INTO t VALUES (100000, 'only there')")
	b.ok("pg", "stop", "dev", "--tenantid", tenant)
	// Which of the two reasons is given depends on whether the server here has written more by itself.
	if line := a.fails(12, "push", "dev", "there"); !strings.Contains(line, "is not here") && !strings.Contains(line, "different ways") {
		t.Errorf("refused: %s", line)
	}
	a.sql(dev, "INSERT INTO t SELECT g, 'longer' FROM generate_series(10000, 20000) g")
	if line := a.fails(12, "push", "dev", "there"); !strings.Contains(line, "different ways") {
		t.Errorf("refused: %s", line)
	}
	a.fails(12, "push", "main", "there", "--remote-tenantid", strings.Fields(strings.ReplaceAll(b.ok("tenant", "list"), tenant, ""))[0]) // another cluster

	a.ok("pg", "stop", "main")
	const second = "fedcba9876543210fedcba9876543210"
	a.push("main", "there", "--remote-tenantid", second)
	if got := b.ok("lsn", "main", "--tenantid", second); got != a.lsn("main") {
		t.Errorf("main of the second tenant is at %s", got)
	}
}

func walBetween(s *site, url, from, to string) int {
	s.t.Helper()
	n, err := strconv.Atoi(s.sql(url, fmt.Sprintf("SELECT '%s'::pg_lsn - '%s'::pg_lsn", to, from)))
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// someLSN gives a random LSN between two.
func someLSN(s *site, url, from, to string) string {
	s.t.Helper()
	off := rand.IntN(walBetween(s, url, from, to))
	return s.sql(url, fmt.Sprintf("SELECT '%s'::pg_lsn + %d", from, off))
}

// TestPushKilled kills the page servers at both ends in the middle of pushes. In the end a push succeeds.
func TestPushKilled(t *testing.T) {
	t.Parallel()
	a, b := newSite(t), newSite(t)
	tenant := a.ok("tenant", "list")
	main := a.start("main")
	a.sql(main, "CREATE TABLE t (i int)")
	first := a.lsn("main")
	a.tool("pgbench", "-i", "-q", "-s", "7", main)
	a.ok("pg", "stop", "main")
	a.ok("remote", "add", "there", b.addr())
	broken := 0
	for n, victim := range []*site{b, a, b, a, b} {
		push := exec.Command(binary, "-D", a.work, "push", "main", "there")
		if err := push.Start(); err != nil {
			t.Fatal(err)
		}
		// Kill it in the image of the first state, and then each time further on in the WAL.
		eventually(t, "WAL over there", func() bool {
			segments, err := filepath.Glob(filepath.Join(b.work, "tenants", tenant, "timelines", "*", "wal", "0*"))
			return err == nil && len(segments) > n
		})
		time.Sleep(time.Duration(rand.IntN(50)) * time.Millisecond) // not a wait for anything: the kill is to come at a random moment
		kill9(t, pidIn(t, filepath.Join(victim.work, "pageserver.pid")))
		if push.Wait() != nil {
			broken++
		}
		victim.ok("start")
	}
	if broken < 3 {
		t.Errorf("%d of 5 pushes were broken off", broken)
	}
	a.push("main", "there")
	if n := a.push("main", "there"); n != 0 {
		t.Errorf("nothing is new, and %d bytes were sent", n)
	}
	w, id := newTwins(t, a, b), a.timelines(tenant)["main"]
	head := a.lsn("main")
	main = a.start("main")
	for range 3 {
		w.same(id, someLSN(a, main, first, head))
	}
	w.same(id, head)
	if got := b.ok("pg", "exec", "--tenantid", tenant, "main", "--", program("psql"), "-XAtc", "SELECT count(*) FROM pgbench_accounts"); got != "700000" {
		t.Errorf("rows there: %s", got)
	}
}

// TestPushForgotten pushes branches whose early history was collected, here or there.
func TestPushForgotten(t *testing.T) {
	t.Parallel()
	a, b := newSite(t), newSite(t)
	tenant := a.ok("tenant", "list")
	main := a.start("main")
	a.ok("remote", "add", "there", b.addr())
	a.sql(main, "CREATE TABLE t (i int PRIMARY KEY, v text)", "INSERT INTO t SELECT g, 'v' || g FROM generate_series(1, 3000) g")
	a.ok("branch", "dev", "main")
	dev := a.start("dev")
	for _, url := range []string{main, dev} {
		a.sql(url, "UPDATE t SET v = v || '!'", "ALTER SYSTEM SET work_mem = '8MB'", "VACUUM t", "SELECT pg_switch_wal()", "UPDATE t SET v = v || '?' WHERE i < 100")
	}
	a.ok("gc", "--retain", "1B", "--force")
	horizon := a.lsn("main") // or somewhat before that, because postgres writes WAL by itself
	a.sql(main, "INSERT INTO t SELECT g, 'new' FROM generate_series(4001, 5000) g")
	a.fails(14, "lsn", "main@"+a.sql(main, "SELECT '"+horizon+"'::pg_lsn - 100000"))

	heads := []string{a.lsn("main"), a.lsn("dev")}
	a.push("dev", "there")
	a.push("main", "there")
	w, ids := newTwins(t, a, b), a.timelines(tenant)
	if there := b.timelines(tenant); there["main"] != ids["main"] || there["dev"] != ids["dev"] || len(there) != 2 {
		t.Errorf("branches there: %v, here: %v", there, ids)
	}
	for range 2 {
		w.same(ids["main"], someLSN(a, main, horizon, heads[0]))
	}
	w.same(ids["main"], heads[0])
	w.same(ids["dev"], heads[1])
	b.fails(14, "lsn", "--tenantid", tenant, "main@"+a.sql(main, "SELECT '"+horizon+"'::pg_lsn - 100000"))

	// History that was forgotten on the other page server is not sent again.
	a.sql(main, "DELETE FROM t WHERE i % 7 = 0")
	a.ok("branch", "late", "main")
	a.sql(main, "DELETE FROM t WHERE i % 7 = 1")
	a.push("main", "there")
	b.ok("gc", "--tenantid", tenant, "--retain", "1B", "--force")
	if n := a.push("main", "there"); n > 64<<10 { // more than the little WAL that postgres writes by itself
		t.Errorf("nothing much is new, and %d bytes were sent", n)
	}
	late := a.start("late")
	a.sql(late, "UPDATE t SET v = 'late'")
	head := a.lsn("late")
	a.push("late", "there")
	w.same(a.timelines(tenant)["late"], head)
	if out := b.ok("check", "--tenantid", tenant); !strings.Contains(out, " 0 problems") {
		t.Errorf("check there: %s", out)
	}

	// If a branch is pushed again only after the WAL that is missing there was collected here, the push is refused.
	a.sql(main, "DELETE FROM t WHERE i % 7 = 2", "SELECT pg_switch_wal()")
	a.sql(main, "DELETE FROM t WHERE i % 7 = 3")
	a.ok("gc", "main", "--retain", "1B", "--force")
	if line := a.fails(14, "push", "main", "there"); !strings.Contains(line, "not kept here any more") {
		t.Errorf("refused: %s", line)
	}
}
