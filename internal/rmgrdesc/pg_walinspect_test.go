package rmgrdesc_test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"zenith/internal/pg"
	"zenith/internal/pgtest"
	"zenith/internal/rmgrdesc"
	"zenith/internal/xlog"
)

// TestWALInspect compares our lines about the WAL of PostgreSQL 16, whose pg_waldump not every installation has, with what its
// extension pg_walinspect says: all but the block references, which the extension has in another form.
func TestWALInspect(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a server")
	}
	srv, start := loaded(t, pgtest.Installed(t, "16"))
	wal := srv.WAL(t)
	var ours []string
	rd := wal.Reader(start)
	eachRecord(t, rd, func(rec *xlog.Record) { ours = append(ours, rmgrdesc.Line(rec, time.UTC)) })

	end := rd.EndLSN()
	srv.Start(t)
	theirs := inspect(t, srv, start, end)
	if len(ours) != len(theirs) || len(ours) < 100_000 {
		t.Errorf("%d records, pg_walinspect has %d", len(ours), len(theirs))
	}
	differ := 0
	for i := range min(len(ours), len(theirs)) {
		got, _, _ := strings.Cut(withoutTimes(ours[i]), ", blkref #")
		if want := withoutTimes(theirs[i]); got != want {
			t.Errorf("record %d\n got %s\nwant %s", i+1, got, want)
			if differ++; differ == 5 {
				t.Fatal("and so on")
			}
		}
	}
}

// times are how we, and pg_walinspect, write a point in time.
var times = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.-?\d+)? ?(\+00|UTC)`)

func withoutTimes(line string) string { return times.ReplaceAllString(line, "TIME") }

// inspect gives what pg_walinspect says of the records from start to end, as pg_waldump would write it.
func inspect(t *testing.T, srv *pgtest.Server, start, end pg.LSN) (lines []string) {
	t.Helper()
	out := srv.Psql(t, fmt.Sprintf(`SET timezone TO 'UTC'; CREATE EXTENSION IF NOT EXISTS pg_walinspect;
		SELECT resource_manager, record_length - fpi_length, record_length, xid, start_lsn, prev_lsn, record_type, description
		FROM pg_get_wal_records_info('%v', '%v')`, start, end))
	for _, row := range strings.Split(out, "\n") {
		c := strings.SplitN(row, "|", 8)
		if len(c) < 8 {
			t.Fatalf("row %q", row)
		}
		n := make([]int, 3)
		for i := range n {
			var err error
			if n[i], err = strconv.Atoi(c[i+1]); err != nil {
				t.Fatalf("row %q: %v", row, err)
			}
		}
		lines = append(lines, fmt.Sprintf("rmgr: %-11s len (rec/tot): %6d/%6d, tx: %10d, lsn: %s, prev %s, desc: %s %s",
			c[0], n[0], n[1], n[2], padded(t, c[4]), padded(t, c[5]), c[6], c[7]))
	}
	return lines
}

// padded gives an LSN as pg_waldump has it in the head of a line.
func padded(t *testing.T, text string) string {
	t.Helper()
	lsn, err := pg.ParseLSN(text)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%X/%08X", uint32(lsn>>32), uint32(lsn))
}
