package integration

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"zenith/internal/pg"
	"zenith/internal/pgtest"
	"zenith/internal/xlog"
)

// replSite makes a site with WAL segments of 1 MiB, whose page server has the same port again after a restart.
func replSite(t *testing.T, initdb ...string) *site {
	t.Helper()
	srv := pgtest.Init(t, pgtest.Options{InitArgs: append([]string{"--wal-segsize=1"}, initdb...)})
	srv.Configure(t, "listen_addresses='127.0.0.1'", "max_prepared_transactions=4", "fsync=on")
	s := emptySite(t)
	s.ok("init", "--pg-distrib", pgDistrib, "--listen", freeAddr(t), "--auth", "trust", "--from-pgdata", srv.Dir)
	s.ok("start")
	return s
}

// freeAddr gives an address of this machine on which nothing listens now.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// replication gives a connection string for PostgreSQL's own replication clients that names a branch.
func (s *site) replication(branch string) string {
	s.t.Helper()
	addr, err := os.ReadFile(filepath.Join(s.work, "pageserver.addr"))
	if err != nil {
		s.t.Fatal(err)
	}
	host, port, err := net.SplitHostPort(strings.TrimSpace(string(addr)))
	if err != nil {
		s.t.Fatal(err)
	}
	return fmt.Sprintf("host=%s port=%s user=zenith options='-c zenith.branch=%s'", host, port, branch)
}

// verifyBackup has PostgreSQL compare a backup with its manifest, and parse its WAL, which only a pg_waldump of
// the same version can.
func (s *site) verifyBackup(dir string) {
	s.t.Helper()
	if hasOwn("pg_waldump") {
		s.asOwner("pg_verifybackup", dir)
		return
	}
	s.asOwner("pg_verifybackup", "--no-parse-wal", dir)
}

// asOwner runs a program of PostgreSQL as the account of postgres. It must succeed.
func (s *site) asOwner(name string, args ...string) string {
	s.t.Helper()
	r := s.runCmd(pgtest.Command(s.t, name, args...))
	if r.code != 0 {
		s.t.Fatalf("%s %s: exit %d: %s%s", name, strings.Join(args, " "), r.code, r.err, r.out)
	}
	return r.out + r.err
}

// standby makes a standby of a branch and starts it.
func (s *site) standby(branch string, args ...string) *server {
	s.t.Helper()
	return s.serveStandby(s.backup(branch, args...))
}

// backup makes a base backup of a branch, for a standby, and gives its directory.
func (s *site) backup(branch string, args ...string) string {
	s.t.Helper()
	dir := filepath.Join(pgtest.TempDir(s.t), "data")
	s.asOwner("pg_basebackup", append([]string{"-d", s.replication(branch), "-D", dir, "-R", "-c", "fast"}, args...)...)
	s.verifyBackup(dir)
	return dir
}

// serveStandby starts a standby, and stops it at the end of the test.
func (s *site) serveStandby(dir string) *server {
	s.t.Helper()
	s.forgetNewer(dir)
	v := s.serve(dir)
	s.t.Cleanup(func() {
		_ = asPostgres(program("pg_ctl"), "-D", dir, "-w", "-m", "immediate", "stop").Run() // an error is no surprise: it may be stopped already
		if log, err := os.ReadFile(v.log); err == nil && s.t.Failed() {
			s.t.Logf("standby's log:\n%s", tail(log, 40))
		}
	})
	return v
}

// forgetNewer takes from a standby's settings what the standby would not know: a pg_basebackup of a newer major
// version wrote them, for lack of one of this.
func (s *site) forgetNewer(dir string) {
	s.t.Helper()
	path := filepath.Join(dir, "postgresql.auto.conf")
	text, err := os.ReadFile(path)
	if err == nil && !hasOwn("pg_basebackup") {
		err = os.WriteFile(path, regexp.MustCompile(` sslnegotiation=\w+`).ReplaceAll(text, nil), 0o600)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// follows waits until the standby has replayed what the server on the branch has flushed.
func (v *server) follows(primary string) {
	v.s.t.Helper()
	v.s.sql(primary, "SELECT txid_current()") // its commit flushes all WAL before it
	head := v.s.sql(primary, "SELECT pg_current_wal_flush_lsn()")
	eventually(v.s.t, "the standby to replay up to "+head, func() bool {
		return v.s.sql(v.url, "SELECT pg_last_wal_replay_lsn() >= '"+head+"'") == "t"
	})
}

// same compares the answers of the server on the branch and of the standby to a query.
func (v *server) same(primary, query string) {
	v.s.t.Helper()
	if got, want := v.s.sql(v.url, query), v.s.sql(primary, query); got != want {
		v.s.t.Errorf("%s: the standby says %q, the branch %q", query, got, want)
	}
}

// churn are statements that make everything that recovery from a base backup may meet: records whose pages are
// newer already, files that were removed or are not there yet, and state of the server's memory that only WAL
// has. They can be run again after a run that broke off anywhere.
var churn = []string{
	"DROP TABLE IF EXISTS gone",
	"CREATE TABLE IF NOT EXISTS keep (i serial PRIMARY KEY, t text)",
	"INSERT INTO keep (t) SELECT repeat(md5(g::text), 3) FROM generate_series(1, 500) g",
	"UPDATE keep SET t = t || 'x' WHERE i % 3 = 0",
	"CREATE TABLE gone AS SELECT g FROM generate_series(1, 2000) g",
	"CREATE INDEX ON gone (g)",
	"DELETE FROM keep WHERE i % 7 = 0",
	"VACUUM keep",
	"TRUNCATE gone",
	"DROP TABLE gone",
	"VACUUM (FULL) keep",
	"INSERT INTO keep (t) SELECT 'savepoint' FROM generate_series(1, 10)",
}

// churning runs the statements of churn again and again, until stop is called.
func (s *site) churning(url string) (stop func()) {
	quit := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-quit:
				return
			default:
				s.sql(url, churn[n%len(churn)])
			}
		}
	})
	stop = sync.OnceFunc(func() { close(quit); wg.Wait() })
	s.t.Cleanup(stop)
	return stop
}

// TestStandby: a stock standby follows a branch, to which postgres writes on a mount all the time, while each of
// them is restarted. At the end, its files are compared with those of the branch at the same LSN.
func TestStandby(t *testing.T) {
	t.Parallel()
	s := replSite(t, "--data-checksums")
	url := s.start("main")
	s.sql(url, "CREATE UNLOGGED TABLE unlogged AS SELECT 1 AS i", "CREATE TABLE held (i int)")
	s.sql(url, churn...)
	s.sql(url, "CHECKPOINT")
	s.sql(url, "BEGIN; INSERT INTO held VALUES (1); PREPARE TRANSACTION 'held'")

	stop := s.churning(url)
	v := s.standby("main")
	stop()
	v.follows(url)
	const keep = "SELECT count(*), sum(i), md5(string_agg(t, ',' ORDER BY i)) FROM keep"
	v.same(url, keep)
	s.sql(url, "COMMIT PREPARED 'held'", "BEGIN; INSERT INTO held VALUES (0); PREPARE TRANSACTION 'left'", "CREATE DATABASE another", "ALTER SYSTEM SET work_mem = '5MB'")
	began := time.Now()
	s.sql(url, "INSERT INTO held VALUES (2)")
	eventually(t, "a commit on the standby", func() bool { return s.sql(v.url, "SELECT count(*) FROM held") == "2" })
	t.Logf("a commit was on the standby after %v", time.Since(began))
	if r := s.run("branch", "delete", "main"); r.code == 0 {
		t.Error("a branch that is followed was deleted")
	}

	// The page server is killed, and postgres dies with it. The next WAL of the branch is a checkpoint that
	// zenith wrote.
	kill9(t, pidIn(t, filepath.Join(s.work, "pageserver.pid")))
	s.ok("start")
	url = s.start("main")
	s.sql(url, churn...)
	v.follows(url)
	v.same(url, keep)

	// The standby crashes, so its last pages are not on disk.
	v.stop("immediate")
	s.sql(url, churn...)
	v = s.serveStandby(v.data)
	v.follows(url)
	v.same(url, keep)
	s.checkIndexes(url)
	s.sql(url, "VACUUM keep")
	s.ok("pg", "stop", "main")
	head := s.lsn("main")
	eventually(t, "the last checkpoint", func() bool { return s.sql(v.url, "SELECT pg_last_wal_replay_lsn() = '"+head+"'") == "t" })
	v.stop("fast")
	dir := s.mountDir("same")
	s.ok("mount", "main@"+head, dir)
	compareFiles(t, v.data, dir)
	s.ok("umount", dir)

	// The standby can be promoted.
	v = s.serveStandby(v.data)
	s.sql(v.url, "SELECT pg_promote()", "INSERT INTO held VALUES (3)")
	s.want(v.url, "SELECT count(*), (SELECT string_agg(gid, ',') FROM pg_prepared_xacts) FROM held", "3|left")
}

// TestStandbyOfBranch follows a branch, first while nothing was written to it and its last checkpoint is its
// ancestor's, then when the branch and its ancestor have different WAL at the same LSNs.
func TestStandbyOfBranch(t *testing.T) {
	t.Parallel()
	s := replSite(t)
	url := s.start("main")
	s.sql(url, churn...)
	s.ok("branch", "dev", "main")
	s.sql(url, "CREATE TABLE only_main AS SELECT 1")
	v := s.standby("dev", "-X", "fetch")
	s.want(v.url, "SELECT count(*) FROM pg_class WHERE relname = 'only_main'", "0")
	dev := s.start("dev")
	s.sql(dev, churn...)
	s.sql(dev, "CREATE TABLE only_dev AS SELECT g FROM generate_series(1, 10000) g")
	v.follows(dev)
	v.same(dev, "SELECT count(*), sum(g) FROM only_dev")
	v.same(dev, "SELECT count(*), sum(i) FROM keep")
	s.want(v.url, "SELECT count(*) FROM pg_class WHERE relname = 'only_main'", "0")
}

// TestBaseBackupFormats takes base backups with the usual options, and starts stock postgres on each.
func TestBaseBackupFormats(t *testing.T) {
	t.Parallel()
	s := replSite(t, "--data-checksums")
	spc := pgtest.TempDir(t)
	url := s.start("main")
	s.owns(url, spc)
	s.sql(url, "CREATE TABLESPACE far LOCATION '"+spc+"'", "CREATE TABLE afar TABLESPACE far AS SELECT g FROM generate_series(1, 1000) g")
	if os.Geteuid() == 0 { // the servers on the backups are the account's of the other tests
		if r := s.runCmd(exec.Command("chown", "postgres", spc)); r.code != 0 {
			t.Fatal(r.err)
		}
	}
	s.sql(url, churn...)
	s.sql(url, "CREATE UNLOGGED TABLE unlogged AS SELECT 1 AS i")
	const counts = "SELECT (SELECT count(*) FROM keep), (SELECT count(*) FROM afar), (SELECT count(*) FROM unlogged)"
	want := strings.TrimSuffix(s.sql(url, counts), "1") + "0"
	for i, args := range []string{
		"-Fp -X stream --manifest-checksums=sha256 -P",
		"-Fp -X fetch --compress=server-gzip:9 --manifest-force-encode -r 100M",
		"-Fp -X none -R --no-manifest --compress=server-lz4", // for a standby: it streams all WAL by itself
		"-Ft -X fetch --compress=server-zstd:level=1,workers=2",
		"-Ft -X stream -z",
	} {
		if pgtest.Version().OldBaseBackup && strings.Contains(args, "server-") {
			continue // no server of that version compresses
		}
		top := pgtest.TempDir(t)
		dir, moved := filepath.Join(top, "data"), filepath.Join(top, "far")
		say := s.asOwner("pg_basebackup", append(strings.Fields(args), "-d", s.replication("main"), "-D", dir, "-T", spc+"="+moved)...)
		if i == 0 && !strings.Contains(say, "(100%), 2/2 tablespaces") {
			t.Errorf("progress: %q", say)
		}
		if strings.HasPrefix(args, "-Ft") {
			s.untar(dir, filepath.Join(top, "unpacked"), moved)
			dir = filepath.Join(top, "unpacked")
		}
		if strings.HasPrefix(args, "-Fp") && !strings.Contains(args, "no-manifest") {
			s.verifyBackup(dir)
		}
		v := s.serveStandby(dir)
		if strings.Contains(args, "-R") {
			v.same(url, "SELECT count(*), sum(i), (SELECT count(*) FROM afar) FROM keep")
		} else {
			s.want(v.url, counts, want)
		}
		v.stop("fast")
	}
}

// walDir gives the directory of main's own WAL.
func (s *site) walDir() string {
	s.t.Helper()
	dirs, err := filepath.Glob(filepath.Join(s.work, "tenants", "*", "timelines", "*", "wal"))
	if err != nil || len(dirs) != 1 {
		s.t.Fatalf("the WAL of one branch: %v, %v", dirs, err)
	}
	return dirs[0]
}

// untar unpacks a base backup in tar format from one directory to another; its tablespace goes to moved.
func (s *site) untar(from, to, moved string) {
	s.t.Helper()
	for _, dir := range []string{to, moved} {
		if out, err := asPostgres("mkdir", "-m", "700", dir).CombinedOutput(); err != nil {
			s.t.Fatalf("%v: %s", err, out)
		}
	}
	archives, err := filepath.Glob(filepath.Join(from, "*.tar*"))
	if err != nil || len(archives) < 2 {
		s.t.Fatalf("archives: %v, %v", archives, err)
	}
	for _, a := range archives {
		dir := moved
		switch name := filepath.Base(a); {
		case strings.HasPrefix(name, "base."):
			dir = to
		case strings.HasPrefix(name, "pg_wal."):
			dir = filepath.Join(to, "pg_wal")
		}
		if out, err := asPostgres("tar", "-xf", a, "-C", dir).CombinedOutput(); err != nil {
			s.t.Fatalf("tar: %v: %s", err, out)
		}
	}
	manifest := filepath.Join(from, "backup_manifest")
	if out, err := asPostgres("cp", manifest, to).CombinedOutput(); err != nil {
		s.t.Fatalf("cp: %v: %s", err, out)
	}
	// tablespace_map says where the tablespace is: it is to be moved.
	path := filepath.Join(to, "tablespace_map")
	text, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	oid, _, _ := bytes.Cut(text, []byte(" "))
	if err := os.Symlink(moved, filepath.Join(to, "pg_tblspc", string(oid))); err != nil { // pg_verifybackup looks for the tablespace there
		s.t.Fatal(err)
	}
	s.verifyBackup(to)
	if err := os.WriteFile(path, fmt.Appendf(nil, "%s %s\n", oid, moved), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// TestReceiveWAL archives a branch by pg_receivewal, which is killed in the middle and started again. Its
// segments equal the branch's, byte for byte.
func TestReceiveWAL(t *testing.T) {
	t.Parallel()
	s := replSite(t)
	url := s.start("main")
	archive := pgtest.TempDir(t)
	name := func(args ...string) []string {
		return append([]string{"-d", s.replication("main"), "-D", archive, "-S", "archive"}, args...)
	}
	s.asOwner("pg_receivewal", "-d", s.replication("main"), "-S", "archive", "--create-slot", "--if-not-exists")
	var cmd *exec.Cmd
	receive := func() {
		cmd = pgtest.Command(t, "pg_receivewal", name("--synchronous", "-s", "1")...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	receive()
	for i := range 3 {
		s.sql(url, churn...)
		s.sql(url, "INSERT INTO keep (t) SELECT repeat(md5(g::text), 3) FROM generate_series(1, 8000) g") // together less WAL than what makes segments cold, which are packed
		if i == 1 {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			removeUnpadded(t, archive)
			s.sql(url, churn...)
			receive()
		}
	}
	s.ok("pg", "stop", "main")
	end, err := pg.ParseLSN(s.lsn("main"))
	if err != nil {
		t.Fatal(err)
	}
	s.endsAt(cmd, name("--endpos", (end-1).String()))
	same := 0
	files, err := os.ReadDir(archive)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		full := strings.TrimSuffix(f.Name(), ".partial")
		got, gerr := os.ReadFile(filepath.Join(archive, f.Name()))
		want, werr := os.ReadFile(filepath.Join(s.walDir(), full))
		if gerr != nil || werr != nil || !bytes.Equal(got, want) {
			t.Errorf("%s differs from the branch's: %v, %v", f.Name(), gerr, werr)
			continue
		}
		same++
	}
	if same < 5 {
		t.Errorf("%d segments were received, want some more", same)
	}

	// The page server shows the slot, and drops it.
	slot := s.sql(s.replication("main")+" dbname=replication replication=true", "READ_REPLICATION_SLOT archive")
	if !strings.HasPrefix(slot, "physical|0/") {
		t.Errorf("slot: %s", slot)
	}
	s.asOwner("pg_receivewal", "-d", s.replication("main"), "-S", "archive", "--drop-slot")
	r := s.runCmd(pgtest.Command(t, "pg_receivewal", name("-n")...))
	if r.code == 0 || !strings.Contains(r.err, `replication slot "archive" does not exist`) {
		t.Errorf("without its slot: exit %d: %s", r.code, r.err)
	}
}

// removeUnpadded removes a segment that a killed pg_receivewal had not filled up with zeros yet: pg_receivewal
// would refuse to go on with it ("has 8192 bytes, should be 0 or 1048576").
func removeUnpadded(t *testing.T, archive string) {
	t.Helper()
	partial, err := filepath.Glob(filepath.Join(archive, "*.partial"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range partial {
		fi, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if fi.Size() == 1<<20 {
			continue
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

// endsAt ends a receiver by SIGINT, and runs another one, with args, until it comes to its end.
func (s *site) endsAt(cmd *exec.Cmd, args []string) {
	s.t.Helper()
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		s.t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		s.t.Fatalf("pg_receivewal after SIGINT: %v", err)
	}
	s.asOwner("pg_receivewal", args...)
}

// TestSlotKeepsWAL forgets all history but what a slot needs, and after the slot is dropped, that as well.
func TestSlotKeepsWAL(t *testing.T) {
	t.Parallel()
	s := replSite(t)
	url := s.start("main")
	repl := s.replication("main") + " dbname=replication replication=true"
	s.sql(repl, "CREATE_REPLICATION_SLOT held PHYSICAL (RESERVE_WAL)")
	for range 3 {
		s.sql(url, churn...)
		s.sql(url, "INSERT INTO keep (t) SELECT repeat(md5(g::text), 3) FROM generate_series(1, 8000) g", "CHECKPOINT")
	}
	s.ok("pg", "stop", "main")
	end, err := pg.ParseLSN(s.lsn("main"))
	if err != nil {
		t.Fatal(err)
	}
	s.ok("gc", "main", "--retain", "0B", "--force")
	receive := func(slot string) result {
		dir := pgtest.TempDir(t)
		args := []string{"-n", "-d", s.replication("main"), "-D", dir, "-S", slot, "--endpos", (end - 1).String()}
		return s.runCmd(pgtest.Command(t, "pg_receivewal", args...))
	}
	restart := s.sql(repl, "READ_REPLICATION_SLOT held")
	if r := receive("held"); r.code != 0 {
		t.Errorf("from %s: exit %d: %s", restart, r.code, r.err)
	}
	s.asOwner("pg_basebackup", "-d", s.replication("main"), "-D", filepath.Join(pgtest.TempDir(t), "data"))
	s.sql(repl, "DROP_REPLICATION_SLOT held")
	s.ok("gc", "main", "--retain", "0B", "--force")
	from, err := pg.ParseLSN(strings.Split(restart, "|")[1])
	if err != nil {
		t.Fatal(err)
	}
	if r := s.receiveAfter(from); r.code == 0 || !strings.Contains(r.err, "has already been removed") {
		t.Errorf("after the slot was dropped: exit %d: %s", r.code, r.err)
	}
}

// receiveAfter runs pg_receivewal in a directory that seems to have the segment of an LSN already, so that it
// asks for WAL from the next segment on.
func (s *site) receiveAfter(lsn pg.LSN) result {
	s.t.Helper()
	dir := pgtest.TempDir(s.t)
	name := filepath.Join(dir, xlog.SegmentName(1, lsn, 1<<20))
	if err := os.WriteFile(name, make([]byte, 1<<20), 0o644); err != nil {
		s.t.Fatal(err)
	}
	return s.runCmd(exec.Command(program("pg_receivewal"), "-d", s.replication("main"), "-D", dir, "-n"))
}

// TestReplicationErrors sends replication commands that are refused.
func TestReplicationErrors(t *testing.T) {
	t.Parallel()
	s := replSite(t)
	repl := func(branch, command string) string {
		t.Helper()
		cmd := exec.Command(program("psql"), s.replication(branch)+" dbname=replication replication=true", "-XqAt", "-c", command)
		r := s.runCmd(cmd)
		return strings.TrimSpace(r.out + r.err)
	}
	for _, c := range []struct{ branch, command, want string }{
		{"main", "IDENTIFY_SYSTEM", "|1|0/"},
		{"main", "SHOW wal_segment_size", "1MB"},
		{"nosuch", "IDENTIFY_SYSTEM", "branch nosuch: no such branch"},
		{"main", "START_REPLICATION PHYSICAL 0/0 TIMELINE 7", "requested timeline 7 is not in this server's history"},
		{"main", "TIMELINE_HISTORY 2", "could not open file"},
		{"main", "START_REPLICATION SLOT nosuch PHYSICAL 0/0", `replication slot "nosuch" does not exist`},
		{"main", "START_REPLICATION SLOT s LOGICAL 0/0", "logical replication is not supported"},
		{"main", "CREATE_REPLICATION_SLOT \"No\" PHYSICAL", "contains invalid character"},
		{"main", "BASE_BACKUP (TARGET 'server')", "only \"client\" is supported"},
		{"main", "BASE_BACKUP (MAX_RATE 1)", "outside the valid range"},
		{"main", "BASE_BACKUP (PROGRESS, PROGRESS)", "duplicate option"},
		{"main", "READ_REPLICATION_SLOT none", "||"},
	} {
		if got := repl(c.branch, c.command); !strings.Contains(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.command, got, c.want)
		}
	}
	// WAL from before the start of history.
	r := s.receiveAfter(1 << 20)
	if r.code == 0 || !strings.Contains(r.err, "requested WAL segment 000000010000000000000002 has already been removed") {
		t.Errorf("from the start: exit %d: %s", r.code, r.err)
	}
}
