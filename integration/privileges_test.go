package integration

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// lesser is an account of every machine, as which the page server runs here.
const lesser = "daemon"

// lesserSite makes a site whose page server runs as lesser, and starts it.
func lesserSite(t *testing.T) *site {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("the page server of an ordinary user runs as that user")
	}
	return newSite(t, "--account", lesser)
}

// TestPageServerAccount: a page server without root's rights does what one with them does: postgres starts, with WAL
// past the mount, crashes and comes back, and so does the page server; nothing that was committed is lost.
func TestPageServerAccount(t *testing.T) {
	s := lesserSite(t)
	url := s.start("main")
	if status := s.ok("status"); !regexp.MustCompile(`postgres_wal_through_mount:\s+0\n`).MatchString(status) {
		t.Errorf("WAL goes through the mount:\n%s", status)
	}
	rows := 0
	insert := func() {
		t.Helper()
		s.sql(url, "insert into t select generate_series(1, 1000)")
		rows += 1000
	}
	check := func(what string) {
		t.Helper()
		if got := s.sql(url, "select count(*) from t"); got != strconv.Itoa(rows) {
			t.Errorf("%s: %s rows, want %d", what, got, rows)
		}
	}
	s.sql(url, "create table t(g int)")
	insert()
	s.sql(url, "select pg_switch_wal()")
	insert()

	kill9(t, s.postmaster("main"))
	eventually(t, "postgres was started anew", func() bool { return strings.Contains(s.ok("pg", "list"), "running") && s.tryConnect(url) })
	check("after a crash of postgres")
	insert()

	kill9(t, s.pageServer())
	eventually(t, "postgres has ended with its page server", func() bool { return !s.tryConnect(url) })
	s.ok("start")
	url = s.start("main")
	check("after the page server was killed")
	insert()

	dir := filepath.Join(s.dir, "past")
	s.ok("mount", "main", dir, "--scratch")
	if _, err := os.Stat(filepath.Join(dir, "PG_VERSION")); err != nil {
		t.Error(err)
	}
	s.ok("umount", dir)
	if got := s.ok("pg", "exec", "main", "--", program("psql"), "-XqAtc", "select count(*) from t"); got != strconv.Itoa(rows) {
		t.Errorf("pg exec: %s rows, want %d", got, rows)
	}
	s.ok("tenant", "create")
	s.ok("pg", "stop", "main")
	s.ok("check")
	s.ok("gc")
	s.ok("restart")
	url = s.start("main")
	check("after a restart")
	s.ok("pg", "stop", "main", "--destroy")
	wantOwner(t, s.work, lesser)
}

// TestWorkDirectoryIsHandedOver: one that was made for a page server of root's belongs to the account from the first
// start with one on, servers' data and all.
func TestWorkDirectoryIsHandedOver(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("an ordinary user gives nothing away")
	}
	s := newSite(t, "--account", "root")
	url := s.start("main")
	s.sql(url, "create table t as select generate_series(1, 1000) g")
	kill9(t, s.pageServer()) // the bound pg_wal is left behind
	r := s.run("start", "--account", lesser)
	if r.code != 0 {
		t.Fatalf("start: exit %d: %s", r.code, r.err)
	}
	if got := s.sql(s.start("main"), "select count(*) from t"); got != "1000" {
		t.Errorf("%s rows, want 1000", got)
	}
	wantOwner(t, s.work, lesser)
	s.ok("stop")
	s.fails(12, "start", "--account", "bin")
}

// wantOwner checks that everything in a work directory that root owned is the account's, but for the settings.
func wantOwner(t *testing.T, dir, account string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it comes and goes
		}
		if err != nil {
			return err
		}
		fi, err := d.Info()
		settings := d.Name() == "config" || d.Name() == "pageserver.toml"
		if err == nil && (fi.Sys().(*syscall.Stat_t).Uid == 0) != settings {
			t.Errorf("%s belongs to %d", path, fi.Sys().(*syscall.Stat_t).Uid)
		}
		if d.Name() == "data" && d.IsDir() {
			return fs.SkipDir // a mount
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// held is what a process may hold: one of the patterns must match the target of each link in /proc/PID/fd.
type held []string

func (h held) check(t *testing.T, what string, pid int) {
	t.Helper()
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil || len(links) == 0 {
		t.Fatalf("%s: no descriptors are listed, %v", what, err)
	}
	allowed := regexp.MustCompile("^(" + strings.Join(h, "|") + ")$")
	for _, l := range links {
		if to, err := os.Readlink(l); err == nil && !allowed.MatchString(to) {
			t.Errorf("%s holds %s", what, to)
		}
	}
}

// TestPrivileges: what the page server of root is, and all that it and its helper hold, is in this table.
func TestPrivileges(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the page server of an ordinary user runs as that user")
	}
	s := newSite(t)
	s.start("main")
	work := regexp.QuoteMeta(s.work)
	server := s.pageServer()
	var helper int
	for _, pid := range childrenOf(t, server) {
		if strings.Contains(readProc(t, pid, "cmdline"), "\x00privileged\x00") {
			helper = pid
		} else {
			t.Errorf("the page server has a child %d: %s", pid, readProc(t, pid, "cmdline"))
		}
	}
	if helper == 0 {
		t.Fatal("the page server has no helper")
	}
	postgres := childrenOf(t, helper)
	if len(postgres) != 1 || !strings.Contains(readProc(t, postgres[0], "cmdline"), "postgres") {
		t.Fatalf("the helper has children %v, want a postgres", postgres)
	}

	none := "0000000000000000"
	for _, c := range []struct {
		what string
		pid  int
		want map[string]string // lines of /proc/PID/status
		fds  held
	}{
		{"page server", server, map[string]string{"Uid": ids(t, usual), "CapEff": none, "CapPrm": none, "CapInh": none, "CapAmb": none, "NoNewPrivs": "1"},
			held{"/dev/null", "/dev/fuse", `pipe:.*`, `socket:.*`, `anon_inode:.*`, work, work + "/.*", `/sys/fs/cgroup/.*`}},
		{"helper", helper, map[string]string{"Uid": "0\t0\t0\t0"},
			held{"/dev/null", work, `socket:.*`, `anon_inode:.*`, work + `/pageserver\.log`, work + "/tenants/[0-9a-f]*/pg/main", work + "/tenants/[0-9a-f]*/timelines/.*pg_wal", `/sys/fs/cgroup/.*`}},
		{"postgres", postgres[0], map[string]string{"CapEff": none, "CapPrm": none, "CapAmb": none},
			held{"/dev/null", "/dev/shm/.*", "/dev/zero.*", "/memfd:.*", "/SYSV.*", `pipe:.*`, `socket:.*`, `anon_inode:.*`, work + "/tenants/[0-9a-f]*/pg/main/.*"}},
	} {
		for name, want := range c.want {
			if got := statusLine(t, c.pid, name); got != want {
				t.Errorf("%s: %s is %q, want %q", c.what, name, got, want)
			}
		}
		c.fds.check(t, c.what, c.pid)
	}
	uid := strings.Fields(statusLine(t, postgres[0], "Uid"))[0]
	if uid == "0" || uid == strings.Fields(ids(t, usual))[0] {
		t.Errorf("postgres runs as account %s", uid)
	}
	if groups := statusLine(t, postgres[0], "Groups"); groups != "" {
		t.Errorf("postgres is in the groups %s, too", groups)
	}
	if env := readProc(t, helper, "environ"); strings.Contains(env, "LD_") {
		t.Errorf("the helper's environment is %q", env)
	}
	wantOwner(t, s.work, usual)
	wantClosed(t, s.work)
}

// usual is the account of the page server that init by root makes.
const usual = "zenith"

// wantClosed checks the modes of a work directory: nobody but the owner reads or changes a file in it, but for the few in
// the table; other accounts may at most pass through directories.
func wantClosed(t *testing.T, dir string) {
	t.Helper()
	open := map[string]fs.FileMode{ // by name: what group and others may
		"config": 0o040, "pageserver.toml": 0o040, "pageserver.log": 0o040, "pageserver.pid": 0o044,
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it comes and goes
		}
		if err != nil {
			return err
		}
		if d.Name() == "pg" && d.IsDir() {
			return fs.SkipDir // servers' directories, below one that only the tenant's account passes
		}
		fi, err := d.Info()
		if err != nil {
			return nil
		}
		allowed := open[d.Name()]
		if d.IsDir() {
			allowed = 0o011
		}
		behind := strings.Contains(path, "/tenants/") // only the tenant's account gets there
		if more := fi.Mode().Perm() & 0o077 &^ allowed; more != 0 && !behind && fi.Mode().Type() != fs.ModeSymlink {
			t.Errorf("%s has mode %v", path, fi.Mode())
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	tenants, err := filepath.Glob(filepath.Join(dir, "tenants", "*"))
	if err != nil || len(tenants) == 0 {
		t.Fatalf("tenants %v, %v", tenants, err)
	}
	for _, tenant := range tenants {
		if fi, err := os.Stat(tenant); err != nil || fi.Mode().Perm() != 0o710 {
			t.Errorf("%s: %v, %v, want mode 0710", tenant, fi.Mode(), err)
		}
	}
}

// postmaster gives the process id of the postgres of a point.
func (s *site) postmaster(name string) int {
	s.t.Helper()
	files, err := filepath.Glob(filepath.Join(s.work, "tenants", "*", "pg", name, "postgres.pid"))
	if err != nil || len(files) != 1 {
		s.t.Fatalf("pid files %v, %v", files, err)
	}
	return firstNumber(s.t, files[0])
}

// pageServer gives the process id of the page server.
func (s *site) pageServer() int {
	s.t.Helper()
	return firstNumber(s.t, filepath.Join(s.work, "pageserver.pid"))
}

func firstNumber(t *testing.T, path string) int {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.Fields(string(text))[0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// tryConnect reports whether a server answers.
func (s *site) tryConnect(url string) bool {
	r := s.runCmd(exec.Command(program("psql"), url, "-Xqc", "select 1"))
	return r.code == 0
}

// ids gives an account's uids as /proc/PID/status shows them.
func ids(t *testing.T, account string) string {
	t.Helper()
	u, err := user.Lookup(account)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join([]string{u.Uid, u.Uid, u.Uid, u.Uid}, "\t")
}

func readProc(t *testing.T, pid int, name string) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// statusLine gives the value of a line of /proc/PID/status.
func statusLine(t *testing.T, pid int, name string) string {
	t.Helper()
	for line := range strings.Lines(readProc(t, pid, "status")) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	t.Fatalf("process %d has no %s", pid, name)
	return ""
}

// childrenOf gives the children of all threads of a process.
func childrenOf(t *testing.T, pid int) (children []int) {
	t.Helper()
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil || len(lists) == 0 {
		t.Fatalf("the threads of process %d: %v, %v", pid, lists, err)
	}
	for _, l := range lists {
		text, err := os.ReadFile(l)
		if err != nil {
			continue // the thread has ended
		}
		for _, f := range strings.Fields(string(text)) {
			n, err := strconv.Atoi(f)
			if err != nil {
				t.Fatal(err)
			}
			children = append(children, n)
		}
	}
	return children
}
