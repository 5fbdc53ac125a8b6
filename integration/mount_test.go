package integration

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// asPostgres makes a command that runs as the account of postgres.
func asPostgres(name string, args ...string) *exec.Cmd {
	if os.Geteuid() == 0 {
		return exec.Command("runuser", append([]string{"-u", "postgres", "--", name}, args...)...)
	}
	return exec.Command(name, args...)
}

// server is a stock postgres that the test, not zenith, runs on a directory.
type server struct {
	s    *site
	data string
	url  string
	log  string
}

// serve runs stock postgres on dir with pg_ctl, as a person would.
func (s *site) serve(dir string) *server {
	s.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	logs, err := os.MkdirTemp(s.dir, "log")
	if err != nil {
		s.t.Fatal(err)
	}
	if err := os.Chmod(logs, 0o777); err != nil {
		s.t.Fatal(err)
	}
	v := &server{s: s, data: dir, url: s.tcp(port), log: filepath.Join(logs, "log")}
	r := s.runCmd(asPostgres(program("pg_ctl"), "-D", dir, "-l", v.log, "-w", "-o", fmt.Sprintf("-p %d -k %s", port, logs), "start"))
	if r.code != 0 {
		log, _ := os.ReadFile(v.log)
		s.t.Fatalf("pg_ctl start: exit %d: %s%s\n%s", r.code, r.out, r.err, log)
	}
	return v
}

func (v *server) stop(mode string) {
	v.s.t.Helper()
	if r := v.s.runCmd(asPostgres(program("pg_ctl"), "-D", v.data, "-w", "-m", mode, "stop")); r.code != 0 {
		v.s.t.Fatalf("pg_ctl stop: exit %d: %s%s", r.code, r.out, r.err)
	}
}

// noRecovery fails the test if the server's log says that it needed recovery.
func (v *server) noRecovery() {
	v.s.t.Helper()
	noRecovery(v.s.t, v.log)
}

func noRecovery(t *testing.T, logPath string) {
	t.Helper()
	log, err := os.ReadFile(logPath)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"not properly shut down", "redo starts", "PANIC", "recovery in progress"} {
		if strings.Contains(string(log), bad) {
			t.Errorf("the server's log says %q:\n%s", bad, tail(log, 40))
		}
	}
}

// mountDir makes a mount point; its cleanup unmounts.
func (s *site) mountDir(name string) string {
	s.t.Helper()
	dir := filepath.Join(s.dir, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = exec.Command(binary, "-D", s.work, "umount", dir).Run() })
	return dir
}

// fingerprint gives the SHA-256 of all names, modes and contents below dir.
func fingerprint(t *testing.T, dir string) string {
	t.Helper()
	sum, files := sha256.New(), 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		fmt.Fprintf(sum, "%s %v\n", rel, info.Mode())
		if !d.Type().IsRegular() {
			return nil
		}
		files++
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		n, err := io.Copy(sum, f)
		if err == nil && n != info.Size() {
			err = fmt.Errorf("%s: read %d bytes of %d", rel, n, info.Size())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 800 {
		t.Fatalf("%s has %d files: no data directory", dir, files)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// TestWritableMount runs stock postgres on a mount by hand. After umount and mount, everything is there again.
func TestWritableMount(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	dir := s.mountDir("data")
	if out := s.ok("mount", "main", dir); !strings.HasPrefix(out, "mounted ") || !strings.HasSuffix(out, " at "+dir) {
		t.Errorf("mount says %q", out)
	}
	if line := s.fails(11, "mount", "main", s.mountDir("second")); !strings.Contains(line, dir) {
		t.Errorf("refusal does not say who holds the branch: %q", line)
	}
	v := s.serve(dir)
	v.noRecovery()
	s.sql(v.url, "CREATE TABLE t AS SELECT g FROM generate_series(1, 10000) g",
		"CREATE UNLOGGED TABLE u AS SELECT g FROM generate_series(1, 777) g",
		"CREATE SEQUENCE s", "SELECT nextval('s') FROM generate_series(1, 5)",
		"ALTER SYSTEM SET work_mem = '7MB'")
	s.tool("pgbench", "-i", "-q", "-s", "2", v.url)
	s.tool("pgbench", "-n", "-c", "4", "-j", "2", "-t", "200", v.url)
	want := s.sql(v.url, "SELECT sum(abalance), (SELECT count(*) FROM pgbench_history) FROM pgbench_accounts")
	v.stop("fast")
	s.ok("umount", dir)

	s.ok("mount", "main", dir)
	v = s.serve(dir)
	v.noRecovery()
	s.want(v.url, "SELECT count(*) FROM t", "10000")
	s.want(v.url, "SELECT count(*) FROM u", "777")
	s.want(v.url, "SELECT nextval('s')", "6") // after a crash it would be 33
	s.want(v.url, "SHOW work_mem", "7MB")
	s.want(v.url, "SELECT sum(abalance), (SELECT count(*) FROM pgbench_history) FROM pgbench_accounts", want)
	s.checkIndexes(v.url)
	v.stop("fast")
	if out := s.tool("pg_checksums", "--check", "-D", dir); !strings.Contains(out, "Bad checksums:  0") {
		t.Errorf("pg_checksums: %s", out)
	}
	s.ok("umount", dir)
}

// checkIndexes runs amcheck over every table and btree index of a database.
func (s *site) checkIndexes(url string) {
	s.t.Helper()
	s.sql(url, "CREATE EXTENSION IF NOT EXISTS amcheck")
	s.want(url, `SELECT count(*) > 50 FROM (
		SELECT bt_index_check(i.indexrelid, i.indisunique) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
		JOIN pg_am a ON a.oid = c.relam WHERE a.amname = 'btree' AND c.relpersistence <> 't' AND i.indisvalid) x`, "t")
	s.want(url, `SELECT string_agg(c.relname || ': ' || v.msg, E'\n') FROM pg_class c, verify_heapam(c.oid) v WHERE c.relkind IN ('r', 't', 'm')`, "")
}

// TestReadOnlyMount reads the past by PostgreSQL's tools, and starts stock postgres on a copy of it.
func TestReadOnlyMount(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	main := s.start("main")
	s.tool("pgbench", "-i", "-q", "-s", "1", main)
	s.sql(main, "CREATE UNLOGGED TABLE u (i int)", "INSERT INTO u VALUES (1)")
	at := s.sql(main, "SELECT pg_current_wal_insert_lsn()")
	s.sql(main, "DELETE FROM pgbench_accounts")

	dir := s.mountDir("past")
	s.ok("mount", "main@"+at, dir)
	if out := s.tool("pg_controldata", dir); !strings.Contains(out, "shut down\n") {
		t.Errorf("pg_controldata: %s", out)
	}
	if out := s.tool("pg_checksums", "--check", "-D", dir); !strings.Contains(out, "Bad checksums:  0") {
		t.Errorf("pg_checksums: %s", out)
	}
	segments, err := filepath.Glob(dir + "/pg_wal/0000*")
	if err != nil || len(segments) == 0 {
		t.Fatalf("no segment in pg_wal: %v", err)
	}
	if r := s.runCmd(exec.Command(program("pg_waldump"), segments[len(segments)-1])); !strings.Contains(r.out, "CHECKPOINT_SHUTDOWN") {
		t.Errorf("pg_waldump finds no shutdown checkpoint: %s", r.err)
	}
	if err := os.WriteFile(filepath.Join(dir, "new"), nil, 0o600); err == nil {
		t.Error("could write into a read-only mount")
	}
	copied := filepath.Join(s.dir, "copy")
	if out, err := exec.Command("cp", "-a", dir, copied).CombinedOutput(); err != nil {
		t.Fatalf("cp -a: %v: %s", err, out)
	}
	v := s.serve(copied)
	defer v.stop("fast")
	v.noRecovery()
	s.want(v.url, "SELECT count(*) FROM pgbench_accounts", "100000")
	s.want(v.url, "SELECT count(*) FROM u", "0")
	s.checkIndexes(v.url)
}

// TestPastNeverChanges compares every byte of a past state before and after heavy writes and a restart.
func TestPastNeverChanges(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	main := s.start("main")
	s.tool("pgbench", "-i", "-q", "-s", "1", main)
	s.tool("pgbench", "-n", "-t", "500", main)
	at := s.sql(main, "SELECT pg_current_wal_insert_lsn()")
	past, again := s.mountDir("past"), s.mountDir("again")
	s.ok("mount", "main@"+at, past)
	before := fingerprint(t, past)

	s.sql(main, "VACUUM FULL", "CREATE DATABASE other", "ALTER SYSTEM SET work_mem = '9MB'", "DROP TABLE pgbench_history", "DELETE FROM pgbench_accounts")
	s.tool("pgbench", "-i", "-q", "-s", "2", main)
	s.sql(main, "CHECKPOINT")
	s.ok("mount", "main@"+at, again)
	if fingerprint(t, again) != before {
		t.Error("a second mount of the same state differs")
	}
	s.ok("umount", past)
	s.ok("umount", again)
	s.ok("pg", "stop", "main")
	s.ok("restart")
	s.ok("mount", "main@"+at, past)
	if fingerprint(t, past) != before {
		t.Error("the state differs after a restart")
	}
}

// TestScratchMount writes to a scratch mount of the past, which does not change.
func TestScratchMount(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	main := s.start("main")
	s.sql(main, "CREATE TABLE t AS SELECT g FROM generate_series(1, 1000) g")
	at, dir := s.lsn("main"), s.mountDir("scratch")
	s.ok("mount", "main@"+at, dir, "--scratch")
	v := s.serve(dir)
	v.noRecovery()
	s.sql(v.url, "DELETE FROM t", "CREATE TABLE gone (i int)", "CHECKPOINT")
	v.stop("fast")
	s.ok("umount", dir)
	s.ok("mount", "main@"+at, dir, "--scratch")
	v = s.serve(dir)
	s.want(v.url, "SELECT count(*) FROM t", "1000")
	s.want(v.url, "SELECT count(*) FROM pg_class WHERE relname = 'gone'", "0")
	v.stop("immediate")
	s.ok("umount", dir)
	s.want(main, "SELECT count(*) FROM t", "1000")
}

// TestWholeTree walks through the mount of all tenants, branches and states.
func TestWholeTree(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	main := s.start("main")
	s.sql(main, "CREATE TABLE t (i int)")
	at := s.lsn("main")
	s.ok("branch", "dev", "main@"+at)
	tenant, dir := s.ok("tenant", "list"), s.mountDir("tree")
	s.ok("mount", dir)
	branches := filepath.Join(dir, "tenants", tenant, "branches")
	for _, name := range []string{"dev", "main@" + strings.ReplaceAll(at, "/", "_"), "main"} {
		version, err := os.ReadFile(filepath.Join(branches, name, "PG_VERSION"))
		if err != nil || string(version) != "15\n" {
			t.Errorf("%s/PG_VERSION: %q, %v", name, version, err)
		}
	}
	target, err := os.Readlink(filepath.Join(branches, "dev"))
	if err != nil || !strings.HasPrefix(target, "../timelines/") {
		t.Errorf("branches/dev -> %q, %v", target, err)
	}
	s.tool("pg_controldata", filepath.Join(branches, "dev"))
	if _, err := os.Stat(filepath.Join(branches, "nosuch")); !os.IsNotExist(err) {
		t.Errorf("branches/nosuch: %v", err)
	}
	if _, err := os.Stat(filepath.Join(branches, "main@FF_0")); err == nil {
		t.Error("a state beyond the head is there")
	}
}

// TestBadMounts: a mount that is refused gives one clear line and the right exit code, and nothing is mounted.
func TestBadMounts(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	full := filepath.Join(s.dir, "full")
	if err := os.MkdirAll(filepath.Join(full, "something"), 0o755); err != nil {
		t.Fatal(err)
	}
	empty := s.mountDir("empty")
	s.fails(15, "mount", "main", full)
	s.fails(12, "mount", "main", s.work)
	s.fails(13, "mount", "nosuch", empty)
	s.fails(14, "mount", "main@0/1", empty)
	s.fails(14, "mount", "main@FF/0", empty)
	s.fails(13, "umount", empty)
	if list := s.ok("mount", "list"); strings.Contains(list, s.dir) {
		t.Errorf("mount list:\n%s", list)
	}
	s.fails(1, "init", "--pg-distrib", pgDistrib)
	s.fails(11, "start")
}

// TestBoundWAL: if the page server is root's, a postgres that zenith runs has its pg_wal on the disk itself, not
// on FUSE, unless it may recycle segments. For the branch, that makes no difference.
func TestBoundWAL(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.ok("pg", "create", "main")
	for n, args := range [][]string{nil, {"--set", "WAL-recycle=on"}} {
		main := s.start("main", args...)
		mounts, err := os.ReadFile("/proc/self/mountinfo")
		if err != nil {
			t.Fatal(err)
		}
		dir := s.sql(main, "SHOW data_directory")
		if got, want := strings.Contains(string(mounts), " "+dir+"/pg_wal "), n == 0 && os.Geteuid() == 0; got != want {
			t.Errorf("start %v: pg_wal is bound: %v, want %v", args, got, want)
		}
		s.sql(main, fmt.Sprintf("CREATE TABLE t%d AS SELECT g FROM generate_series(1, 10000) g", n))
		for range 4 {
			s.sql(main, fmt.Sprintf("UPDATE t%d SET g = g + 1 WHERE g %% 3 = 0", n), "SELECT pg_switch_wal()", "CHECKPOINT")
		}
		at := s.lsn("main")
		want := s.sql(main, fmt.Sprintf("SELECT sum(g) FROM t%d", n))
		s.sql(main, fmt.Sprintf("DELETE FROM t%d", n))
		s.ok("pg", "stop", "main")
		if got := strings.TrimSpace(s.ok("pg", "exec", "main@"+at, "--", "psql", "-XqAtc", fmt.Sprintf("SELECT sum(g) FROM t%d", n))); got != want {
			t.Errorf("start %v: at %s the sum is %s, was %s", args, at, got, want)
		}
	}
	s.ok("check")
}

// TestOtherNamespace stops a postgres whose mount another mount namespace has too, as a container does that
// was made meanwhile: the stop ends, what is kept without WAL is kept, and the branch can be started again.
func TestOtherNamespace(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	main := s.start("main")
	s.sql(main, "CREATE TABLE t AS SELECT generate_series(1, 1000) AS i", "CREATE UNLOGGED TABLE u AS SELECT * FROM t")
	other := exec.Command("unshare", "-m", "--propagation", "private", "sh", "-c", "echo ready; exec sleep 600")
	out, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		other.Process.Kill()
		other.Wait()
	}()
	if _, err := out.Read(make([]byte, 6)); err != nil { // "ready"
		t.Fatal(err)
	}
	s.ok("pg", "stop", "main")
	s.ok("status")
	main = s.start("main")
	s.want(main, "SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM u)", "1000|1000")
}
