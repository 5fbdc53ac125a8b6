package integration

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"zenith/internal/pg"
	"zenith/internal/pgtest"
)

var (
	soakPoints = flag.Int("soak.points", 3, "random states that TestSoak compares")
	soakTime   = flag.Duration("soak.time", 6*time.Second, "how long TestSoak lets the load run")
	soakScale  = flag.Int("soak.scale", 1, "pgbench's scale in TestSoak")
	soakSeed   = flag.Uint64("soak.seed", 0, "of TestSoak's choices; 0: another each time")
)

// TestSoak is a small production: an ordinary server archives its WAL under pgbench, and has a base backup by
// PostgreSQL's own tools. In the middle of the load, init --from-server follows it. Receiver, page server and
// server are killed and restarted at random. At random LSNs, pg exec must give what stock point-in-time recovery
// gives. `make soak` runs it for longer.
func TestSoak(t *testing.T) {
	t.Parallel()
	seed := *soakSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-soak.seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	archive := pgtest.TempDir(t)
	srv, conninfo := native(t, []string{"--data-checksums"}, "fsync=on", "autovacuum=on", "shared_buffers=128MB", "wal_keep_size=0",
		"max_wal_size=256MB", "checkpoint_timeout=30s", "archive_mode=on", "archive_command='cp %p "+archive+"/%f'")
	srv.Start(t)
	srv.Run(t, "pgbench", "-i", "-q", "-s", fmt.Sprint(*soakScale), "postgres")
	l := startLoad(t, srv)
	base := filepath.Join(pgtest.TempDir(t), "data")
	srv.Run(t, "pg_basebackup", "-D", base, "-X", "none", "-c", "fast")

	s := emptySite(t)
	s.ok("init", "--pg-distrib", pgDistrib, "--from-server", conninfo+" primary_slot_name=soak")
	s.ok("start")
	breaks := []func(){
		func() { kill9(t, pidIn(t, filepath.Join(s.work, "pageserver.pid"))); s.ok("start") },
		func() { srv.Stop(t, pgtest.Immediate); srv.Start(t) },
		func() {
			s.ok("receive", "stop", "main")
			eventually(t, "the receiver's start", func() bool {
				return s.run("receive", "start", "main", conninfo+" primary_slot_name=soak").code == 0
			})
		},
		func() { s.ok("restart") },
		func() { srv.Stop(t, pgtest.Fast); srv.Start(t) },
	}
	first, err := pg.ParseLSN(firstLSN(s))
	if err != nil {
		t.Fatal(err)
	}
	for n, end := 0, time.Now().Add(*soakTime); time.Now().Before(end); n++ {
		time.Sleep(time.Duration(random.Int64N(int64(min(*soakTime/2, 8*time.Second)))))
		which := n
		if n >= 2 { // the first two are fixed, so that even the short run breaks each side once
			which = random.IntN(len(breaks))
		}
		breaks[which]()
	}
	l.stop()
	s.caughtUp(srv)
	last := srv.LSN(t, "SELECT pg_current_wal_flush_lsn()")
	want := srv.Psql(t, balance)
	srv.Psql(t, "SELECT pg_switch_wal()")
	srv.Stop(t, pgtest.Fast)
	if got := s.exec("main@"+last.String(), balance); got != want {
		t.Errorf("at the end: got %s, want %s", got, want)
	}

	points := []pg.LSN{last}
	for len(points) < *soakPoints {
		at := first + pg.LSN(random.Int64N(int64(last-first)))
		boundary, err := pg.ParseLSN(s.lsn("main@" + at.String()))
		if err != nil {
			t.Fatal(err)
		}
		points = append(points, boundary)
	}
	slices.Sort(points)
	r := newPITR(t, base, archive)
	seen := map[string]bool{}
	for _, at := range points {
		want := r.at(t, at)
		seen[want] = true
		if got := s.exec("main@"+at.String(), balance); got != want {
			t.Errorf("at %v: got %s, stock recovery has %s", at, got, want)
		}
	}
	t.Logf("%d points from %v to %v, %d different states", len(points), first, last, len(seen))
}

// pitr is a stock server in point-in-time recovery from a base backup and archived WAL. It stops at one point
// after the other.
type pitr struct{ srv *pgtest.Server }

func newPITR(t *testing.T, base, archive string) *pitr {
	t.Helper()
	r := &pitr{srv: &pgtest.Server{Dir: base, Socket: filepath.Dir(base)}}
	r.srv.Configure(t, "archive_mode=off", "restore_command='cp "+archive+"/%f %p'", "recovery_target_inclusive=off",
		"recovery_target_action=pause", "hot_standby=on", "fsync=off")
	if out, err := asPostgres("touch", filepath.Join(base, "recovery.signal")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return r
}

// at recovers up to a record boundary, which must be behind the last one, and gives the balance there.
func (r *pitr) at(t *testing.T, lsn pg.LSN) string {
	t.Helper()
	r.srv.Configure(t, "recovery_target_lsn='"+lsn.String()+"'")
	r.srv.Start(t)
	defer r.srv.Stop(t, pgtest.Fast)
	eventually(t, "recovery to "+lsn.String(), func() bool {
		return strings.TrimSpace(r.srv.Psql(t, "SELECT pg_get_wal_replay_pause_state()")) == "paused"
	})
	return r.srv.Psql(t, balance)
}
