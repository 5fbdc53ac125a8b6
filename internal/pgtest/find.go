package pgtest

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"zenith/internal/pg"
)

var (
	distrib = flag.String("pgdistrib", "", "the PostgreSQL installation to test with (a directory with bin/postgres)")
	major   = flag.Int("pgmajor", pg.Default.Major, "the major version of PostgreSQL to test with")
)

// Installation is a PostgreSQL that is installed on this machine. The zero Installation is that of
// Default.
type Installation struct {
	Name string // its major version, "17"; or "17.10" if a test wants that minor release and no other
	Dir  string // has bin/postgres
}

// Version is the major version that tests run on which do not ask for one: pg.Default, or the one that the flag
// -pgmajor names. Flags must have been parsed.
func Version() *pg.Version {
	v, err := pg.ByMajor(*major)
	if err != nil {
		panic(err) // of a flag
	}
	return v
}

// Default gives the installation of Version. If there is none, the test fails; it is skipped under -short, and, on
// a person's machine, if -pgmajor asks for another version than pg.Default.
func Default(tb testing.TB) Installation {
	tb.Helper()
	if *major != pg.Default.Major && *distrib == "" {
		return Installed(tb, strconv.Itoa(*major))
	}
	in, err := FindDefault()
	if err != nil && testing.Short() {
		tb.Skip(err)
	}
	if err != nil {
		tb.Fatalf("%v; -short skips this test", err)
	}
	return in
}

// FindDefault is Default where there is no test yet.
func FindDefault() (Installation, error) {
	name := strconv.Itoa(Version().Major)
	in, ok := find(name)
	if !ok {
		return in, fmt.Errorf("no PostgreSQL %s here: install it, by .ci/install-postgres %s for example, or name it with -pgdistrib", name, name)
	}
	return in, nil
}

// Installed gives an installation by its name: that of a major version, or of a minor release. If there is
// none, the test is skipped on a person's machine, and fails in CI (where the environment has CI).
func Installed(tb testing.TB, name string) Installation {
	tb.Helper()
	in, ok := find(name)
	if ok {
		return in
	}
	if os.Getenv("CI") == "" || testing.Short() || name == candidate {
		tb.Skipf("no PostgreSQL %s here: .ci/install-postgres %s brings it", name, name)
	}
	tb.Fatalf("no PostgreSQL %s here: .ci/install-postgres %s brings it", name, name)
	return Installation{}
}

// candidate is a major version of which there are release candidates only. They come and go in the
// archives, so CI does not insist on it.
const candidate = "19"

// Majors runs test once for each supported major version, as a subtest named after it, with its installation.
// See Installed for what happens if there is none.
func Majors(t *testing.T, test func(t *testing.T, v *pg.Version, in Installation)) {
	t.Helper()
	for _, v := range pg.Versions {
		name := strconv.Itoa(v.Major)
		t.Run(name, func(t *testing.T) { test(t, v, Installed(t, name)) })
	}
}

// checksumsByDefault says whether initdb makes data checksums unless it is told not to.
func (in Installation) checksumsByDefault() bool {
	major, _, _ := strings.Cut(in.Name, ".")
	v, err := pg.ParseMajor(major)
	return err == nil && v.ChecksumsByDefault
}

// BinDir gives the directory of the default installation's programs.
func BinDir(tb testing.TB) string {
	tb.Helper()
	return Default(tb).BinDir()
}

// BinDir gives the directory of the installation's programs.
func (in Installation) BinDir() string { return filepath.Join(in.Dir, "bin") }

// orDefault gives the default installation in place of the zero Installation.
func (in Installation) orDefault(tb testing.TB) Installation {
	tb.Helper()
	if in.Dir == "" {
		return Default(tb)
	}
	return in
}

// Has says whether the installation has that program itself, and not another version's in its place.
func (in Installation) Has(name string) bool { return isThere(filepath.Join(in.BinDir(), name)) }

// Program gives the path of one of the installation's programs. Some installations have the server and no
// clients: then it is the program of the next newer major version that has it, since clients talk to older
// servers, else that of the newest older one. If nobody has it, it is a path at which there is nothing.
func (in Installation) Program(name string) string {
	own := filepath.Join(in.BinDir(), name)
	if isThere(own) {
		return own
	}
	major, _, _ := strings.Cut(in.Name, ".")
	var newer, older string
	for _, other := range []string{"14", "15", "16", "17", "18", candidate} {
		found, ok := find(other)
		path := filepath.Join(found.BinDir(), name)
		if !ok || !isThere(path) {
			continue
		}
		if other < major {
			older = path
		} else if newer == "" {
			newer = path
		}
	}
	return cmp.Or(newer, older, own)
}

func isThere(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// find looks for an installation by name: first where the flag says, where Debian and the Red Hat family put it,
// .ci/install-postgres, Homebrew, and a build from source; then where PATH leads to.
func find(name string) (Installation, bool) {
	if *distrib != "" && name == strconv.Itoa(*major) {
		return findIn(name, *distrib)
	}
	root := os.Getenv("ZENITH_PG_ROOT")
	if root == "" {
		root = "/opt/zenith-pg"
	}
	in, ok := findIn(name,
		"/usr/lib/postgresql/"+name,
		"/usr/pgsql-"+name,
		filepath.Join(root, name),
		"/opt/homebrew/opt/postgresql@"+name,
		"/usr/local/opt/postgresql@"+name,
		"/usr/local/pgsql",
	)
	if ok {
		return in, true
	}
	var dirs []string
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, filepath.Dir(strings.TrimSpace(string(out))))
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		dirs = append(dirs, filepath.Dir(filepath.Dir(path)))
	}
	return findIn(name, dirs...)
}

// findIn looks for an installation in some directories.
func findIn(name string, dirs ...string) (Installation, bool) {
	for _, dir := range dirs {
		if isVersion(filepath.Join(dir, "bin", "postgres"), name) {
			return Installation{Name: name, Dir: dir}, true
		}
	}
	return Installation{}, false
}

// isVersion says whether a postgres is there and of that major version or minor release: "17.12" is both "17"
// and "17.12", "19rc1" is "19".
func isVersion(postgres, name string) bool {
	if !isThere(postgres) {
		return false
	}
	out, err := exec.Command(postgres, "--version").Output()
	fields := strings.Fields(string(out)) // postgres (PostgreSQL) 17.12 (Debian ...)
	if err != nil || len(fields) < 3 {
		return false
	}
	rest, ok := strings.CutPrefix(fields[2], name)
	return ok && (rest == "" || rest[0] < '0' || rest[0] > '9')
}
