package integration

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// ledger knows which commits were acknowledged. The test keeps it, outside of the database.
type ledger struct {
	mu     sync.Mutex
	acked  []int
	closed bool
}

// write inserts numbers through one psql until ctx ends or the server is gone. It notes each number whose
// commit was acknowledged.
func (l *ledger) write(ctx context.Context, t *testing.T, url string, from, step int) {
	cmd := exec.CommandContext(ctx, program("psql"), url, "-XqAt")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Error(err)
		return
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Error(err)
		return
	}
	if err := cmd.Start(); err != nil {
		t.Error(err)
		return
	}
	answers := bufio.NewScanner(out)
	for n := from; ctx.Err() == nil; n += step {
		// psql sends each line as a transaction of its own, and prints the answer after the commit.
		if _, err := fmt.Fprintf(in, "INSERT INTO ledger VALUES (%d) RETURNING i;\n", n); err != nil || !answers.Scan() {
			break
		}
		if got := answers.Text(); got != strconv.Itoa(n) {
			break
		}
		if !l.note(n) {
			break
		}
	}
	in.Close()
	_ = cmd.Wait() // an error is no surprise: psql lost its server, or was killed at the end of ctx
}

// note adds an acknowledged number. It gives false if the ledger is closed: then the number is not added.
func (l *ledger) note(n int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.acked = append(l.acked, n)
	}
	return !l.closed
}

// close closes the ledger: commits that are acknowledged from now on do not count.
func (l *ledger) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
}

// count gives how many commits were acknowledged.
func (l *ledger) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acked)
}

// check fails the test if the table lacks an acknowledged number.
func (l *ledger) check(s *site, url string) {
	s.t.Helper()
	there := map[string]bool{}
	for line := range strings.Lines(s.sql(url, "SELECT i FROM ledger")) {
		there[strings.TrimSpace(line)] = true
	}
	for _, n := range l.acked {
		if !there[strconv.Itoa(n)] {
			s.t.Fatalf("commit of %d was acknowledged and is lost (%d acknowledged, %d there)", n, len(l.acked), len(there))
		}
	}
}

// during runs writers, and calls breaks when at least n more commits were acknowledged: breaks kills something
// on which the writers depend.
func (l *ledger) during(s *site, url string, n int, breaks func()) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	defer cancel()
	var writers sync.WaitGroup
	const clients = 4
	have := l.count()
	l.closed = false // without the lock: no writer runs yet
	for c := range clients {
		writers.Go(func() { l.write(ctx, s.t, url, have*clients*10+c, clients) })
	}
	eventually(s.t, "commits", func() bool { return l.count() >= have+n })
	breaks()
	stopped := time.AfterFunc(20*time.Second, cancel)
	writers.Wait()
	stopped.Stop()
}

// pidIn reads the process id at the beginning of a pid file.
func pidIn(t *testing.T, path string) int {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(text))
	if len(fields) == 0 {
		t.Fatalf("%s is empty", path)
	}
	pid, err := strconv.Atoi(fields[0])
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return pid
}

// kill9 kills a process that this test's site started.
func kill9(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatalf("kill %d: %v", pid, err)
	}
	eventually(t, "the killed process's end", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err != nil || strings.Contains(string(stat), ") Z ")
	})
}

// writeModes are the settings that decide when the kernel passes on what postgres writes to a mount.
var writeModes = map[string]string{"Writeback": "write_through = false", "WriteThrough": "write_through = true"}

// bothWays runs a test in each of the writeModes.
func bothWays(t *testing.T, test func(t *testing.T, s *site)) {
	t.Parallel()
	for name, setting := range writeModes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := emptySite(t)
			s.ok("init", "--pg-distrib", pgDistrib)
			s.set(setting)
			s.ok("start")
			test(t, s)
		})
	}
}

// set adds a line to the page server's settings.
func (s *site) set(line string) {
	s.t.Helper()
	path := filepath.Join(s.work, "pageserver.toml")
	text, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, append([]byte(line+"\n"), text...), 0o644); err != nil { // at the top: further down, it would belong to a table
		s.t.Fatal(err)
	}
}

// TestKillPostgres kills the postmaster under load; no acknowledged commit is lost.
func TestKillPostgres(t *testing.T) { bothWays(t, killPostgres) }

func killPostgres(t *testing.T, s *site) {
	l := &ledger{}
	dir := s.mountDir("data")
	s.ok("mount", "main", dir)
	v := s.serve(dir)
	s.sql(v.url, "CREATE TABLE ledger (i int PRIMARY KEY)", "CREATE UNLOGGED TABLE u AS SELECT 1 AS i",
		"SELECT pg_create_physical_replication_slot('kept', true)")
	first := s.sql(v.url, "SELECT pg_walfile_name(restart_lsn) FROM pg_replication_slots")
	for range 2 {
		l.during(s, v.url, 300, func() {
			s.sql(v.url, "CHECKPOINT")
			kill9(t, pidIn(t, filepath.Join(dir, "postmaster.pid")))
		})
		// The next mount opens at the end of durable WAL, as after a clean shutdown.
		eventually(t, "umount after postgres's death", func() bool { return s.run("umount", dir).code == 0 })
		s.ok("mount", "main", dir)
		v = s.serve(dir)
		v.noRecovery()
		l.check(s, v.url)
		s.want(v.url, "SELECT count(*) FROM u", "0")
		s.want(v.url, "SELECT slot_name FROM pg_replication_slots", "kept")
		s.want(v.url, fmt.Sprintf("SELECT min(name) <= '%s' FROM pg_ls_waldir() WHERE name < '1'", first), "t")
		s.sql(v.url, "SELECT pg_switch_wal()")
	}
	s.checkIndexes(v.url)
	v.stop("fast")
	if hasOwn("pg_checksums") { // another version's does not read the control file
		s.tool("pg_checksums", "--check", "-D", dir)
	}
}

// TestKillPageServer kills the page server under load, and postgres dies with it. The next postgres needs no
// recovery, and has every acknowledged commit.
func TestKillPageServer(t *testing.T) { bothWays(t, killPageServer) }

func killPageServer(t *testing.T, s *site) {
	l := &ledger{}
	main := s.start("main")
	s.sql(main, "CREATE TABLE ledger (i int PRIMARY KEY)")
	for range 3 {
		l.during(s, main, 300, func() {
			kill9(t, pidIn(t, filepath.Join(s.work, "pageserver.pid")))
			s.ok("start") // before it opens the branch, it must make sure that the old postgres commits nothing more
		})
		if list := s.ok("pg", "list"); !strings.Contains(list, "crashed") {
			t.Errorf("pg list after the loss of a postgres:\n%s", list)
		}
		main = s.start("main")
		l.check(s, main)
	}
	s.checkIndexes(main)
	logs, err := filepath.Glob(filepath.Join(s.work, "tenants", "*", "pg", "main", "postgres.log"))
	if err != nil || len(logs) != 1 {
		t.Fatalf("postgres's log: %v, %v", logs, err)
	}
	log, err := os.ReadFile(logs[0])
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(log), "redo starts") {
		t.Errorf("postgres needed recovery:\n%s", tail(log, 40))
	}
}

// TestStaleMount: a killed page server leaves a dead mount behind. The next mount or umount of that directory
// removes it.
func TestStaleMount(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	first, second := s.mountDir("first"), s.mountDir("second")
	s.ok("mount", "main", first)
	s.ok("mount", "main@"+s.lsn("main"), second)
	kill9(t, pidIn(t, filepath.Join(s.work, "pageserver.pid")))
	if _, err := os.ReadDir(first); err == nil {
		t.Fatal("the mount outlived its server")
	}
	s.ok("start")
	s.ok("umount", second)
	s.ok("mount", "main", first)
	s.tool("pg_controldata", first)
	s.ok("umount", first)
	if entries, err := os.ReadDir(second); err != nil || len(entries) != 0 {
		t.Errorf("%s after umount: %v, %v", second, entries, err)
	}
}
