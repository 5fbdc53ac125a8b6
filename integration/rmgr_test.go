package integration

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"zenith/internal/pgtest"
)

// serverHeaders finds the directory of PostgreSQL's server headers: where Debian's postgresql-server-dev-15 has them,
// or else where .ci/install-headers has put them. PG_SERVER_INCLUDE may name another one.
func serverHeaders(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dirs := []string{os.Getenv("PG_SERVER_INCLUDE"), "/usr/include/postgresql/15/server", filepath.Join(cache, "zenith", "postgresql-15-headers")}
	for _, dir := range dirs {
		if _, err := os.Stat(filepath.Join(dir, "postgres.h")); dir != "" && err == nil {
			return dir
		}
	}
	needExtension(t, "headers", filepath.Join(dirs[1], "postgres.h"))
	return ""
}

// stampLibrary builds the extension of testdata/stamp.c, and gives the library's path.
func stampLibrary(t *testing.T) string {
	t.Helper()
	dir := pgtest.TempDir(t)
	if err := os.Chmod(dir, 0o755); err != nil { // for the accounts of all tenants
		t.Fatal(err)
	}
	lib := filepath.Join(dir, "stamp.so")
	cmd := exec.Command("gcc", "-shared", "-fPIC", "-O2", "-I", serverHeaders(t), "-o", lib, "testdata/stamp.c")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return lib
}

// TestForeignRecords changes pages by records that only an extension can replay, so many that their images
// fill several WAL segments. After a clean stop everything is there, whoever looks, and without the
// library, too. After crashes as well, while the library is there; else it is said what is missing.
func TestForeignRecords(t *testing.T) {
	t.Parallel()
	lib := stampLibrary(t)
	s := replSite(t)
	main := s.start("main", "--set", "shared_preload_libraries="+lib)
	s.sql(main, "create function stamp(oid, int, int, int) returns void language c as '"+lib+"'",
		"create table t as select g as a, repeat('x', 100) as b from generate_series(1, 20000) g",
		"create table flushed (at timestamptz)", "create unlogged table u as select * from t", "create sequence q", "select nextval('q')", "checkpoint")
	const sum = "select md5(string_agg(b, '' order by a)) from t"
	stamp := func(url, value string) string {
		s.sql(url, "select stamp('t'::regclass, g, 8150, "+value+") from generate_series(1, 300) g", "insert into flushed values (now())") // the first has nothing to commit, and waits for no flush
		return strings.TrimSpace(s.sql(url, sum))
	}
	stamped := stamp(main, "65")
	s.sql(main, "create database copied template postgres strategy file_copy", "create database logged template postgres strategy wal_log")
	s.ok("pg", "stop", "main")
	point := s.lsn("main")

	main = s.start("main", "--unset", "shared_preload_libraries")
	s.want(main, sum, stamped)
	s.want(main, "select count(*) from u", "20000") // pg_control and what else is kept fit the new checkpoint
	s.want(main, "select nextval('q')", "2")
	for _, db := range []string{"copied", "logged"} {
		s.want(database(main, db), sum, stamped)
	}
	s.sql(main, "update t set b = 'y' || b where a % 7 = 0")
	s.ok("branch", "dev", "main@"+point)
	dev := s.start("dev")
	s.want(dev, sum, stamped)
	if got := s.ok("pg", "exec", "main@"+point, "--", "psql", "-XAtqc", sum); got != stamped {
		t.Errorf("main@%s has %s, want %s", point, got, stamped)
	}
	s.ok("pg", "stop", "main")
	s.ok("pg", "stop", "dev")
	s.ok("stop")
	s.ok("start")
	s.ok("check")

	// Crashes: what the last stop has not stored is made by a throw-away server with the library.
	main = s.start("main", "--set", "shared_preload_libraries="+lib)
	before := strings.TrimSpace(s.sql(main, sum))
	at := s.lsn("main")
	outside := pgtest.TempDir(t)
	s.owns(main, outside)
	for i, crash := range []func(){s.killPostgres, s.killPageServer, func() { s.killPostgres(); s.killPageServer() }} {
		stamp(main, fmt.Sprint(66+i))
		s.sql(main, "update t set b = b || 'z' where a % 50 = 0")
		stamped = stamp(main, fmt.Sprint(76+i))
		if i == 0 {
			s.sql(main, "create tablespace outside location '"+outside+"'", "create table far tablespace outside as select g as a, repeat('x', 100) as b from generate_series(1, 5000) g",
				"select stamp('far'::regclass, g, 8150, 65) from generate_series(1, 9) g", "insert into flushed values (now())")
			if err := os.RemoveAll(outside); err != nil { // as on another machine: replay must not need it
				t.Fatal(err)
			}
		}
		if i == 1 { // the pages of a backup are made, too
			s.asOwner("pg_basebackup", "-d", s.replication("main"), "-D", filepath.Join(pgtest.TempDir(t), "data"), "-c", "fast")
		}
		crash()
		main = s.start("main")
		s.want(main, sum, stamped)
		s.want(main, "select count(distinct b) from far", "2")
	}
	if got := s.ok("pg", "exec", "main@"+at, "--", "psql", "-XAtqc", sum); got != before {
		t.Errorf("main@%s has %s, want %s", at, got, before)
	}
	relation := strings.TrimSpace(s.sql(main, "select pg_relation_filepath('t')"))
	stamped = stamp(main, "90")
	behind := s.lsn("main")
	stamp(main, "91")
	s.killPageServer()
	if got := s.ok("pg", "exec", "main@"+behind, "--", "psql", "-XAtqc", sum); got != stamped {
		t.Errorf("main@%s has %s, want %s", behind, got, stamped)
	}
	s.ok("branch", "later", "main@"+behind)
	later := s.start("later")
	s.want(later, sum, stamped)
	s.ok("pg", "stop", "later")
	s.ok("branch", "delete", "-f", "later")

	// Without the library nothing is started, and nothing written.
	hidden := lib + ".hidden"
	if err := os.Rename(lib, hidden); err != nil {
		t.Fatal(err)
	}
	end := s.lsn("main")
	for _, args := range [][]string{{"main", "--set", "shared_preload_libraries="}, {"main", "--unset", "shared_preload_libraries"}, {"main"}} {
		said := s.run(append([]string{"pg", "start"}, args...)...)
		if said.code == 0 || !strings.Contains(said.err, "300 pages cannot be read") || !strings.Contains(said.err, "resource manager 128") ||
			!strings.Contains(said.err, lib) || !strings.Contains(said.err, "before those records") {
			t.Errorf("pg start %q: exit %d: %s", args, said.code, said.err)
		}
	}
	s.unreadableInTree(filepath.Join("tenants", s.ok("tenant", "list"), "branches", "main", relation))
	s.ok("gc", "--retain", "1B", "--force") // what the replay needs is kept
	if got := s.lsn("main"); got != end {
		t.Errorf("main went on from %s to %s though nothing was started", end, got)
	}
	if err := os.Rename(hidden, lib); err != nil {
		t.Fatal(err)
	}
	s.killInReplay()
	said := s.run("pg", "start", "main", "--set", "shared_preload_libraries=")
	if said.code != 0 || !strings.Contains(said.err, "written with shared_preload_libraries="+lib) {
		t.Errorf("pg start without the library: exit %d: %s", said.code, said.err)
	}
	s.ok("check")
}

// unreadableInTree reads a file of which pages cannot be read, in a mount of everything: the reader gets a number that says
// what kind of error it is, and the list of mounts says the reason.
func (s *site) unreadableInTree(path string) {
	s.t.Helper()
	dir := s.mountDir("all")
	s.ok("mount", dir)
	out, err := exec.Command("cat", filepath.Join(dir, path)).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "Operation not supported") {
		s.t.Errorf("read %s: %v, %s", path, err, out[max(0, len(out)-200):])
	}
	var list []struct {
		Dir       string
		Errors    int
		LastError string `json:"last_error"`
	}
	if err := json.Unmarshal([]byte(s.ok("mount", "list", "-o", "json")), &list); err != nil {
		s.t.Fatal(err)
	}
	for _, m := range list {
		if m.Dir == dir && m.Errors > 0 && strings.Contains(m.LastError, "resource manager 128") && strings.Contains(m.LastError, filepath.Base(path)) {
			s.ok("umount", dir)
			return
		}
	}
	s.t.Errorf("the list of mounts does not say why %s could not be read: %+v", path, list)
}

// killInReplay kills the page server while a throw-away server replays, and starts another one, which cleans up.
func (s *site) killInReplay() {
	s.t.Helper()
	pattern := filepath.Join(s.work, "tenants", "*", "pg", ".exec-replay-*")
	left := func() []string {
		found, err := filepath.Glob(pattern)
		if err != nil {
			s.t.Fatal(err)
		}
		return found
	}
	var starting sync.WaitGroup
	starting.Go(func() { s.run("pg", "start", "main") }) // which fails, as its page server goes
	eventually(s.t, "a replay to begin", func() bool { return len(left()) > 0 })
	s.killPageServer()
	starting.Wait()
	if found := left(); len(found) > 0 {
		s.t.Errorf("a replay that was killed has left %v", found)
	}
}

// killPostgres kills main's postmaster, and waits until the page server has started another one.
func (s *site) killPostgres() {
	s.t.Helper()
	path := filepath.Join(s.dataOf("main"), "postmaster.pid")
	pid := pidIn(s.t, path)
	kill9(s.t, pid)
	eventually(s.t, "postgres to be there again", func() bool {
		text, err := os.ReadFile(path)
		return err == nil && !strings.HasPrefix(string(text), fmt.Sprint(pid)) && strings.Contains(string(text), "ready")
	})
}

// killPageServer kills the page server, and starts another one.
func (s *site) killPageServer() {
	s.t.Helper()
	kill9(s.t, pidIn(s.t, filepath.Join(s.work, "pageserver.pid")))
	s.ok("start")
}

// TestForeignRecordsPowerCut cuts the power while a throw-away server makes the pages that an extension's records have
// changed, while they are stored, and when they are: of a disk that keeps of what was not synced any part.
func TestForeignRecordsPowerCut(t *testing.T) {
	t.Parallel()
	lib := stampLibrary(t)
	s := emptySite(t)
	disk := newLossyDisk(t, filepath.Join(s.dir, "disk"))
	s.work = filepath.Join(disk.dir, ".zenith")
	t.Cleanup(s.end)
	s.ok("init", "--pg-distrib", pgDistrib)
	s.ok("start")
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	cut := func() {
		t.Helper()
		pid := pidIn(t, filepath.Join(s.work, "pageserver.pid"))
		disk.do("cut")
		kill9(t, pid)
		disk.do(fmt.Sprintf("back %d", random.Uint64()))
		s.ok("start")
	}
	main := s.start("main", "--set", "shared_preload_libraries="+lib)
	s.sql(main, "create function stamp(oid, int, int, int) returns void language c as '"+lib+"'",
		"create table t as select g as a, repeat('x', 100) as b from generate_series(1, 20000) g", "create table flushed (round int)")
	const sum = "select md5(string_agg(b, '' order by a)) from t"
	replays := filepath.Join(s.work, "tenants", "*", "pg", ".exec-replay-*")
	for round, moment := range []func(ended func() bool){
		func(func() bool) {},
		func(func() bool) { time.Sleep(time.Duration(random.IntN(300)) * time.Millisecond) },
		func(ended func() bool) { eventually(t, "postgres to be started", ended) },
	} {
		s.sql(main, fmt.Sprintf("select stamp('t'::regclass, g, 8150, %d) from generate_series(1, 300) g", 65+round), fmt.Sprintf("insert into flushed values (%d)", round))
		want := strings.TrimSpace(s.sql(main, sum))
		cut()
		var starting sync.WaitGroup
		var ended atomic.Bool
		starting.Go(func() { s.run("pg", "start", "main"); ended.Store(true) })
		eventually(t, "a replay to begin", func() bool { left, err := filepath.Glob(replays); return err == nil && len(left) > 0 })
		moment(ended.Load)
		cut()
		starting.Wait()
		if left, err := filepath.Glob(replays); err != nil || len(left) > 0 {
			t.Errorf("a replay has left %v, %v", left, err)
		}
		main = s.start("main")
		s.want(main, sum, want)
		s.want(main, "select max(round) from flushed", fmt.Sprint(round))
	}
	s.ok("check")
}

// TestForeignRecordsReceived follows a server whose WAL has records of an extension. After a crash of that
// server its own recovery, with the library, and what is mounted here as of the end of its WAL are equal to the byte.
func TestForeignRecordsReceived(t *testing.T) {
	t.Parallel()
	lib := stampLibrary(t)
	srv, conninfo := native(t, nil, "shared_preload_libraries='"+lib+"'", "full_page_writes=off", "autovacuum=off")
	srv.Start(t)
	srv.Psql(t, "create function stamp(oid, int, int, int) returns void language c as '"+lib+"';"+
		"create table t as select g as a, repeat('x', 100) as b from generate_series(1, 20000) g")
	s := emptySite(t)
	s.ok("init", "--pg-distrib", pgDistrib, "--listen", "127.0.0.1:0", "--from-server", conninfo)
	s.ok("start")
	srv.Psql(t, "select stamp('t'::regclass, g, 8150, 70) from generate_series(1, 300) g; create index on t (a);"+
		"update t set b = b || 'y' where a % 3 = 0; select stamp('t'::regclass, g, 8100, 71) from generate_series(1, 200) g; create table flushed (a int)")
	end := srv.LSN(t, "SELECT pg_current_wal_insert_lsn()")
	s.caughtUp(srv)
	srv.Stop(t, pgtest.Immediate)
	dir := s.mountDir("end")
	s.ok("mount", "main@"+end.String(), dir)
	srv.Start(t) // recovers
	srv.Stop(t, pgtest.Fast)
	compareFiles(t, srv.Dir, dir)
	s.ok("umount", dir)
	srv.Start(t)
	const sum = "select md5(string_agg(b, '' order by a)) from t"
	want := strings.TrimSpace(srv.Psql(t, sum))
	if got := s.exec("main@"+end.String(), sum); got != want {
		t.Errorf("main@%v has %s, want %s", end, got, want)
	}
	if got := s.exec("main", sum); got != want {
		t.Errorf("main has %s, want %s", got, want)
	}
}

// TestForeignRecordsFailover follows a server with an extension's records that is promoted twice: what a throw-away
// server replays begins on one of PostgreSQL's timelines, and ends on another one.
func TestForeignRecordsFailover(t *testing.T) {
	t.Parallel()
	lib := stampLibrary(t)
	srv, conninfo := native(t, []string{"--wal-segsize=1"}, "shared_preload_libraries='"+lib+"'", "full_page_writes=off", "autovacuum=off", "allow_in_place_tablespaces=on")
	srv.Start(t)
	srv.Psql(t, "create function stamp(oid, int, int, int) returns void language c as '"+lib+"';"+
		"create table t as select g as a, repeat('x', 100) as b from generate_series(1, 20000) g")
	s := newSite(t, "--from-server", conninfo)
	const sum = "select md5(string_agg(b, '' order by a)) from t"
	type state struct{ point, sum string }
	var want []state
	for i, mode := range []pgtest.ShutdownMode{pgtest.Immediate, pgtest.Fast, pgtest.Immediate} {
		if i == 1 { // a segment later
			srv.Psql(t, "select pg_switch_wal()")
		}
		srv.Psql(t, fmt.Sprintf("select stamp('t'::regclass, g, 8150, %d) from generate_series(%d, 300) g; create tablespace s%d location ''; create table flushed%d (a int)",
			70+i, 1+i*100, i, i))
		s.caughtUp(srv)
		want = append(want, state{"main@" + srv.LSN(t, "SELECT pg_current_wal_insert_lsn()").String(), strings.TrimSpace(srv.Psql(t, sum))})
		if i < 2 {
			restartPromoted(t, srv, mode)
		}
	}
	want = append(want, state{"main", want[len(want)-1].sum})
	for _, w := range slices.Backward(want) {
		if got := s.exec(w.point, sum); got != w.sum {
			t.Errorf("%s has %s, want %s", w.point, got, w.sum)
		}
	}
	if got := s.exec("main", "select substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)"); got != "00000003" {
		t.Errorf("main is on timeline %s", got)
	}
	s.clean()
}

// TestForeignRecordsPushed pushes a branch whose last pages only an extension's library can make: the page server
// there makes them with its own, which the user names, and then knows it by itself.
func TestForeignRecordsPushed(t *testing.T) {
	t.Parallel()
	lib := stampLibrary(t)
	a, b := newSite(t), newSite(t)
	tenant := a.ok("tenant", "list")
	main := a.start("main", "--set", "shared_preload_libraries="+lib)
	a.sql(main, "create function stamp(oid, int, int, int) returns void language c as '"+lib+"'",
		"create table t as select g as a, repeat('x', 100) as b from generate_series(1, 2000) g",
		"select stamp('t'::regclass, g, 8150, 65) from generate_series(1, 30) g", "create table flushed (a int)")
	const sum = "select md5(string_agg(b, '' order by a)) from t"
	want := a.sql(main, sum)
	a.ok("remote", "add", "there", b.addr())
	a.push("main", "there")
	there := []string{"pg", "exec", "--tenantid", tenant, "main"}
	query := []string{"--", program("psql"), "-XAtqc", sum}
	if said := b.run(append(there, query...)...); said.code == 0 || !strings.Contains(said.err, "it is not known with which shared_preload_libraries") {
		t.Errorf("without the library: exit %d: %s%s", said.code, said.out, said.err)
	}
	for _, args := range [][]string{append([]string{"pg", "exec", "--set", "shared_preload_libraries=" + lib}, append(there[2:], query...)...), append(there, query...)} {
		if got := b.ok(args...); got != want {
			t.Errorf("there: got %s, want %s", got, want)
		}
	}
}
