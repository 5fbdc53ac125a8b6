package integration

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"zenith/internal/pg"
	"zenith/internal/pgtest"
)

// native makes an ordinary server that keeps all of its WAL, and gives its connection string.
func native(t *testing.T, initArgs []string, config ...string) (*pgtest.Server, string) {
	t.Helper()
	srv := pgtest.Init(t, pgtest.Options{InitArgs: initArgs, Config: append([]string{"wal_keep_size=8GB", "max_wal_size=64MB"}, config...)})
	return srv, "host=" + srv.Socket + " port=5432 user=postgres"
}

// load runs pgbench again and again until it is stopped, even if the server goes away meanwhile.
type load struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

func startLoad(t *testing.T, srv *pgtest.Server) *load {
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{cancel: cancel}
	l.wg.Go(func() {
		for ctx.Err() == nil {
			_ = srv.Client(t, "pgbench", "-n", "-c", "3", "-t", "40", "postgres").Run() // an error is no surprise: the server may go away
		}
	})
	return l
}

func (l *load) stop() {
	l.cancel()
	l.wg.Wait()
}

// received is a line of `zenith receive list`.
type received struct {
	Branch, Status, Applied, Error, ConnInfo string
}

func (s *site) receiver() received {
	s.t.Helper()
	var list []received
	out := s.ok("receive", "list", "-o", "json")
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list) != 1 {
		s.t.Fatalf("receive list: %v: %s", err, out)
	}
	return list[0]
}

// caughtUp waits until the branch has all of the server's WAL.
func (s *site) caughtUp(srv *pgtest.Server) {
	s.t.Helper()
	end := srv.LSN(s.t, "SELECT pg_current_wal_flush_lsn()")
	eventually(s.t, "the receiver to reach "+end.String(), func() bool {
		at, err := pg.ParseLSN(s.receiver().Applied)
		return err == nil && at >= end
	})
}

// exec runs a query at a point, by pg exec.
func (s *site) exec(point, query string) string {
	s.t.Helper()
	return s.ok("pg", "exec", point, "--", program("psql"), "-XqAt", "-v", "ON_ERROR_STOP=1", "-c", query)
}

// balance asks for the number of transactions of a pgbench database, and for four sums, which are equal in every
// consistent state.
const balance = `SELECT (SELECT count(*) FROM pgbench_history), (SELECT sum(delta) FROM pgbench_history),
	(SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(tbalance) FROM pgbench_tellers), (SELECT sum(bbalance) FROM pgbench_branches)`

// TestReceive copies a server under load and follows it, while both servers are killed and restarted. The states
// at several LSNs equal those of stock point-in-time recovery, to the byte.
func TestReceive(t *testing.T) {
	t.Parallel()
	srv, conninfo := native(t, []string{"--data-checksums", "--wal-segsize=1"})
	srv.Start(t)
	srv.Run(t, "pgbench", "-i", "-q", "-s", "2", "postgres")
	srv.Psql(t, "CREATE EXTENSION amcheck")
	srv.Stop(t, pgtest.Fast)
	base := srv.Copy(t)
	srv.Start(t)

	s := emptySite(t)
	l := startLoad(t, srv)
	s.ok("init", "--pg-distrib", pgDistrib, "--from-server", conninfo)
	s.ok("start")
	first := s.ok("lsn", "main@"+firstLSN(s))
	s.fails(14, "lsn", "main@"+before(t, first))

	want := map[string]string{} // balance by LSN; "" for an LSN in the middle of the load
	breaks := []func(){
		func() { kill9(t, pidIn(t, filepath.Join(s.work, "pageserver.pid"))); s.ok("start") },
		func() { srv.Stop(t, pgtest.Immediate); srv.Start(t) },
		func() { s.ok("stop"); srv.Stop(t, pgtest.Fast); srv.Start(t); s.ok("start") },
		func() {},
	}
	for _, broken := range breaks {
		at := srv.LSN(t, "SELECT pg_current_wal_lsn()")
		eventually(t, "load", func() bool { return srv.LSN(t, "SELECT pg_current_wal_lsn()") > at+256<<10 })
		if len(want) < 2 {
			want[srv.LSN(t, "SELECT pg_current_wal_flush_lsn()").String()] = ""
		}
		broken()
		l.stop()
		counts := srv.Psql(t, balance)
		want[srv.LSN(t, "SELECT pg_current_wal_insert_lsn()").String()] = counts
		l = startLoad(t, srv)
	}
	l.stop()
	s.caughtUp(srv)
	if got, want := s.exec("main", balance), srv.Psql(t, balance); got != want {
		t.Errorf("at the head: got %s, want %s", got, want)
	}
	srv.Stop(t, pgtest.Fast)
	for lsn, counts := range want {
		if got := s.exec("main@"+lsn, balance); got != counts && counts != "" {
			t.Errorf("at %s: got %s, want %s", lsn, got, counts)
		}
		s.exec("main@"+lsn, "SELECT bt_index_check(oid, true) FROM pg_class WHERE relkind = 'i' AND relname LIKE 'pgbench%'")
		at, err := pg.ParseLSN(lsn)
		if err != nil {
			t.Fatal(err)
		}
		stock := pgtest.Recover(t, base, srv.WAL(t), at)
		dir := s.mountDir("at" + strings.ReplaceAll(lsn, "/", "_"))
		s.ok("mount", "main@"+lsn, dir)
		compareFiles(t, stock.Dir, dir)
		s.ok("umount", dir)
		stock.Remove(t)
	}
}

// firstLSN finds out where history begins: it asks for an LSN before that, and reads it from the error.
func firstLSN(s *site) string {
	s.t.Helper()
	line := s.fails(14, "lsn", "main@0/100")
	words := strings.Fields(line)
	return words[len(words)-3] // "... is outside of what is kept: FIRST to LAST"
}

func before(t *testing.T, lsn string) string {
	t.Helper()
	at, err := pg.ParseLSN(lsn)
	if err != nil {
		t.Fatal(err)
	}
	return (at - 8).String()
}

// TestReceiveSynchronous follows a server whose commits wait for the receiver (synchronous_standby_names), with a
// slot, a password and a tablespace. The page server is killed; every acknowledged commit is on the branch.
func TestReceiveSynchronous(t *testing.T) {
	t.Parallel()
	srv, conninfo := native(t, []string{"--data-checksums"}, "password_encryption=scram-sha-256", "max_prepared_transactions=3", "track_commit_timestamp=on")
	srv.Start(t)
	spc := pgtest.TempDir(t)
	srv.Psql(t, "CREATE ROLE repl LOGIN REPLICATION PASSWORD 'geheim'; CREATE TABLESPACE elsewhere LOCATION '"+spc+"';")
	srv.Psql(t, "CREATE TABLE far TABLESPACE elsewhere AS SELECT g AS i FROM generate_series(1, 5000) g; CREATE TABLE ledger (i int PRIMARY KEY)")
	srv.Psql(t, "BEGIN; INSERT INTO far VALUES (-1); PREPARE TRANSACTION 'kept'")
	srv.Psql(t, "CREATE UNLOGGED TABLE u AS SELECT 1")
	hba := filepath.Join(srv.Dir, "pg_hba.conf")
	if err := os.WriteFile(hba, []byte("local all postgres trust\nlocal replication repl scram-sha-256\nhost all all 127.0.0.1/32 trust\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	srv.Psql(t, "SELECT pg_reload_conf()")
	conninfo = strings.Replace(conninfo, "postgres", "repl", 1) + " application_name=zen primary_slot_name=zen_1 password="
	if line := emptySite(t).fails(1, "init", "--from-server", conninfo+"falsch"); !strings.Contains(line, "password") {
		t.Errorf("with a wrong password: %s", line)
	}
	s := newSite(t, "--from-server", conninfo+"geheim")
	eventually(t, "the stream", func() bool { return s.receiver().Status == "streaming" })
	if out := s.ok("receive", "list", "-o", "json") + s.ok("receive", "list"); strings.Contains(out, "geheim") {
		t.Errorf("receive list tells the password: %s", out)
	}
	srv.Psql(t, "ALTER SYSTEM SET synchronous_standby_names = 'zen'")
	srv.Psql(t, "SELECT pg_reload_conf()")
	eventually(t, "synchronous replication", func() bool {
		return srv.Psql(t, "SELECT sync_state FROM pg_stat_replication WHERE application_name = 'zen'") == "sync"
	})
	srv.Psql(t, "SET synchronous_commit = remote_apply; INSERT INTO far SELECT 0")
	if got := s.exec("main", "SELECT count(*), sum(i) FROM far"); got != "5001|12502500" {
		t.Errorf("in the tablespace: %s", got)
	}

	if got := s.exec("main", "SELECT gid, (SELECT count(pg_xact_commit_timestamp(xmin)) FROM far), (SELECT count(*) FROM u) FROM pg_prepared_xacts"); got != "kept|5001|0" {
		t.Errorf("prepared transactions, commit timestamps, unlogged rows: %s", got)
	}

	l := &ledger{}
	url := "postgresql:///postgres?user=postgres&host=" + srv.Socket
	l.during(s, url, 300, func() { kill9(t, pidIn(t, filepath.Join(s.work, "pageserver.pid"))) })
	if srv.Psql(t, "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'SyncRep'") != "t" {
		t.Log("nobody waits for the killed page server any more")
	}
	// The server is gone, so the receiver gets nothing more: what is on the page server's disk must be enough.
	srv.Stop(t, pgtest.Immediate)
	s.ok("start")
	got := s.exec("main", "SELECT i FROM ledger")
	there := map[string]bool{}
	for line := range strings.Lines(got) {
		there[strings.TrimSpace(line)] = true
	}
	for _, n := range l.acked {
		if !there[strconv.Itoa(n)] {
			t.Fatalf("commit of %d was acknowledged and is lost (%d acknowledged, %d there)", n, len(l.acked), len(there))
		}
	}
	srv.Start(t)
	s.caughtUp(srv)
	s.fails(11, "mount", "main", s.mountDir("data"))
	s.fails(11, "receive", "start", "main", conninfo+"geheim")
	s.ok("receive", "stop", "main")
	s.fails(13, "receive", "stop", "main")
	if got := s.sql(s.start("main"), "SELECT count(*) FROM far"); got != "5001" {
		t.Errorf("on a writable mount: %s", got)
	}
}

// TestReceiveRefuses tries to follow servers that cannot be followed.
func TestReceiveRefuses(t *testing.T) {
	t.Parallel()
	srv, conninfo := native(t, []string{"--wal-segsize=1"})
	srv.Configure(t, "min_wal_size=2MB", "max_wal_size=2MB")
	srv.Start(t)
	srv.Psql(t, "CREATE TABLE t (i int)")
	s := newSite(t, "--from-server", conninfo)
	s.caughtUp(srv)
	failed := func(why string) {
		t.Helper()
		eventually(t, "the receiver to say "+why, func() bool {
			r := s.receiver()
			return r.Status == "failed" && strings.Contains(r.Error, why)
		})
	}

	foreign := newSite(t)
	if line := foreign.fails(12, "receive", "start", "main", conninfo); !strings.Contains(line, "system identifier") {
		t.Errorf("another cluster: %s", line)
	}
	foreign.fails(1, "receive", "start", "main", "host=/nowhere user=postgres")
	foreign.fails(2, "receive", "start", "main", "no conninfo")
	foreign.fails(13, "receive", "start", "nosuch", conninfo)
	if out := foreign.ok("receive", "list", "-o", "json"); strings.TrimSpace(out) != "[]" {
		t.Errorf("refused, and listed: %s", out)
	}

	// A branch that was written to on a mount cannot follow the server any more.
	s.ok("branch", "own", "main")
	s.sql(s.start("own"), "INSERT INTO t VALUES (1)")
	s.ok("pg", "stop", "own", "--destroy")
	srv.Psql(t, "INSERT INTO t SELECT g FROM generate_series(1, 5000) g")
	s.ok("receive", "stop", "main")
	s.ok("receive", "start", "own", conninfo)
	failed("written to on its own")
	s.ok("receive", "stop", "own")
	// A branch that was never written to can follow, as main can.
	s.ok("branch", "copy", "main")
	s.ok("receive", "start", "copy", conninfo)
	s.caughtUp(srv)
	if got, want := s.exec("copy", "SELECT count(*), sum(i) FROM t"), srv.Psql(t, "SELECT count(*), sum(i) FROM t"); got != want {
		t.Errorf("on a branch: got %s, want %s", got, want)
	}
	s.ok("receive", "stop", "copy")
	s.ok("receive", "start", "main", conninfo)
	s.caughtUp(srv)

	s.ok("stop")
	srv.Psql(t, "ALTER SYSTEM SET wal_keep_size = 0")
	srv.Psql(t, "SELECT pg_reload_conf()")
	for range 4 {
		srv.Psql(t, "INSERT INTO t SELECT g FROM generate_series(1, 20000) g")
		srv.Psql(t, "SELECT pg_switch_wal()")
		srv.Psql(t, "CHECKPOINT")
	}
	s.ok("start")
	failed("already been removed")
}

// TestReceiveMoved stops the followed server, sees that its lag is told nonetheless, and starts it again; then it is
// reached at another address, without a gap.
func TestReceiveMoved(t *testing.T) {
	t.Parallel()
	srv, conninfo := native(t, nil)
	srv.Start(t)
	srv.Psql(t, "CREATE TABLE t (a int)")
	s := emptySite(t)
	s.ok("init", "--pg-distrib", pgDistrib, "--from-server", conninfo)
	s.ok("start")
	s.caughtUp(srv)
	type row struct {
		Status     string
		LagBytes   *int64 `json:"lag_bytes"`
		LagSeconds *int64 `json:"lag_seconds"`
	}
	lag := func() row {
		t.Helper()
		var list []row
		if err := json.Unmarshal([]byte(s.ok("receive", "list", "-o", "json")), &list); err != nil || len(list) != 1 {
			t.Fatalf("%v: %v", list, err)
		}
		return list[0]
	}
	srv.Stop(t, pgtest.Immediate)
	eventually(t, "the lag of a server that is away, in seconds", func() bool {
		r := lag()
		return r.Status != "streaming" && r.LagBytes != nil && r.LagSeconds != nil && *r.LagSeconds > 0
	})
	srv.Start(t)
	srv.Psql(t, "INSERT INTO t VALUES (1)")
	s.caughtUp(srv)

	moved := filepath.Join(pgtest.TempDir(t), "moved")
	if err := os.Symlink(srv.Socket, moved); err != nil {
		t.Fatal(err)
	}
	s.ok("receive", "set", "main", "host="+moved+" port=5432 user=postgres")
	srv.Psql(t, "INSERT INTO t VALUES (2)")
	s.caughtUp(srv)
	if got := s.receiver(); !strings.Contains(got.ConnInfo, moved) || got.Status != "streaming" {
		t.Errorf("after receive set: %+v", got)
	}
	if got := strings.TrimSpace(s.exec("main", "select count(*) from t")); got != "2" {
		t.Errorf("rows: %s", got)
	}
}
