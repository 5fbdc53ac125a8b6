package integration

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"zenith/internal/pg"
)

var segmentSizes = flag.String("segments", "1,64", "WAL segment sizes in MiB to try")

// fillSQL makes functions that write WAL up to the end of a page, or of a segment, if no other session writes.
// They use messages that are not transactional, each of which is a single record.
const fillSQL = `
CREATE FUNCTION fill_page() RETURNS pg_lsn LANGUAGE plpgsql AS $$
DECLARE left_on_page int;
BEGIN
	LOOP
		left_on_page := 8192 - (pg_current_wal_insert_lsn() - '0/0')::bigint % 8192;
		EXIT WHEN left_on_page >= 320;
		PERFORM pg_logical_emit_message(false, 'p', repeat('x', 300));
	END LOOP;
	-- 24 bytes of header, 5 of the main data's, 26 before the message
	RETURN pg_logical_emit_message(false, 'p', repeat('x', left_on_page - 55));
END $$;
CREATE FUNCTION fill_segment(size bigint) RETURNS pg_lsn LANGUAGE plpgsql AS $$
DECLARE rest bigint; at pg_lsn;
BEGIN
	LOOP
		rest := size - (pg_current_wal_insert_lsn() - '0/0')::bigint % size;
		EXIT WHEN rest < 20000;
		PERFORM pg_logical_emit_message(false, 'p', repeat('y', least((rest - 18000) * 8100 / 8192, 100000000)::int));
	END LOOP;
	LOOP
		at := fill_page();
		EXIT WHEN (at - '0/0')::bigint % size = 0;
	END LOOP;
	RETURN at;
END $$;`

// TestSegmentSizes imports clusters with WAL segments of several sizes, and kills postgres on the mount when its
// WAL ends in all kinds of places: within a page, at the end of a page, at the end of a segment, behind a switch
// of segments, also one that begins at a page boundary, and behind a record that is many pages long. Each time,
// everything that was committed is there, and no recovery was needed.
func TestSegmentSizes(t *testing.T) {
	for _, size := range strings.Split(*segmentSizes, ",") {
		t.Run(size+"MiB", func(t *testing.T) {
			t.Parallel()
			mib, err := strconv.Atoi(size)
			if err != nil {
				t.Fatal(err)
			}
			segmentSize(t, mib)
		})
	}
}

func segmentSize(t *testing.T, mib int) {
	s := emptySite(t)
	if err := os.Chmod(s.dir, 0o777); err != nil {
		t.Fatal(err)
	}
	native := filepath.Join(s.dir, "native")
	if r := s.runCmd(asPostgres(program("initdb"), "-D", native, "-U", "postgres", "-A", "trust", "-N", "--no-locale", fmt.Sprint("--wal-segsize=", mib))); r.code != 0 {
		t.Fatalf("initdb: %s", r.err)
	}
	s.ok("init", "--pg-distrib", pgDistrib, "--from-pgdata", native)
	s.ok("start")
	dir := s.mountDir("data")
	s.ok("mount", "main", dir)
	v := s.serve(dir)
	s.sql(v.url, fillSQL, "CREATE TABLE t(i int PRIMARY KEY, pad text)")
	full := fmt.Sprintf("SELECT (fill_segment(%d) - '0/0')::bigint %% %[1]d", mib<<20)
	for i, ends := range []string{
		"SELECT 0",
		"SELECT (fill_page() - '0/0')::bigint % 8192",
		"SELECT 0 FROM (SELECT pg_switch_wal()) s",
		"SELECT (fill_page() - '0/0')::bigint % 8192; SELECT 0 FROM (SELECT pg_switch_wal()) s",
		full,
		full + "; SELECT 0 FROM (SELECT pg_switch_wal()) s",
		"SELECT 0 FROM (SELECT pg_logical_emit_message(true, 'p', repeat('z', 3000000))) s",
	} {
		s.sql(v.url, fmt.Sprintf("INSERT INTO t SELECT %d * 1000 + g, repeat('p', 100) FROM generate_series(1, 1000) g", i))
		for line := range strings.Lines(s.sql(v.url, strings.Split(ends, "; ")...)) {
			if strings.TrimSpace(line) != "0" {
				t.Logf("%s: %s bytes too far: someone else wrote", ends, line)
			}
		}
		kill9(t, pidIn(t, filepath.Join(dir, "postmaster.pid")))
		eventually(t, "umount after postgres's death", func() bool { return s.run("umount", dir).code == 0 })
		s.ok("mount", "main", dir)
		v = s.serve(dir)
		v.noRecovery()
		s.want(v.url, "SELECT count(*), max(i) FROM t", fmt.Sprintf("%d|%d", (i+1)*1000, (i+1)*1000))
	}
	s.checkIndexes(v.url)
	v.stop("fast")
	last := s.lsn("main")
	rebuilt := s.mountDir("rebuilt")
	s.ok("mount", "main@"+last, rebuilt)
	compareFiles(t, dir, rebuilt)
	if s.parseLSN(last) < pg.LSN(3*mib<<20) {
		t.Errorf("the head is %s, before the third segment", last)
	}
}
