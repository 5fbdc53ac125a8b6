package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"zenith/internal/pgtest"
)

// TestCopiesAreContained imports a cluster whose configuration leads back to itself by absolute paths: its data
// directory, pid file, log and archive. No kind of postgres on a copy may write to any of them.
func TestCopiesAreContained(t *testing.T) {
	t.Parallel()
	production := pgtest.Init(t, pgtest.Options{})
	run, log, archive, disk := pgtest.TempDir(t), pgtest.TempDir(t), pgtest.TempDir(t), pgtest.TempDir(t)
	world := []string{production.Dir, run, log, archive, disk} // what a copy must leave alone
	production.Start(t)
	production.Psql(t, "CREATE TABLE t (a int)")
	production.Psql(t, "CREATE SUBSCRIPTION s CONNECTION 'host=nowhere.invalid' PUBLICATION p WITH (connect=false)")
	production.Stop(t, pgtest.Fast)
	production.Configure(t,
		fmt.Sprintf("data_directory='%s'", production.Dir),
		fmt.Sprintf("hba_file='%s/pg_hba.conf'", production.Dir),
		fmt.Sprintf("ident_file='%s/pg_ident.conf'", production.Dir),
		fmt.Sprintf("external_pid_file='%s/15.pid'", run),
		"logging_collector=on", fmt.Sprintf("log_directory='%s'", log), "log_filename='pg.log'",
		"archive_mode=on", fmt.Sprintf("archive_command='cp %%p %s/%%f'", archive),
		fmt.Sprintf("restore_command='touch %s/restored'", archive),
		"synchronous_standby_names='nobody'", "synchronous_commit=on",
	)
	s := emptySite(t)
	s.ok("init", "--pg-distrib", pgDistrib, "--from-pgdata", production.Dir)
	s.ok("start")
	s.ok("branch", "dev", "main")
	before := filesOf(t, world)

	for _, point := range []string{"main", "dev", "main@" + s.lsn("main")} {
		s.ok("pg", "exec", point, "--", "psql", "-Xqc", "insert into t values (1)")
		s.ok("pg", "exec", "--copy", point, "--", "psql", "-Xqc", "insert into t values (1)")
		url := s.start(point)
		s.sql(url, "create tablespace big location '"+disk+"'", "create table far tablespace big as select 1 as i") // once for each copy
		s.sql(url, "insert into t values (1)", "select pg_switch_wal()", "checkpoint")
		s.want(url, "show archive_mode", "off")
		s.ok("pg", "stop", "--destroy", point)
	}
	if after := filesOf(t, world); after != before {
		t.Errorf("a copy wrote to its original's files:\nbefore %s\nafter %s", before, after)
	}

	// What is held back is said, and opened by name.
	said := s.run("pg", "start", "dev").err
	if !strings.Contains(said, "subscriptions") || !strings.Contains(said, "archive") {
		t.Errorf("pg start dev does not say what it holds back: %q", said)
	}
	s.want(s.url("dev"), "show max_logical_replication_workers", "0")
	s.ok("pg", "stop", "dev")
	s.want(s.start("dev", "--allow", "subscriptions"), "show max_logical_replication_workers", "4")
	s.fails(2, "pg", "start", "main", "--allow", "everything")
	s.want(s.start("main", "--as-original", "--set", "synchronous_standby_names="), "show archive_mode", "on")
	if dir := s.sql(s.url("main"), "show data_directory"); !strings.HasPrefix(dir, s.work) {
		t.Errorf("data_directory is %s, not below the work directory %s", dir, s.work)
	}
	s.ok("pg", "stop", "main")
}

// filesOf lists the files below directories with their sizes and times.
func filesOf(t *testing.T, dirs []string) string {
	t.Helper()
	var b strings.Builder
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			fi, err := e.Info()
			if err == nil {
				fmt.Fprintf(&b, "%s %d %v\n", path, fi.Size(), fi.ModTime())
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}
