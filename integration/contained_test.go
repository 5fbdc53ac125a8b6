package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"zenith/internal/pgtest"
	"zenith/internal/postgres"
)

// outward is the configuration by which a server reaches out through a channel.
type outward struct {
	configure []string // lines of postgresql.conf
	said      []string // what an export says of them
}

// outwards has every channel of the table in internal/postgres, for a cluster whose configuration leads back to
// directories of the world around it.
func outwards(production *pgtest.Server, run, log, archive string) map[string]outward {
	return map[string]outward{
		"files": {
			configure: []string{
				fmt.Sprintf("data_directory='%s'", production.Dir), fmt.Sprintf("hba_file='%s/pg_hba.conf'", production.Dir),
				fmt.Sprintf("ident_file='%s/pg_ident.conf'", production.Dir), fmt.Sprintf("external_pid_file='%s/15.pid'", run),
			},
			said: []string{"commented out: data_directory, external_pid_file, hba_file, ident_file"},
		},
		"log": {
			configure: []string{"logging_collector=on", "log_destination='stderr,csvlog'", fmt.Sprintf("log_directory='%s'", log), "log_filename='pg.log'"},
			said:      []string{"log_directory"},
		},
		"archive": {
			configure: []string{"archive_mode=on", fmt.Sprintf("archive_command='cp %%p %s/%%f'", archive)},
			said:      []string{"archive_command"},
		},
		"standbys":      {configure: []string{"synchronous_standby_names='nobody'"}, said: []string{"synchronous_standby_names"}},
		"subscriptions": {said: []string{"subscription s1"}}, // in the catalogs
		"primary": {
			configure: []string{
				"primary_conninfo='host=nowhere.invalid'", "primary_slot_name='s'", fmt.Sprintf("restore_command='touch %s/restored'", archive),
				fmt.Sprintf("archive_cleanup_command='touch %s/cleaned'", archive), fmt.Sprintf("recovery_end_command='touch %s/ended'", archive),
			},
			said: []string{"primary_conninfo", "primary_slot_name", "restore_command", "archive_cleanup_command", "recovery_end_command"},
		},
		"jobs": {
			configure: []string{"cron.launch_active_jobs=on", "timescaledb.max_background_workers=8", "pg_partman_bgw.dbname='postgres'", "powa.frequency='1s'"},
			said:      []string{"cron.launch_active_jobs", "timescaledb.max_background_workers", "pg_partman_bgw.dbname", "powa.frequency"},
		},
		"bonjour": {}, // Debian's postgres does not start with it
	}
}

// TestCopiesAreContained imports a cluster whose configuration leads back to itself and to the world around it through
// every channel that there is, and tries every channel on every kind of copy.
func TestCopiesAreContained(t *testing.T) {
	t.Parallel()
	production := pgtest.Init(t, pgtest.Options{})
	run, log, archive, disk := pgtest.TempDir(t), pgtest.TempDir(t), pgtest.TempDir(t), pgtest.TempDir(t)
	world := []string{production.Dir, run, log, archive, disk} // what a copy must leave alone
	production.Start(t)
	production.Psql(t, "CREATE TABLE t (a int)")
	for _, name := range []string{"s1", "s2"} {
		production.Psql(t, fmt.Sprintf("CREATE SUBSCRIPTION %s CONNECTION 'host=nowhere.invalid' PUBLICATION p WITH (connect=false)", name))
	}
	production.Psql(t, "ALTER SUBSCRIPTION s1 SET (slot_name='s1'); ALTER SUBSCRIPTION s1 ENABLE")
	production.Stop(t, pgtest.Fast)
	ways := outwards(production, run, log, archive)
	production.Configure(t, "synchronous_commit=on", "listen_addresses='127.0.0.1'")
	for _, ch := range postgres.Channels() {
		way, known := ways[ch.Name]
		if !known {
			t.Errorf("the channel %s has no row in this test", ch.Name)
		}
		production.Configure(t, way.configure...)
	}
	s := emptySite(t)
	s.ok("init", "--pg-distrib", pgDistrib, "--listen", "127.0.0.1:0", "--auth", "trust", "--from-pgdata", production.Dir)
	s.ok("start")
	s.ok("branch", "dev", "main")
	before := filesOf(t, world)
	at := "main@" + s.lsn("main")

	for _, point := range []string{"main", "dev", at} {
		s.closed("pg exec "+point, false, func(query string) string { return s.exec(point, query) })
		s.ok("pg", "exec", point, "--", "psql", "-Xqc", "insert into t values (1)")
		s.closed("pg exec --copy "+point, false, func(query string) string {
			return s.ok("pg", "exec", "--copy", point, "--", program("psql"), "-XqAt", "-c", query)
		})
		s.ok("pg", "exec", "--copy", point, "--", "psql", "-Xqc", "insert into t values (1)")
		url := s.start(point)
		s.closed("pg start "+point, point == "main", func(query string) string { return s.sql(url, query) })
		s.owns(url, disk)
		s.sql(url, "create tablespace big location '"+disk+"'", "create table far tablespace big as select 1 as i") // once for each copy
		s.sql(url, "insert into t values (1)", "select pg_switch_wal()", "checkpoint")
		s.ok("pg", "stop", "--destroy", point)
	}
	s.ok("branch", "dev2", at) // the state without the tablespace, whose LOCATION a base backup would fill
	s.handedOut(ways, at)
	url := s.start(at, "--copy")
	s.closed("pg start --copy", false, func(query string) string { return s.sql(url, query) })
	s.ok("pg", "stop", "--destroy", at)
	if after := filesOf(t, world); after != before {
		t.Errorf("a copy wrote to its original's files:\nbefore %s\nafter %s", before, after)
	}
	s.openedByName()
}

// owns gives a directory to the account under which a postgres runs, as CREATE TABLESPACE wants it.
func (s *site) owns(uri, dir string) {
	s.t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	var list []struct{ URI, Account string }
	if err := json.Unmarshal([]byte(s.ok("pg", "list", "-o", "json")), &list); err != nil {
		s.t.Fatal(err)
	}
	for _, c := range list {
		if c.URI == uri {
			if r := s.runCmd(exec.Command("chown", c.Account, dir)); r.code != 0 {
				s.t.Fatal(r.err)
			}
			return
		}
	}
	s.t.Fatalf("pg list has no %s", uri)
}

// closed asks a server on a copy for the settings of every channel.
func (s *site) closed(kind string, isMain bool, ask func(query string) string) {
	s.t.Helper()
	var names, want []string
	for _, ch := range postgres.Channels() {
		for _, set := range ch.Closed {
			if !isMain || ch.OfMain {
				names, want = append(names, "current_setting('"+set.Name+"', true)"), append(want, set.Value)
			}
		}
	}
	if got := ask("SELECT " + strings.Join(names, ", ")); got != strings.Join(want, "|") {
		s.t.Errorf("%s: %s are %q, want %q", kind, names, got, strings.Join(want, "|"))
	}
	dir := ask("SELECT current_setting('data_directory'), current_setting('hba_file'), current_setting('ident_file'), current_setting('external_pid_file')")
	for i, path := range strings.Split(dir, "|") {
		if !strings.HasPrefix(path, s.dir) && path != "" || path == "" && i < 3 {
			s.t.Errorf("%s: its file %d is %q, not below %s", kind, i, path, s.dir)
		}
	}
}

// handedOut looks at the kinds of copy that are files on which others start a server.
func (s *site) handedOut(ways map[string]outward, point string) {
	s.t.Helper()
	plain, contained, backup := filepath.Join(s.dir, "plain"), filepath.Join(s.dir, "contained"), filepath.Join(pgtest.TempDir(s.t), "data")
	r := s.run("export", point, "--dir", plain)
	full := s.runCmd(exec.Command(program("psql"), s.address(), "-Xqc", fmt.Sprintf("export %s %s", strings.TrimSpace(s.ok("tenant", "list")), point)))
	for kind, said := range map[string]string{
		"export": r.err, "fullbackup": full.err,
		"BASE_BACKUP": s.asOwner("pg_basebackup", "-d", s.replication("dev2"), "-D", backup, "-c", "fast"),
	} {
		for name, way := range ways {
			for _, words := range way.said {
				if !strings.Contains(said, words) {
					s.t.Errorf("%s does not say %q of the channel %s: %s", kind, words, name, said)
				}
			}
		}
		if strings.Contains(said, "subscription s2") {
			s.t.Errorf("%s names a subscription that is disabled: %s", kind, said)
		}
	}
	for _, dir := range []string{plain, backup} { // the tools of PostgreSQL do as the server does
		if out := s.asOwner("postgres", "-D", dir, "-C", "data_directory"); strings.TrimSpace(out) != dir {
			s.t.Errorf("a server on %s would run on %s", dir, out)
		}
	}
	said := s.run("export", point, "--dir", contained, "--contained").err
	if strings.Contains(said, "reaches out") || !strings.Contains(said, "data_directory") {
		s.t.Errorf("export --contained says %q", said)
	}
	v := s.serve(contained)
	s.closed("export --contained", false, func(query string) string { return s.sql(v.url, query) })
	s.sql(v.url, "insert into t values (1)", "select pg_switch_wal()")
	v.stop("fast")
}

// openedByName sees that what is held back is said, and opened by name.
func (s *site) openedByName() {
	s.t.Helper()
	said := s.run("pg", "start", "dev").err
	if !strings.Contains(said, "subscriptions") || !strings.Contains(said, "archive") {
		s.t.Errorf("pg start dev does not say what it holds back: %q", said)
	}
	s.want(s.url("dev"), "show max_logical_replication_workers", "0")
	s.ok("pg", "stop", "dev")
	s.want(s.start("dev", "--allow", "subscriptions"), "show max_logical_replication_workers", "4")
	s.fails(2, "pg", "start", "main", "--allow", "everything")
	s.fails(2, "pg", "start", "main", "--allow", "files")
	s.want(s.start("main", "--as-original", "--set", "synchronous_standby_names="), "show archive_mode", "on")
	if dir := s.sql(s.url("main"), "show data_directory"); !strings.HasPrefix(dir, s.work) {
		s.t.Errorf("data_directory is %s, not below the work directory %s", dir, s.work)
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
