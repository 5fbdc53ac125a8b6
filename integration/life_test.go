package integration

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestResetAndRestore: a branch's name comes to stand for other states, and whoever connects to it by the same address
// finds them: staging follows main again, and main goes back in place. What was there is kept, over a crash too.
func TestResetAndRestore(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	main := s.start("main")
	s.sql(main, "CREATE TABLE t AS SELECT 1 AS a")
	s.ok("branch", "staging", "main", "--owner", "ops", "--note", "nightly")
	staging := s.start("staging")
	s.sql(staging, "INSERT INTO t VALUES (2), (3)")
	s.sql(main, "INSERT INTO t VALUES (4)")
	before := s.lsn("main")

	if line := s.fails(12, "branch", "reset", "main", "staging"); !strings.Contains(line, "is protected") {
		t.Error(line)
	}
	if out := s.ok("branch", "reset", "staging"); !strings.Contains(out, "reset staging to main at ") || !strings.Contains(out, "staging.old-1 (expires in 7d)") {
		t.Error(out)
	}
	s.want(staging, "SELECT count(*) FROM t", "2")
	s.sql(staging, "INSERT INTO t VALUES (5)")
	s.want(s.start("staging.old-1"), "SELECT count(*) FROM t", "3")

	s.sql(main, "DROP TABLE t")
	if out := s.ok("branch", "restore", "main", "@"+before); !strings.Contains(out, "main.old-1") {
		t.Error(out)
	}
	s.want(main, "SELECT count(*) FROM t", "2")
	s.want(main, "SELECT substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8)", "00000002") // as after point-in-time recovery
	s.sql(main, "INSERT INTO t VALUES (6)", "CHECKPOINT", "INSERT INTO t VALUES (7)")
	s.ok("branch", "restore", "main", "main@"+before)
	s.want(main, "SELECT count(*) FROM t", "2")
	s.sql(main, "INSERT INTO t VALUES (8)")
	s.want(staging, "SELECT count(*) FROM t", "3")

	s.killPageServer()
	s.want(s.start("main"), "SELECT max(a) || ' ' || count(*) FROM t", "8 3")
	s.want(s.start("main.old-2"), "SELECT max(a) || ' ' || count(*) FROM t", "7 4")
	s.want(s.start("main.old-1"), "SELECT to_regclass('t') IS NULL", "t")
	s.ok("pg", "stop", "main.old-2")
	if out := s.ok("branch", "promote", "staging", "--force"); !strings.Contains(out, "promoted main to staging") {
		t.Error(out)
	}
	s.want(s.url("main"), "SELECT max(a) || ' ' || count(*) FROM t", "5 3")
	s.ok("check")

	var list []struct {
		Name, Owner, Was, Note string
		Protected              bool
		ExpiresAt              *string `json:"expires_at"`
	}
	if err := json.Unmarshal([]byte(s.ok("branch", "-v", "-o", "json")), &list); err != nil {
		t.Fatal(err)
	}
	for _, b := range list {
		kept := strings.Contains(b.Name, ".old-")
		if kept != (b.Was != "") || kept != (b.ExpiresAt != nil) || b.Protected != (b.Name == "main") {
			t.Errorf("branch %+v", b)
		}
	}
}

// TestTagAndDu: a tag is a point whose history stays whatever is forgotten, and du says what things take.
func TestTagAndDu(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	main := s.start("main")
	s.sql(main, "CREATE TABLE t AS SELECT 1 AS a")
	s.ok("tag", "v1")
	s.sql(main, "INSERT INTO t SELECT generate_series(2, 1000)", "CHECKPOINT", "SELECT pg_switch_wal()", "INSERT INTO t VALUES (0)")
	later := s.lsn("main")
	s.sql(main, "INSERT INTO t VALUES (0)")
	s.ok("gc", "--retain", "0B", "--force")
	s.fails(14, "branch", "x", "main@"+strings.ReplaceAll(later, "/", "_")) // is forgotten
	s.ok("branch", "of-tag", "v1")
	s.want(s.start("of-tag"), "SELECT count(*) FROM t", "1")
	s.fails(1, "branch", "v1", "main")
	if out := s.ok("tag"); !strings.HasPrefix(out, "NAME") || !strings.Contains(out, "v1    main@") {
		t.Error(out)
	}
	var usage []struct {
		Branch    string
		PageBytes int64 `json:"page_bytes"`
		WALBytes  int64 `json:"wal_bytes"`
	}
	if err := json.Unmarshal([]byte(s.ok("du", "-o", "json")), &usage); err != nil || len(usage) != 2 || usage[0].PageBytes < 1<<20 || usage[0].WALBytes < 1 {
		t.Errorf("du: %+v, %v", usage, err)
	}
	s.ok("tag", "-d", "v1")
	s.fails(13, "tag", "-d", "v1")
}

var churnBranches = flag.Int("churn", 12, "how many branches TestChurn makes, wakes, resets and lets expire")

// TestChurn: branches that come and go leave nothing behind: no descriptors, threads or files.
func TestChurn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.sql(s.start("main"), "CREATE TABLE t AS SELECT 1 AS a")
	s.churn(6)
	text, err := os.ReadFile(filepath.Join(s.work, "pageserver.pid"))
	if err != nil {
		t.Fatal(err)
	}
	proc := filepath.Join("/proc", strings.TrimSpace(string(text)))
	fds, threads := entries(t, proc, "fd"), entries(t, proc, "task")
	for left := *churnBranches; left > 0; left -= 50 {
		s.churn(min(left, 50))
	}
	eventually(t, "the descriptors are given back", func() bool { return entries(t, proc, "fd") <= fds+8 })
	eventually(t, "the threads are given back", func() bool { return entries(t, proc, "task") <= threads+8 })
	for _, dir := range []string{"timelines", "pg", "slots"} {
		all, err := filepath.Glob(filepath.Join(s.work, "tenants", "*", dir, "*"))
		if err != nil || len(all) > 1 {
			t.Errorf("left: %v, %v", all, err)
		}
	}
}

// churn makes branches, runs postgres on some, resets some, and waits until all have expired and are forgotten.
func (s *site) churn(n int) {
	s.t.Helper()
	for i := range n {
		name := fmt.Sprintf("b%d", i)
		s.ok("branch", name, "main", "--expire", "1h")
		if i%10 == 0 {
			s.sql(s.start(name), "INSERT INTO t VALUES (1)")
		}
		if i%5 == 0 {
			s.ok("branch", "reset", name)
			s.ok("branch", "expire", name+".old-1", "1ms")
		}
		s.ok("branch", "expire", name, "1ms")
	}
	eventually(s.t, "all branches have expired", func() bool { return s.ok("branch") == " main" })
	s.ok("gc", "--retain", "0B", "--force")
}

// entries counts the entries of a directory.
func entries(t *testing.T, dir ...string) int {
	t.Helper()
	list, err := os.ReadDir(filepath.Join(dir...))
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
