package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"zenith/internal/pgtest"
)

// TestRewind brings a standby that was promoted back to a branch by pg_rewind: from the server on the branch, and
// from a mount on which no server runs. Then it follows the branch again.
func TestRewind(t *testing.T) {
	t.Parallel()
	s := replSite(t, "--data-checksums") // or wal_log_hints: pg_rewind needs one of them
	main := s.start("main")
	s.sql(main, "create role rewinder superuser login password 'rewinder'", "create table t as select g as i, repeat('x', 200) as x from generate_series(1, 20000) g", "create index on t (i)")
	// source is how another account of this machine reaches a server of ours.
	source := func(url string) string {
		_, port, _ := strings.Cut(url, "port=")
		return "host=127.0.0.1 user=rewinder password=rewinder dbname=postgres port=" + port
	}
	shell := func(command, dir string) {
		if r := s.runCmd(asPostgres("sh", "-c", command, dir)); r.code != 0 {
			t.Fatalf("%s: exit %d: %s", command, r.code, r.err)
		}
	}
	for _, way := range []string{"server", "mount"} {
		dir := filepath.Join(pgtest.TempDir(t), "data")
		s.asOwner("pg_basebackup", "-d", s.replication("main"), "-D", dir, "-R", "-c", "fast")
		shell("echo wal_keep_size=1GB >>$0/postgresql.auto.conf", dir) // pg_rewind reads the target's WAL, too
		standby := s.serveStandby(dir)
		standby.follows(main)
		s.asOwner("pg_ctl", "-D", dir, "-w", "promote")
		s.sql(standby.url, "update t set x = 'lost' where i % 10 = 0", "create table lost as select * from t", "checkpoint")
		standby.stop("fast")
		s.sql(main, "update t set x = x || 'k' where i % 7 = 0", "create table kept as select * from t", "drop table kept", "insert into t values (0, '"+way+"')")
		shell("cp $0/postgresql.auto.conf $0.conf", dir) // pg_rewind replaces it by the source's
		switch way {
		case "server":
			refused := s.runCmd(pgtest.Command(t, "pg_rewind", "--target-pgdata="+dir, "--source-server="+source(main)))
			if !strings.Contains(refused.err, "full_page_writes") {
				t.Errorf("pg_rewind without full_page_writes: exit %d: %s", refused.code, refused.err)
			}
			s.ok("pg", "stop", "main")
			main = s.start("main", "--set", "full_page_writes=on")
			s.asOwner("pg_rewind", "--target-pgdata="+dir, "--source-server="+source(main))
		case "mount":
			s.ok("pg", "stop", "main")
			mnt := s.mountDir("source")
			s.ok("mount", "main", mnt)
			s.asOwner("pg_rewind", "--target-pgdata="+dir, "--source-pgdata="+mnt)
			s.ok("umount", mnt)
			main = s.start("main")
		}
		shell("cp $0.conf $0/postgresql.auto.conf && touch $0/standby.signal", dir)
		standby = s.serveStandby(dir)
		standby.follows(main)
		standby.same(main, "select count(*), sum(i), md5(string_agg(x, '' order by i)) from t")
		s.want(standby.url, "select count(*) from pg_class where relname in ('lost', 'kept')", "0")
		s.sql(main, "insert into t values (1000000, 'after')")
		standby.follows(main)
		standby.same(main, "select count(*), sum(i) from t")
		standby.stop("fast")
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	}
}
