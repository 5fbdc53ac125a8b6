package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"zenith/internal/pgtest"
)

// TestArchiveOverAbortedRecord kills a postgres that archives while a record goes through many segments: what was archived of
// it stays what it was, and stock recovery of the archive passes over it.
func TestArchiveOverAbortedRecord(t *testing.T) {
	t.Parallel()
	srv := pgtest.Init(t, pgtest.Options{InitArgs: []string{"--wal-segsize=1"}})
	srv.Start(t)
	srv.Psql(t, "CREATE TABLE t (i int)")
	srv.Stop(t, pgtest.Fast)
	s := newSite(t, "--from-pgdata", srv.Dir)
	archive := openDir(t)
	// One segment is archived once, or again with the same bytes.
	command := fmt.Sprintf("if test -f %[1]s/%%f; then cmp %%p %[1]s/%%f; else install -m 644 %%p %[1]s/%%f.part && mv %[1]s/%%f.part %[1]s/%%f; fi", archive)
	start := func() string {
		t.Helper()
		return s.start("main", "--set", "archive_mode=on", "--set", "archive_command="+command, "--set", "wal_buffers=64kB")
	}
	main := start()
	const rounds = 3
	for i := range rounds {
		s.sql(main, fmt.Sprintf("INSERT INTO t VALUES (%d)", i))
		s.archived(main, archive)
		kill := kills(s)[i%2]
		before := filesIn(t, archive)
		message := exec.Command(program("psql"), main, "-XqAtc", "SELECT pg_logical_emit_message(true, '', repeat('x', 200000000))")
		if err := message.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "segments of the record in the archive", func() bool { return filesIn(t, archive) > before+2 })
		kill()
		if err := message.Wait(); err == nil {
			t.Error("the record was completed: the test shows nothing")
		}
		main = start()
	}
	s.want(main, "SELECT count(*) FROM t", fmt.Sprint(rounds))
	s.archived(main, archive)
	if out := wholeArchive(s, archive, 10); !strings.Contains(out, "OVERWRITE_CONTRECORD") {
		t.Errorf("no record was aborted:\n%s", out)
	}
	s.clean()

	srv.Configure(t, fmt.Sprintf("restore_command='cp %s/%%f %%p'", archive))
	if err := asPostgres("touch", filepath.Join(srv.Dir, "recovery.signal")).Run(); err != nil {
		t.Fatal(err)
	}
	srv.Start(t)
	eventually(t, "the end of recovery", func() bool { return srv.Psql(t, "SELECT pg_is_in_recovery()") == "f" })
	if got := srv.Psql(t, "SELECT count(*) FROM t"); got != fmt.Sprint(rounds) {
		t.Errorf("recovered from the archive: %s rows, want %d\n%s", got, rounds, srv.Log(t))
	}
}

// openDir makes a directory into which any account may write.
func openDir(t *testing.T) string {
	t.Helper()
	dir := pgtest.TempDir(t)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

// filesIn counts the files in a directory.
func filesIn(t *testing.T, dir string) int {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
