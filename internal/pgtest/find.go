package pgtest

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var distrib = flag.String("pgdistrib", "", "the PostgreSQL 15 installation to test with (a directory with bin/postgres)")

// wellKnown are the installation directories that are tried first: those of Debian, the Red Hat family,
// Homebrew, and a build from source.
var wellKnown = []string{
	"/usr/lib/postgresql/15",
	"/usr/pgsql-15",
	"/opt/homebrew/opt/postgresql@15",
	"/usr/local/opt/postgresql@15",
	"/usr/local/pgsql",
}

// BinDir gives the directory of PostgreSQL 15's programs.
func BinDir(tb testing.TB) string {
	tb.Helper()
	for _, dir := range binDirs() {
		if isVersion15(filepath.Join(dir, "postgres")) {
			return dir
		}
	}
	if testing.Short() {
		tb.Skip("no PostgreSQL 15 here")
	}
	tb.Fatal("no PostgreSQL 15 here: install it, or name it with -pgdistrib; -short skips this test")
	return ""
}

// binDirs lists the directories that may have the programs, in the order in which they are tried.
func binDirs() []string {
	if *distrib != "" {
		return []string{filepath.Join(*distrib, "bin")}
	}
	var dirs []string
	for _, dir := range wellKnown {
		dirs = append(dirs, filepath.Join(dir, "bin"))
	}
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		dirs = append(dirs, filepath.Dir(path))
	}
	return dirs
}

func isVersion15(postgres string) bool {
	if _, err := os.Stat(postgres); err != nil {
		return false
	}
	out, err := exec.Command(postgres, "--version").Output()
	return err == nil && strings.Contains(string(out), " 15.")
}
