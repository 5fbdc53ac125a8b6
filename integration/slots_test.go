package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"zenith/internal/pg"
)

// slotCounts asks how many replication slots there are of each type.
const slotCounts = "SELECT slot_type, count(*) FROM pg_replication_slots GROUP BY 1 ORDER BY 1"

// kills are the ways in which a postgres on a branch ends without notice. Each ends with the branch
// ready to be started again.
func kills(s *site) []func() {
	postgres := func() {
		data, err := filepath.Glob(filepath.Join(s.work, "tenants", "*", "pg", "main", "data"))
		if err != nil || len(data) != 1 {
			s.t.Fatalf("data directory: %v, %v", data, err)
		}
		kill9(s.t, pidIn(s.t, filepath.Join(data[0], "postmaster.pid")))
	}
	server := func() {
		kill9(s.t, pidIn(s.t, filepath.Join(s.work, "pageserver.pid")))
		s.ok("start")
	}
	return []func(){postgres, server, server, postgres}
}

// TestSlotsOutliveKills: replication slots are there after a kill of postgres and of the page server, a
// dropped one is not, and no copy has any.
func TestSlotsOutliveKills(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	main := s.start("main", "--set", "wal_level=logical")
	s.sql(main, "SELECT pg_create_logical_replication_slot('l', 'test_decoding')", "SELECT pg_create_physical_replication_slot('p', true)",
		"SELECT pg_create_physical_replication_slot('dropped', true)", "CREATE TABLE t (i int)", "SELECT pg_drop_replication_slot('dropped')")
	for n, kill := range kills(s)[:2] {
		s.sql(main, fmt.Sprintf("INSERT INTO t VALUES (%d)", n), "SELECT pg_switch_wal()", "CHECKPOINT")
		kill()
		main = s.start("main")
		s.want(main, slotCounts, "logical|1\nphysical|1")
		changes := s.sql(main, "SELECT data FROM pg_logical_slot_peek_changes('l', NULL, NULL)")
		for i := range n + 1 {
			if row := fmt.Sprintf("INSERT: i[integer]:%d", i); strings.Count(changes, row) != 1 {
				t.Errorf("after kill %d the slot gives\n%s, want one %q", n, changes, row)
			}
		}
	}
	s.ok("branch", "create", "dev", "main")
	s.ok("branch", "create", "dev2", "main")
	s.want(s.start("dev"), slotCounts, "")
	if out := s.exec("main@"+s.lsn("main"), slotCounts); out != "" {
		t.Errorf("pg exec has slots: %s", out)
	}
	exported := filepath.Join(s.dir, "exported")
	s.ok("export", "main", "--dir", exported)
	if slots, err := os.ReadDir(filepath.Join(exported, "pg_replslot")); err != nil || len(slots) > 0 {
		t.Errorf("an export has the slots %v, %v", slots, err)
	}
	s.want(s.start("dev2", "--copy"), slotCounts, "")
	// Without a server nobody may take away the WAL that the slots need.
	s.ok("pg", "stop", "main")
	s.ok("stop")
	s.ok("start")
	s.ok("gc", "--retain", "1B", "--force")
	s.want(s.start("main"), "SELECT count(*) FROM pg_logical_slot_get_changes('l', NULL, NULL) WHERE data LIKE '%INSERT%'", "2")
}

// TestConsumersOverKills: a branch that archives its WAL, is the publisher of one server and the
// subscriber of another goes on with all three over kills: the archive has no hole, and what
// was replicated is neither lost nor doubled.
func TestConsumersOverKills(t *testing.T) {
	t.Parallel()
	other, conninfo := native(t, nil, "wal_level=logical")
	if err := os.Chmod(other.Socket, 0o755); err != nil { // the tenant's account connects, too
		t.Fatal(err)
	}
	other.Start(t)
	other.Psql(t, "CREATE TABLE ledger (i int PRIMARY KEY); CREATE TABLE inward (i int); CREATE PUBLICATION inward FOR TABLE inward")
	archive := openDir(t) // each tenant has an account of its own
	s, l := newSite(t), &ledger{}
	// A segment that was archived just before a kill is archived again, and must be the same then.
	command := fmt.Sprintf("if test -f %[1]s/%%f; then cmp %%p %[1]s/%%f; else cp %%p %[1]s/%%f.part && mv %[1]s/%%f.part %[1]s/%%f; fi", archive)
	main := s.start("main", "--tcp", "--set", "wal_level=logical", "--set", "archive_mode=on", "--set", "archive_command="+command)
	s.sql(main, "CREATE TABLE ledger (i int PRIMARY KEY)", "CREATE TABLE inward (i int)", "CREATE PUBLICATION outward FOR TABLE ledger",
		fmt.Sprintf("CREATE SUBSCRIPTION inward CONNECTION '%s dbname=postgres' PUBLICATION inward", conninfo))
	other.Psql(t, fmt.Sprintf("CREATE SUBSCRIPTION outward CONNECTION '%s' PUBLICATION outward", main))
	sent := 0
	for _, kill := range kills(s) {
		l.during(s, main, 100, func() {
			for range 3 {
				other.Psql(t, fmt.Sprintf("INSERT INTO inward SELECT generate_series(%d, %d)", sent+1, sent+20))
				sent += 20
				s.sql(main, "SELECT pg_switch_wal()")
			}
			kill()
		})
		main = s.start("main", "--tcp")
		other.Psql(t, fmt.Sprintf("ALTER SUBSCRIPTION outward CONNECTION '%s'", main))
		l.check(s, main)
	}
	const sums = "SELECT count(*), count(DISTINCT i), coalesce(sum(i), 0) FROM "
	eventually(t, "what was published here to be there", func() bool {
		return strings.TrimSpace(other.Psql(t, sums+"ledger")) == s.sql(main, sums+"ledger")
	})
	want := fmt.Sprintf("%d|%d|%d", sent, sent, sent*(sent+1)/2)
	eventually(t, "what was published there to be here", func() bool { return s.sql(main, sums+"inward") == want })

	s.archived(main, archive)
	wholeArchive(s, archive, 10)
	s.sql(main, "DROP SUBSCRIPTION inward")
	other.Psql(t, "DROP SUBSCRIPTION outward")
}

// archived has a server begin another segment, and waits until all before it are in the archive.
func (s *site) archived(url, archive string) {
	s.t.Helper()
	last := s.sql(url, "SELECT pg_walfile_name(pg_switch_wal())")
	eventually(s.t, last+" in the archive", func() bool {
		_, err := os.Stat(filepath.Join(archive, last))
		return err == nil
	})
}

// wholeArchive checks that an archive has all segments from its first to its last, at least that many,
// and that their records follow each other. It gives the statistics of those.
func wholeArchive(s *site, archive string, least int) string {
	t := s.t
	t.Helper()
	entries, err := os.ReadDir(archive)
	if err != nil {
		t.Fatal(err)
	}
	segments := []string{}
	for _, e := range entries {
		if pg.IsWALSegmentName(e.Name()) {
			segments = append(segments, e.Name())
		}
	}
	if len(segments) < least {
		t.Fatalf("the archive has only %v", segments)
	}
	// pg_waldump reads one segment after the other, and ends with an error where one is missing or a
	// record does not follow the one before it. The last one has no end.
	out := s.tool("pg_waldump", "-p", archive, "--stats=record", segments[0], segments[len(segments)-2])
	if !strings.Contains(out, "Total") {
		t.Errorf("pg_waldump of the archive: %s", out)
	}
	return out
}
