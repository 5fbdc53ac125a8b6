package integration

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"zenith/internal/pgtest"
)

// pgDistrib is the directory of the PostgreSQL that the tests run on: that of the flag -pgmajor.
var pgDistrib string

// program gives the path of one of PostgreSQL's programs.
func program(name string) string {
	return pgtest.Installation{Name: strconv.Itoa(pgtest.Version().Major), Dir: pgDistrib}.Program(name)
}

// hasOwn says whether the installation has that program itself, so that it is of the same version.
func hasOwn(name string) bool { return pgtest.Installation{Dir: pgDistrib}.Has(name) }

// strategy is the clause of CREATE DATABASE that chooses how it is copied. PostgreSQL 14 has one way, file_copy, and
// no clause.
func strategy(how string) string {
	if pgtest.Version().Major < 15 {
		return ""
	}
	return " STRATEGY " + how
}

// binary is bin/zenith, built once for all tests.
var binary string

func TestMain(m *testing.M) {
	if dir := os.Getenv(lossyEnv); dir != "" {
		os.Exit(serveLossy(dir))
	}
	flag.Parse()
	os.Exit(func() int {
		if _, err := os.Stat("/dev/fuse"); err != nil {
			fmt.Fprintf(os.Stderr, "integration tests: %v\n", err)
			return 1
		}
		if in, err := pgtest.FindDefault(); err == nil { // else each test says so
			pgDistrib = in.Dir
		}
		dir, err := os.MkdirTemp("", "zenith-bin")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		binary = filepath.Join(dir, "zenith")
		build := exec.Command("go", "build", "-o", binary, "../cmd/zenith")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if raceDetector {
			build = exec.Command("go", "build", "-race", "-o", binary, "../cmd/zenith")
		}
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build zenith: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// site is a work directory, with a page server of its own.
type site struct {
	t    *testing.T
	dir  string // readable by the user that postgres runs as
	work string
}

// newSite makes an initialised work directory with a running page server, which the
// test's cleanup stops; after a failure it prints the log's end.
func newSite(t *testing.T, initArgs ...string) *site {
	t.Helper()
	s := emptySite(t)
	s.ok(append([]string{"init", "--pg-distrib", pgDistrib}, initArgs...)...)
	s.ok("start")
	return s
}

func emptySite(t *testing.T) *site {
	t.Helper()
	pgtest.Default(t)
	// Not t.TempDir: only the user of this test may enter it, not the account of postgres, and its path may be
	// too long for a unix socket.
	dir, err := os.MkdirTemp("", "zit")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, dir: dir, work: filepath.Join(dir, ".zenith")}
	t.Cleanup(s.close)
	return s
}

func (s *site) close() {
	s.end()
	if err := os.RemoveAll(s.dir); err != nil {
		s.t.Errorf("something is left in the work directory: %v", err)
	}
}

// end stops the page server, and looks at its log. A test whose work directory is on a disk of its own calls it before
// that goes.
func (s *site) end() {
	if _, err := os.Stat(s.work); err != nil {
		return
	}
	if out, err := exec.Command(binary, "-D", s.work, "stop").CombinedOutput(); err != nil {
		s.t.Logf("stop: %v: %s", err, out)
	}
	log, err := os.ReadFile(filepath.Join(s.work, "pageserver.log"))
	if err == nil && (bytes.Contains(log, []byte("DATA RACE")) || bytes.Contains(log, []byte("panic"))) {
		s.t.Error("the page server's log has a data race or a panic")
	}
	if s.t.Failed() {
		s.t.Logf("page server's log:\n%s", tail(log, 100))
	}
}

func tail(b []byte, lines int) string {
	all := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// result is how a command ended.
type result struct {
	out, err string
	code     int
}

// account is the account of the page servers that root starts here, for tests that name none.
var account = flag.String("account", "", "the account that page servers run as, where root runs the tests; default: init's")

// run runs zenith with arguments.
func (s *site) run(args ...string) result {
	s.t.Helper()
	if *account != "" && args[0] == "init" && !slices.Contains(args, "--account") && !slices.Contains(args, "--remote-pageserver") {
		args = append(slices.Clone(args), "--account", *account)
	}
	return s.runCmd(exec.Command(binary, append([]string{"-D", s.work}, args...)...))
}

func (s *site) runCmd(cmd *exec.Cmd) result {
	s.t.Helper()
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Dir = &out, &stderr, s.dir
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatalf("%v: %v", cmd.Args, err)
	}
	return result{out.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// ok runs zenith, which must succeed and print nothing to stderr, and gives what it prints to stdout.
func (s *site) ok(args ...string) string {
	s.t.Helper()
	r := s.run(args...)
	if r.code != 0 {
		s.t.Fatalf("zenith %s: exit %d: %s%s", strings.Join(args, " "), r.code, r.err, r.out)
	}
	return strings.TrimRight(r.out, "\n")
}

// fails runs zenith, which must end with that exit code and print one line to stderr, and gives the line.
func (s *site) fails(code int, args ...string) string {
	s.t.Helper()
	r := s.run(args...)
	line := strings.TrimRight(r.err, "\n")
	if r.code != code {
		s.t.Errorf("zenith %s: exit %d, want %d: %s", strings.Join(args, " "), r.code, code, line)
	}
	if !strings.HasPrefix(line, "zenith: ") || strings.Contains(line, "\n") {
		s.t.Errorf("zenith %s: want one line on stderr, got %q", strings.Join(args, " "), r.err)
	}
	return line
}

// start starts postgres at a point and gives its connection string.
func (s *site) start(point string, args ...string) string {
	s.t.Helper()
	out := s.ok(append([]string{"pg", "start", point}, args...)...)
	lines := strings.Split(out, "\n")
	return lines[len(lines)-1]
}

// lsn gives the LSN that a point means.
func (s *site) lsn(point string) string {
	s.t.Helper()
	return s.ok("lsn", point)
}

// tool runs a program of the PostgreSQL installation, which must succeed.
func (s *site) tool(name string, args ...string) string {
	s.t.Helper()
	r := s.runCmd(exec.Command(program(name), args...))
	if r.code != 0 {
		s.t.Fatalf("%s %s: exit %d: %s%s", name, strings.Join(args, " "), r.code, r.err, r.out)
	}
	return strings.TrimRight(r.out, "\n")
}

// sql runs statements by psql, one transaction each, and gives their answers: one line for each row, columns
// separated by "|".
func (s *site) sql(url string, statements ...string) string {
	s.t.Helper()
	args := []string{url, "-XqAt", "-v", "ON_ERROR_STOP=1"}
	for _, st := range statements {
		args = append(args, "-c", st)
	}
	return s.tool("psql", args...)
}

// want runs a query and compares its answer with the one that is expected.
func (s *site) want(url, query, want string) {
	s.t.Helper()
	if got := s.sql(url, query); got != want {
		s.t.Errorf("%s: got %q, want %q", query, got, want)
	}
}

// database gives the same server's connection string for another database.
func database(uri, name string) string {
	u, err := url.Parse(uri)
	if err != nil {
		panic(err)
	}
	u.Path = "/" + name
	return u.String()
}

// tcp gives the connection string of the superuser of a cluster that zenith made, on a port of this machine.
func (s *site) tcp(port int) string {
	s.t.Helper()
	u := url.URL{Scheme: "postgresql", User: url.User("postgres"), Host: fmt.Sprintf("127.0.0.1:%d", port), Path: "/postgres"}
	files, err := filepath.Glob(filepath.Join(s.work, "tenants", "*", "postgres.password"))
	if err != nil {
		s.t.Fatal(err)
	}
	if len(files) == 1 { // else the cluster was imported, and has no password
		text, err := os.ReadFile(files[0])
		if err != nil {
			s.t.Fatal(err)
		}
		u.User = url.UserPassword("postgres", strings.TrimSpace(string(text)))
	}
	return u.String()
}

// eventually waits until a condition holds, and fails the test if it does not.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	eventuallyWithin(t, 2*time.Minute, what, cond) // on a machine that is busy with other things
}

// eventuallyWithin is eventually for what takes long by itself.
func eventuallyWithin(t *testing.T, patience time.Duration, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !cond(); {
		if time.Now().After(end) {
			t.Fatalf("waited %v for %s", patience, what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
