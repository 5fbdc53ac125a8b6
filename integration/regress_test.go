package integration

import (
	"bufio"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"zenith/internal/pg"
	"zenith/internal/pgtest"
	"zenith/internal/xlog"
)

var (
	regressDir    = flag.String("regress", "", "directory made by regress/prepare.sh: run PostgreSQL's own suites")
	regressPoints = flag.Int("regress.points", 20, "record boundaries of the suites' WAL to compare with stock recovery")
	regressChecks = flag.Int("regress.checks", 2, "how many of them to have checked by amcheck")
	regressCorpus = flag.String("regress.corpus", "", "directory that TestRegressCorpus is to fill, on the temporary directory's file system")
	regressSet    = flag.String("regress.set", "", "more lines of postgresql.conf, separated by commas")
	regressSeed   = flag.Uint64("regress.seed", 1, "chooses the record boundaries")
)

// TestRegress runs PostgreSQL's regression and isolation suites on a plain data directory and on a mount, with
// the same installation: the same tests must pass. Then it compares the history with the files that postgres
// wrote, and many states of the history with stock recovery.
func TestRegress(t *testing.T) {
	if *regressDir == "" {
		t.Skip("takes a quarter of an hour: make regress")
	}
	s := newSite(t)
	plain, base, dir := filepath.Join(s.dir, "plain"), filepath.Join(s.dir, "base"), s.mountDir("data")
	for _, to := range []string{plain, base} {
		s.ok("export", "main", "--dir", to)
		if os.Geteuid() == 0 {
			s.runCmd(exec.Command("chown", "-R", "postgres", to))
		}
	}
	want := s.suites("plain", plain)
	first := s.lsn("main")
	s.ok("mount", "main", dir)
	got := s.suites("mount", dir, "wal_keep_size = 100GB")
	wal := pgtest.WALDir{Version: pgtest.Version(), Dir: filepath.Join(s.dir, "wal"), TLI: 1, SegSize: 16 << 20}
	if r := s.runCmd(exec.Command("cp", "-r", filepath.Join(dir, "pg_wal"), wal.Dir)); r.code != 0 {
		t.Fatal(r.err)
	}
	slices.Sort(got)
	for _, name := range want {
		if _, ok := slices.BinarySearch(got, name); !ok {
			t.Errorf("%s passes on a plain directory, not on a mount", name)
		}
	}

	last := s.lsn("main")
	rebuilt := s.mountDir("rebuilt")
	s.ok("mount", "main@"+last, rebuilt)
	compareFiles(t, dir, rebuilt)
	s.ok("umount", rebuilt)
	s.ok("umount", dir)
	if hasOwn("pg_waldump") {
		s.compareDumps(wal, first, last)
	}
	s.compareReplays(base, wal, s.parseLSN(first), s.parseLSN(last))
}

// TestRegressCorpus runs the suites once more, on a plain data directory, with an image of each changed block in
// the WAL. It leaves the base and the WAL in a directory for TestCorpus of package walredo.
func TestRegressCorpus(t *testing.T) {
	if *regressDir == "" || *regressCorpus == "" {
		t.Skip("makes gigabytes: make regress")
	}
	s := newSite(t)
	base, plain := filepath.Join(*regressCorpus, "base"), filepath.Join(s.dir, "plain")
	for _, to := range []string{plain, base} {
		s.ok("export", "main", "--dir", to)
	}
	if os.Geteuid() == 0 {
		s.runCmd(exec.Command("chown", "-R", "postgres", plain))
	}
	method := "lz4"
	if out, err := exec.Command(program("postgres"), "-C", "wal_compression", "-D", plain, "-c", "wal_compression=lz4").CombinedOutput(); err != nil {
		t.Logf("images are compressed by pglz: %s", out)
		method = "on"
	}
	s.suites("images", plain, "wal_consistency_checking = all", "wal_compression = "+method, "wal_keep_size = 100GB", "max_wal_size = 10GB")
	if err := os.Rename(filepath.Join(plain, "pg_wal"), filepath.Join(*regressCorpus, "wal")); err != nil {
		t.Fatal(err)
	}
}

// suites runs both suites on a server on dir and gives the names of the tests that passed.
func (s *site) suites(label, dir string, config ...string) (passed []string) {
	s.t.Helper()
	conf, err := os.OpenFile(filepath.Join(dir, "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	_, err = conf.WriteString("max_prepared_transactions = 10\n" + strings.ReplaceAll(*regressSet, ",", "\n") + "\n" + strings.Join(config, "\n") + "\n")
	if closeErr := conf.Close(); err != nil || closeErr != nil {
		s.t.Fatal(err, closeErr)
	}
	v := s.serve(dir)
	defer v.stop("fast")
	failed := 0
	lib := filepath.Join(pgDistrib, "lib/pgxs/src/test")
	if _, err := os.Stat(lib); err != nil {
		lib = filepath.Join(pgDistrib, "lib/postgresql/pgxs/src/test")
	}
	for suite, driver := range map[string]string{"regress": "regress/pg_regress", "isolation": "isolation/pg_isolation_regress"} {
		began := time.Now()
		out := s.suite(v, label, suite, filepath.Join(lib, driver))
		n := len(passed)
		for _, r := range suiteResults(out) {
			if r.passed {
				passed = append(passed, suite+"/"+r.name)
			} else {
				failed++
				s.t.Logf("%s: %s/%s failed", label, suite, r.name)
			}
		}
		s.t.Logf("%s: %s: %d tests passed in %.0f s", label, suite, len(passed)-n, time.Since(began).Seconds())
		if n == len(passed) {
			s.t.Fatalf("no test of %s passed:\n%s", suite, out)
		}
	}
	if failed*10 > len(passed) && s.ownSuites() {
		s.t.Fatalf("%s: %d tests failed: these are not the suites of this server", label, failed)
	}
	return passed
}

// ownSuites says whether the suites are those of the server's major version. Others are a load: many of their tests fail,
// on a mount and on a plain directory alike.
func (s *site) ownSuites() bool { return s.suitesMajor() == strconv.Itoa(pgtest.Version().Major) }

// suitesMajor is the major version that the suites are of.
func (s *site) suitesMajor() string {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(*regressDir, "version"))
	if err != nil {
		s.t.Fatal(err)
	}
	major, _, _ := strings.Cut(string(text), ".")
	return major
}

// suiteResult is how one test of a suite ended.
type suiteResult struct {
	name   string
	passed bool
}

// suiteResults reads a driver's output: "test NAME ... ok" and "     NAME ... FAILED" up to 15, and "ok 1 - NAME"
// or "not ok 2 + NAME" since.
func suiteResults(out string) (results []suiteResult) {
	for _, m := range regexp.MustCompile(`(?m)^(?:test| ) +(\S+) +\.\.\. (\w+)|^(ok|not ok) +\d+ +[-+] +(\S+)`).FindAllStringSubmatch(out, -1) {
		results = append(results, suiteResult{name: m[1] + m[4], passed: m[2] == "ok" || m[3] == "ok"})
	}
	return results
}

func TestSuiteResults(t *testing.T) {
	const out = `test tablespace                   ... ok          321 ms
parallel group (2 tests):  char boolean
     boolean                      ... ok           49 ms
     char                         ... FAILED       21 ms
# parallel group (2 tests):  txid int4
ok 3         - test_setup                                275 ms
ok 4         + int4                                       27 ms
not ok 5     + txid                                       30 ms
# 1 of 5 tests failed.
`
	want := []suiteResult{{"tablespace", true}, {"boolean", true}, {"char", false}, {"test_setup", true}, {"int4", true}, {"txid", false}}
	if got := suiteResults(out); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// suite runs one driver and gives its output. Its exit status does not count: some tests fail on any server
// whose minor version is not that of the suite.
func (s *site) suite(v *server, label, suite, driver string) string {
	s.t.Helper()
	at, err := url.Parse(v.url)
	if err != nil {
		s.t.Fatal(err)
	}
	out := filepath.Join(s.dir, "out", label, suite)
	if err := os.MkdirAll(out, 0o755); err != nil {
		s.t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		s.runCmd(exec.Command("chown", "-R", "postgres", out))
	}
	in := filepath.Join(*regressDir, suite)
	psql := pgtest.Installed(s.t, s.suitesMajor()).Program("psql") // an older one does not know all of the suite's commands, and may hang
	args := []string{"--host=" + at.Hostname(), "--port=" + at.Port(), "--user=postgres", "--bindir=" + filepath.Dir(psql),
		"--inputdir=" + in, "--outputdir=" + out, "--dlpath=" + filepath.Join(*regressDir, "dl"),
		"--schedule=" + filepath.Join(in, map[string]string{"regress": "parallel_schedule", "isolation": "isolation_schedule"}[suite])}
	if pgtest.Version().Major >= 16 {
		args = append(args, "--expecteddir="+in)
	}
	cmd := asPostgres(driver, args...)
	// pg_isolation_regress looks for isolationtester in PATH.
	password, _ := at.User.Password()
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(driver)+":"+os.Getenv("PATH"), "PGPASSWORD="+password)
	if !s.ownSuites() {
		// A step that should fail, and does not on another major version, may wait for its own session for ever. In seconds.
		cmd.Env = append(cmd.Env, "PGISOLATIONTIMEOUT=20")
	}
	return s.runCmd(cmd).out
}

// compareReplays compares states between two LSNs, the last of them included, with what stock recovery makes of
// base and the same WAL, without masks. Each state is read through a branch of a branch. Some are checked by
// amcheck as well.
func (s *site) compareReplays(base string, wal pgtest.WALDir, lo, hi pg.LSN) {
	s.t.Helper()
	from := &pgtest.Server{Dir: base}
	// No logical replication launcher: it reads a table, and so sets hint bits in it.
	from.Configure(s.t, append([]string{"fsync=off", "listen_addresses=''", "max_wal_size=10GB", "checkpoint_timeout=1d",
		"max_prepared_transactions=10", "max_logical_replication_workers=0"}, strings.Split(*regressSet, ",")...)...)
	replay := pgtest.NewReplay(s.t, from, wal)
	rnd := rand.New(rand.NewPCG(*regressSeed, 1))
	points := s.points(rnd, lo, hi)
	total := comparison{}
	for i, at := range points {
		later := at + pg.LSN(rnd.Uint64N(uint64(hi-at+1)))
		parent, child := fmt.Sprint("parent", i), fmt.Sprint("child", i)
		s.ok("branch", parent, fmt.Sprint("main@", later))
		s.ok("branch", child, fmt.Sprint(parent, "@", at))
		replayed, rebuilt := replay.To(s.t, at), s.mountDir(child)
		s.ok("mount", fmt.Sprint(child, "@", at), rebuilt)
		c := comparison{t: s.t, wrote: replayed.Dir, rebuilt: rebuilt, raw: true}
		c.run()
		s.ok("umount", rebuilt)
		if c.differ > 0 {
			s.t.Fatalf("main@%v is not what stock recovery makes of it", at)
		}
		total.pages, total.files = total.pages+c.pages, total.files+c.files
		if (i+1)%20 == 0 || i == len(points)-1 {
			s.t.Logf("%d states from %v to %v equal stock recovery's, raw: %d files, %d pages", i+1, lo, at, total.files, total.pages)
		}
		if k := max(len(points) / *regressChecks, 1); i%k == k-1 || i == len(points)-1 {
			s.checkPoint(fmt.Sprint(child, "@", at))
		}
	}
}

// points gives record boundaries between lo and hi in ascending order; the last is hi.
func (s *site) points(rnd *rand.Rand, lo, hi pg.LSN) (points []pg.LSN) {
	s.t.Helper()
	for range *regressPoints - 1 {
		points = append(points, s.parseLSN(s.lsn(fmt.Sprint("main@", lo+pg.LSN(rnd.Uint64N(uint64(hi-lo)))))))
	}
	points = append(points, hi)
	slices.Sort(points)
	points = slices.Compact(points)
	return points[max(slices.Index(points, lo)+1, 0):]
}

// compareDumps compares what zenith and pg_waldump print for each record between two LSNs.
func (s *site) compareDumps(wal pgtest.WALDir, first, last string) {
	s.t.Helper()
	ours := s.lines(exec.Command(binary, "-D", s.work, "wal", "dump", "main", first, last))
	theirs := s.lines(exec.Command(program("pg_waldump"), "-p", wal.Dir, "-s", first, "-e", last,
		xlog.SegmentName(wal.TLI, s.parseLSN(first), wal.SegSize), xlog.SegmentName(wal.TLI, s.parseLSN(last)-1, wal.SegSize)))
	n, differ := 0, 0
	for differ < 10 {
		a, more := <-ours
		b, more2 := <-theirs
		if !more && !more2 {
			break
		}
		if n++; a != b {
			s.t.Errorf("record %d\n zenith wal dump: %s\n pg_waldump:      %s", n, a, b)
			differ++
		}
	}
	s.t.Logf("%d records: zenith wal dump and pg_waldump say the same of all but %d", n, differ)
}

// lines runs a command, which must succeed, and gives its output line by line.
func (s *site) lines(cmd *exec.Cmd) <-chan string {
	s.t.Helper()
	out := make(chan string, 1000)
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { cmd.Process.Kill() }) //nolint:errcheck // the command has ended, unless the test failed
	go func() {
		defer close(out)
		for in := bufio.NewScanner(pipe); in.Scan(); {
			out <- in.Text()
		}
		if err := cmd.Wait(); err != nil {
			s.t.Errorf("%s: %v", cmd, err)
		}
	}()
	return out
}

// checkPoint runs amcheck and pg_dump on every database of a state.
func (s *site) checkPoint(point string) {
	s.t.Helper()
	script, err := filepath.Abs("regress/check.sh")
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command(binary, "-D", s.work, "pg", "exec", point, "--", script)
	cmd.Env = append(os.Environ(), "PG_DISTRIB="+filepath.Dir(filepath.Dir(program("psql"))))
	r := s.runCmd(cmd)
	if r.code != 0 {
		s.t.Errorf("%s: exit %d:\n%s%s", point, r.code, r.out, r.err)
		return
	}
	s.t.Logf("%s: sound indexes: %s", point, strings.TrimSpace(r.out))
}

func (s *site) parseLSN(text string) pg.LSN {
	s.t.Helper()
	l, err := pg.ParseLSN(text)
	if err != nil {
		s.t.Fatal(err)
	}
	return l
}
