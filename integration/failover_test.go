package integration

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"zenith/internal/pg"
	"zenith/internal/pgtest"
)

// conninfoOf is a server's connection string.
func conninfoOf(srv *pgtest.Server) string { return "host=" + srv.Socket + " port=5432 user=postgres" }

// standsBy has a stopped server be a standby of another one, if that is not nil, and starts it.
func standsBy(t *testing.T, srv, primary *pgtest.Server) {
	t.Helper()
	signal := filepath.Join(srv.Dir, "standby.signal")
	if err := asPostgres("touch", signal).Run(); err != nil {
		t.Fatal(err)
	}
	if primary != nil {
		srv.Configure(t, fmt.Sprintf("primary_conninfo='%s'", conninfoOf(primary)))
	}
	srv.Start(t)
}

// replays waits until a standby has all of its primary's WAL.
func replays(t *testing.T, srv, primary *pgtest.Server) {
	t.Helper()
	end := primary.LSN(t, "SELECT pg_current_wal_flush_lsn()")
	eventually(t, "a standby to replay up to "+end.String(), func() bool {
		return srv.Psql(t, fmt.Sprintf("SELECT coalesce(pg_last_wal_replay_lsn() >= '%v', false)", end)) == "t"
	})
}

// promoted promotes a server.
func promoted(t *testing.T, srv *pgtest.Server) {
	t.Helper()
	if got := srv.Psql(t, "SELECT pg_promote()"); got != "t" {
		t.Fatalf("pg_promote: %s", got)
	}
}

// restartPromoted stops a server, and starts it as one that was promoted meanwhile, on the next timeline.
func restartPromoted(t *testing.T, srv *pgtest.Server, mode pgtest.ShutdownMode) {
	t.Helper()
	srv.Stop(t, mode)
	standsBy(t, srv, nil)
	promoted(t, srv)
}

// TestReceiveFailover follows a server that is killed, then the standby that was promoted in its place, which is killed,
// too, and a third one. Old points and branches stay what they were, new ones go on, and so do a stock standby of the
// branch, base backups of it, and postgres on it.
func TestReceiveFailover(t *testing.T) {
	t.Parallel()
	a, conninfo := native(t, []string{"--data-checksums", "--wal-segsize=1"}, "fsync=on")
	a.Start(t)
	a.Run(t, "pgbench", "-i", "-q", "-s", "1", "postgres")
	a.Psql(t, "CREATE EXTENSION amcheck")
	a.Stop(t, pgtest.Fast)
	b, c := a.Copy(t), a.Copy(t)
	a.Start(t)
	standsBy(t, b, a)
	standsBy(t, c, a)

	s := emptySite(t)
	s.ok("init", "--pg-distrib", pgDistrib, "--listen", freeAddr(t), "--auth", "trust", "--from-server", conninfo)
	s.ok("start")
	standby := func(args ...string) *server {
		t.Helper()
		dir := s.backup("main", args...)
		f, err := os.OpenFile(filepath.Join(dir, "postgresql.auto.conf"), os.O_APPEND|os.O_WRONLY, 0)
		if err == nil {
			_, err = f.WriteString("listen_addresses = '127.0.0.1'\n") // those servers have none, so as not to be in each other's way
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
		return s.serveStandby(dir)
	}
	v := standby()
	const bench = "SELECT count(*) FROM pgbench_history"
	want := map[string]string{} // balance by point
	work := func(srv *pgtest.Server, branch string) {
		t.Helper()
		srv.Run(t, "pgbench", "-n", "-c", "3", "-t", "50", "postgres")
		s.caughtUp(srv)
		want["main@"+srv.LSN(t, "SELECT pg_current_wal_insert_lsn()").String()] = srv.Psql(t, balance)
		want[branch] = srv.Psql(t, balance)
		s.ok("branch", branch, "main")
	}
	work(a, "one")
	replays(t, b, a)
	replays(t, c, a)

	a.Stop(t, pgtest.Immediate)
	promoted(t, b)
	s.ok("receive", "set", "main", conninfoOf(b))
	work(b, "two")
	kill9(t, pidIn(t, filepath.Join(s.work, "pageserver.pid")))
	s.ok("start")
	c.Stop(t, pgtest.Fast)
	standsBy(t, c, b)
	work(b, "two-again")
	replays(t, c, b)

	s.ok("stop")
	b.Stop(t, pgtest.Immediate)
	promoted(t, c)
	s.ok("start")
	s.ok("receive", "set", "main", conninfoOf(c))
	work(c, "three")

	if got, want := s.exec("main", balance), c.Psql(t, balance); got != want {
		t.Errorf("at the head: got %s, want %s", got, want)
	}
	for point, counts := range want {
		if got := s.exec(point, balance); got != counts {
			t.Errorf("%s: got %s, want %s", point, got, counts)
		}
		s.exec(point, "SELECT bt_index_check(oid, true) FROM pg_class WHERE relkind = 'i' AND relname LIKE 'pgbench%'")
	}
	// The page server's history files are those of the servers; its identity is the last one's.
	for _, tli := range []string{"2", "3"} {
		query := "TIMELINE_HISTORY " + tli
		ours := s.sql(s.replication("main")+" dbname=replication replication=true", query)
		if theirs := s.sql(conninfoOf(c)+" replication=true", query); ours != theirs {
			t.Errorf("%s: got %q, want %q", query, ours, theirs)
		}
	}
	if got := s.sql(s.replication("main")+" dbname=replication replication=true", "IDENTIFY_SYSTEM"); !strings.Contains(got, "|3|") {
		t.Errorf("IDENTIFY_SYSTEM: %s", got)
	}
	// The standby that was there before has gone over twice, and one made now begins on the last timeline.
	for _, v := range []*server{v, standby(), standby("-X", "fetch")} {
		eventually(t, "a standby of the branch to have everything", func() bool { return v.s.sql(v.url, bench) == c.Psql(t, bench) })
		v.s.want(v.url, balance, c.Psql(t, balance))
	}
	s.clean()

	for branch, tli := range map[string]string{"one": "00000001", "two": "00000002", "three": "00000003"} {
		url := s.start(branch)
		s.want(url, "SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)", tli)
		s.sql(url, "INSERT INTO pgbench_history (tid) SELECT g FROM generate_series(1, 5000) g", "CHECKPOINT")
		count := s.sql(url, bench)
		s.ok("pg", "stop", branch)
		s.want(s.start(branch), bench, count)
		s.ok("pg", "stop", branch)
	}
	s.ok("receive", "stop", "main")
	s.ok("restart")
	url := s.start("main")
	s.want(url, "SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)", "00000003")
	s.want(url, balance, c.Psql(t, balance))
	s.ok("pg", "stop", "main")
	s.ok("gc", "--retain", "1B", "--force")
	s.clean()
	if got := s.exec("two", balance[:strings.Index(balance, ",")]); got == "" {
		t.Error("branch two is gone after the collection")
	}
}

// TestReceiveAhead: a branch that has more than the standby that was promoted cannot follow that; the message says
// what can, and that works.
func TestReceiveAhead(t *testing.T) {
	t.Parallel()
	a, conninfo := native(t, []string{"--wal-segsize=1"})
	a.Start(t)
	a.Psql(t, "CREATE TABLE t (i int)")
	a.Stop(t, pgtest.Fast)
	b := a.Copy(t)
	a.Start(t)
	standsBy(t, b, a)
	s := newSite(t, "--from-server", conninfo)
	a.Psql(t, "INSERT INTO t VALUES (1)")
	s.caughtUp(a)
	replays(t, b, a)
	b.Stop(t, pgtest.Fast)
	a.Psql(t, "INSERT INTO t VALUES (2)")
	s.caughtUp(a)
	a.Stop(t, pgtest.Immediate)
	standsBy(t, b, a)
	promoted(t, b)
	b.Psql(t, "INSERT INTO t VALUES (3)")

	line := s.fails(12, "receive", "set", "main", conninfoOf(b))
	advice := regexp.MustCompile(`zenith branch create NAME (\S+)\).* \(zenith receive start NAME CONNINFO\)`).FindStringSubmatch(line)
	if advice == nil {
		t.Fatalf("the refusal says nothing of what to do: %s", line)
	}
	s.ok("receive", "stop", "main")
	s.ok("branch", "create", "after", advice[1])
	s.ok("receive", "start", "after", conninfoOf(b))
	s.caughtUp(b)
	if got := s.exec("after", "SELECT string_agg(i::text, ',' ORDER BY i) FROM t"); got != "1,3" {
		t.Errorf("the branch that follows on has %s", got)
	}
	if got := s.exec("main", "SELECT string_agg(i::text, ',' ORDER BY i) FROM t"); got != "1,2" {
		t.Errorf("main has %s", got)
	}
	// The killed server comes back, and has no part in the new timeline.
	a.Start(t)
	if line := s.fails(12, "receive", "set", "after", conninfo); !strings.Contains(line, "parted") {
		t.Errorf("the server that was left behind: %s", line)
	}
	s.clean()
}

// TestReceiveFailoverKilled kills the page server while it goes over to another timeline, at moments that chance chooses.
func TestReceiveFailoverKilled(t *testing.T) {
	t.Parallel()
	srv, conninfo := native(t, []string{"--wal-segsize=1"})
	srv.Start(t)
	srv.Psql(t, "CREATE TABLE t (i int)")
	s := newSite(t, "--from-server", conninfo)
	s.caughtUp(srv)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	lsns := map[pg.LSN]string{}
	for i := range 4 {
		mode := pgtest.Fast
		if i%2 == 1 {
			mode = pgtest.Immediate
		}
		restartPromoted(t, srv, mode)
		srv.Psql(t, fmt.Sprintf("INSERT INTO t VALUES (%d)", i))
		// The receiver tries again after its pause, or when the page server starts.
		time.Sleep(time.Duration(rnd.IntN(200)) * time.Millisecond)
		kill9(t, pidIn(t, filepath.Join(s.work, "pageserver.pid")))
		s.ok("start")
		time.Sleep(time.Duration(rnd.IntN(200)) * time.Millisecond)
		kill9(t, pidIn(t, filepath.Join(s.work, "pageserver.pid")))
		s.ok("start")
		s.caughtUp(srv)
		lsns[srv.LSN(t, "SELECT pg_current_wal_insert_lsn()")] = fmt.Sprint(i + 1)
	}
	for lsn, want := range lsns {
		if got := s.exec("main@"+lsn.String(), "SELECT count(*) FROM t"); got != want {
			t.Errorf("at %v: %s rows, want %s", lsn, got, want)
		}
	}
	s.clean()
	names, err := os.ReadDir(s.walDir())
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	for _, n := range names {
		if other := seen[n.Name()[8:]]; len(n.Name()) == 24 && other != "" {
			t.Errorf("two files of one segment: %s and %s", other, n.Name())
		}
		seen[n.Name()[8:]] = n.Name()
	}
}
