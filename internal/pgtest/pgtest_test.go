package pgtest_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"zenith/internal/pgtest"
	"zenith/internal/xlog"
)

// TestLife starts, crashes, recovers and stops a server, and reads its WAL.
func TestLife(t *testing.T) {
	srv := pgtest.Init(t, pgtest.Options{InitArgs: []string{"--wal-segsize=1"}, Config: []string{"work_mem='3MB'"}})
	base := srv.Copy(t)
	srv.Start(t)
	if got := srv.Psql(t, "CREATE TABLE t AS SELECT 7 AS i; SELECT i, current_setting('work_mem') FROM t"); got != "7|3MB" {
		t.Errorf("psql: got %q, want 7|3MB", got)
	}
	end := srv.LSN(t, "SELECT pg_current_wal_insert_lsn()")
	srv.Psql(t, "CREATE TABLE u AS SELECT 8 AS i")
	srv.Stop(t, pgtest.Immediate)

	c := base.Control(t)
	if c.SegSize != 1<<20 || c.CheckPointCopy.Redo != c.CheckPoint || c.SystemID == 0 {
		t.Errorf("control data: %+v", c)
	}
	r := srv.WAL(t).Reader(c.CheckPoint)
	n := 0
	var rec xlog.Record
	for {
		if err := r.Next(&rec); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n < 50 || r.EndLSN() <= end {
		t.Errorf("%d records up to %v; the server was beyond %v", n, r.EndLSN(), end)
	}

	srv.Start(t)
	if got := srv.Psql(t, "SELECT t.i + u.i FROM t, u"); got != "15" {
		t.Errorf("after the crash: got %q, want 15", got)
	}
	srv.Stop(t, pgtest.Fast)

	cut := pgtest.Recover(t, base, srv.WAL(t), end)
	cut.Start(t)
	if got := cut.Psql(t, "SELECT string_agg(relname, ',' ORDER BY relname) FROM pg_class WHERE relname IN ('t', 'u')"); got != "t" {
		t.Errorf("tables of a recovery up to %v: got %q, want t", end, got)
	}
}

// TestTryStart: the error of a server that cannot start tells why.
func TestTryStart(t *testing.T) {
	srv := pgtest.Init(t, pgtest.Options{Config: []string{"no_such_setting=1"}})
	if err := srv.TryStart(t); err == nil {
		t.Fatal("the server started with a broken configuration")
	}
	if log := srv.Log(t); !strings.Contains(log, "no_such_setting") {
		t.Errorf("the log does not say why: %q", log)
	}
}

// TestInstallations starts a server of every major version that tests may ask for, and talks to it: some
// installations have no psql of their own.
func TestInstallations(t *testing.T) {
	for _, name := range []string{"14", "15", "16", "17", "17.10", "18", "18.4", "19"} {
		t.Run(name, func(t *testing.T) {
			srv := pgtest.Init(t, pgtest.Options{Installation: pgtest.Installed(t, name)})
			srv.Start(t)
			if got := srv.Psql(t, "SHOW server_version"); !strings.HasPrefix(got, name) {
				t.Errorf("server_version is %q", got)
			}
			srv.Stop(t, pgtest.Fast)
		})
	}
}
