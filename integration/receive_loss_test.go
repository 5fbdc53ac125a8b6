package integration

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestReceiveSurvivesItsServer kills a server that has the branch as its synchronous standby, and removes its
// data. Every commit that it acknowledged is on the branch, whether the commit waited for the receiver's disk or
// for the record to be applied.
func TestReceiveSurvivesItsServer(t *testing.T) {
	t.Parallel()
	srv, conninfo := native(t, []string{"--data-checksums"})
	srv.Start(t)
	srv.Psql(t, "CREATE TABLE ledger (i int PRIMARY KEY)")
	s := newSite(t, "--from-server", conninfo+" application_name=zen")
	srv.Psql(t, "ALTER SYSTEM SET synchronous_standby_names = 'zen'")
	srv.Psql(t, "SELECT pg_reload_conf()")
	eventually(t, "synchronous replication", func() bool {
		return srv.Psql(t, "SELECT sync_state FROM pg_stat_replication WHERE application_name = 'zen'") == "sync"
	})
	url, l := "postgresql:///postgres?user=postgres&host="+srv.Socket, &ledger{}
	l.during(s, url+"&options=-csynchronous_commit%3Don", 200, func() {
		srv.Psql(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%ledger%' AND pid <> pg_backend_pid()")
	})
	l.during(s, url+"&options=-csynchronous_commit%3Dremote_apply", 200, func() {
		kill9(t, srv.Pid())
		eventually(t, "the end of its data", func() bool { return os.RemoveAll(srv.Dir) == nil }) // its child processes live a little longer, and write
	})
	there := map[string]bool{}
	for line := range strings.Lines(s.exec("main", "SELECT i FROM ledger")) {
		there[strings.TrimSpace(line)] = true
	}
	for _, n := range l.acked {
		if !there[strconv.Itoa(n)] {
			t.Fatalf("commit of %d was acknowledged and is lost (%d acknowledged, %d there)", n, len(l.acked), len(there))
		}
	}

	// A branch has one writer: while the receiver is it, mounts and postgres are refused, and the reverse.
	dir := s.mountDir("data")
	s.fails(11, "mount", "main", dir)
	s.fails(11, "pg", "start", "main")
	s.ok("receive", "stop", "main")
	s.ok("mount", "main", dir)
	if line := s.fails(11, "receive", "start", "main", conninfo); !strings.Contains(line, dir) {
		t.Errorf("who holds the branch is not said: %s", line)
	}
	s.ok("umount", dir)
	l.check(s, s.start("main"))
}
