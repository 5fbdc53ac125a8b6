package integration

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	tenantA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	tenantB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

// address gives a connection string of the page server.
func (s *site) address() string {
	s.t.Helper()
	return "postgresql:///zenith?host=" + s.work + "&port=6400"
}

// wire runs commands of the page server through psql.
func (s *site) wire(commands ...string) string {
	s.t.Helper()
	return s.sql(s.address(), commands...)
}

// wireFails runs a command of the page server, which must fail with that SQLSTATE.
func (s *site) wireFails(state, command string) {
	s.t.Helper()
	r := s.runCmd(clientCommand("psql", s.address(), "-XqAt", "-v", "VERBOSITY=sqlstate", "-c", command))
	if got := strings.TrimSpace(r.err); r.code == 0 || got != "ERROR:  "+state {
		s.t.Errorf("%s: exit %d, %q, want ERROR:  %s", command, r.code, got, state)
	}
}

// timeline gives the id of a branch's timeline.
func (s *site) timeline(tenant, branch string) string {
	s.t.Helper()
	for _, b := range s.branches(tenant) {
		if b.Name == branch {
			return b.TimelineID
		}
	}
	s.t.Fatalf("tenant %s has no branch %s", tenant, branch)
	return ""
}

// TestTenantsSideBySide makes two tenants with branches of the same names, and runs the same SQL on both. Their
// clusters have no data checksums. Nothing of one tenant can be reached through the other.
func TestTenantsSideBySide(t *testing.T) {
	t.Parallel()
	s := newSite(t, "--no-data-checksums", "--tenantid", tenantA)
	out := s.ok("tenant", "create", tenantB)
	if want := "using tenant id " + tenantB + "\ntenant successfully created on the pageserver"; out != want {
		t.Errorf("tenant create says %q", out)
	}
	s.fails(1, "tenant", "create", tenantB)
	s.wireFails("42710", "tenant_create "+tenantA)
	if got := s.ok("tenant", "list"); got != tenantA+"\n"+tenantB {
		t.Errorf("tenant list: %q", got)
	}

	at := map[string]string{}
	for n, id := range []string{tenantA, tenantB} {
		url := s.start("main", "--tenantid", id)
		s.sql(url, "CREATE TABLE t (i int)", fmt.Sprintf("INSERT INTO t SELECT g FROM generate_series(1, %d) g", 10+n))
		at[id] = s.ok("lsn", "main", "--tenantid", id)
		s.ok("branch", "dev", "main", "--tenantid", id)
		s.sql(url, "DROP TABLE t")
		s.want(url, "SELECT current_setting('zenith.tenant_id'), current_setting('zenith.timeline_id')", id+"|"+s.timeline(id, "main"))
		s.want(url, "SHOW data_checksums", "off")
	}
	for n, id := range []string{tenantA, tenantB} {
		url := s.start("dev", "--tenantid", id)
		s.want(url, "SELECT count(*) FROM t", strconv.Itoa(10+n))
		if list := s.ok("pg", "list", "--tenantid", id); strings.Count(list, "\n") != 2 {
			t.Errorf("pg list of %s:\n%s", id, list)
		}
		s.ok("pg", "stop", "dev", "--destroy", "--tenantid", id)
	}
	s.ok("branch", "delete", "dev", "-f", "--tenantid", tenantA)
	s.fails(13, "lsn", "dev")
	s.ok("lsn", "dev", "--tenantid", tenantB)

	theirs := s.timeline(tenantB, "main")
	s.fails(13, "lsn", theirs)
	s.fails(13, "branch", "stolen", theirs+"@"+at[tenantB])
	s.fails(13, "mount", theirs, s.mountDir("none"))
	s.fails(13, "pg", "start", theirs)
	s.fails(13, "pg", "exec", "dev", "--", "true")
	s.fails(13, "wal", "dump", theirs)
	s.fails(13, "page", "dump", theirs, "base/5/1259", "0")
	s.fails(13, "check", theirs)
	s.fails(13, "receive", "start", theirs, "host=/nowhere")
	s.fails(13, "export", theirs, "--tar", filepath.Join(s.dir, "x.tar"))
	for _, command := range []string{"basebackup A T", "fullbackup A T", "basebackup A T " + at[tenantB], "pagestream A T", "export A T",
		"branch_delete A T", "do_gc A T 0", "lease A T " + at[tenantB], "callmemaybe A T 'host=/nowhere'", "identify_system A T", "lsn A T"} {
		s.wireFails("42704", strings.NewReplacer("A", tenantA, "T", theirs).Replace(command))
	}
	all := s.mountDir("all")
	s.ok("mount", all)
	for path, want := range map[string]error{
		tenantA + "/timelines/" + theirs:                                              fs.ErrNotExist,
		tenantA + "/timelines/" + theirs + "@" + pathLSN(at[tenantB]):                 fs.ErrNotExist,
		tenantA + "/branches/dev":                                                     fs.ErrNotExist,
		tenantB + "/branches/dev":                                                     nil,
		tenantB + "/timelines/" + theirs + "@" + pathLSN(at[tenantB]) + "/PG_VERSION": nil,
	} {
		if _, err := os.Stat(filepath.Join(all, "tenants", path)); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
	s.ok("umount", all)
}

// pathLSN gives an LSN in the form that it has in paths: with _ for /.
func pathLSN(lsn string) string { return strings.ReplaceAll(lsn, "/", "_") }

// TestHundredTenants opens a hundred tenants in one page server.
func TestHundredTenants(t *testing.T) {
	t.Parallel()
	const tenants, most, idle = 100, 1536 << 10, 2 * time.Second // most is in kB of memory
	s := newSite(t, "--tenantid", tenantA)
	s.ok("stop")
	config := filepath.Join(s.work, "pageserver.toml")
	f, err := os.OpenFile(config, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(f, "\nidle_time = %q\n", idle); err != nil {
		t.Fatal(err)
	}
	f.Close()
	ids := []string{}
	for n := range tenants {
		ids = append(ids, fmt.Sprintf("%032x", n))
		copyTenant(t, filepath.Join(s.work, "tenants", tenantA), filepath.Join(s.work, "tenants", ids[n]))
	}
	s.ok("start")
	pid := pidIn(t, filepath.Join(s.work, "pageserver.pid"))
	if n := len(strings.Fields(s.ok("tenant", "list"))); n != tenants+1 {
		t.Errorf("%d tenants", n)
	}
	if got := s.status("tenants_open"); got != "0" && got != "1" {
		t.Errorf("%s tenants are open before anybody used one", got)
	}
	commands := []string{}
	for _, id := range ids {
		commands = append(commands, "branch_create "+id+" dev main", "page_dump "+id+" dev base/5/1259 0")
	}
	s.wire(commands...)
	if kb := procStatus(t, pid, "VmHWM"); kb > most {
		t.Errorf("%d tenants took %d MiB", tenants, kb>>10)
	} else {
		t.Logf("%d tenants took %d MiB", tenants, kb>>10)
	}
	time.Sleep(idle) // each status opens the default tenant, so it must not come more often than idle tenants are closed
	eventually(t, "idle tenants to be closed", func() bool { time.Sleep(idle); return s.status("tenants_open") == "1" })
	if n := openFiles(t, pid); n > 60 {
		t.Errorf("%d open files are left of closed tenants", n)
	}
	before := cpuTime(t, pid)
	time.Sleep(3 * time.Second)
	if spent := cpuTime(t, pid) - before; spent > 150*time.Millisecond {
		t.Errorf("idle tenants took %v of processor time in 3 s", spent)
	}
	if got := s.wire("lsn " + ids[77] + " dev"); got == "" {
		t.Error("a closed tenant gives no answer")
	}
}

// copyTenant copies a tenant's directory. Tables of the store are never changed, so they are hard links.
func copyTenant(t *testing.T, from, to string) {
	t.Helper()
	own, err := os.Stat(from)
	if err != nil {
		t.Fatal(err)
	}
	as := own.Sys().(*syscall.Stat_t)
	err = filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		switch target := filepath.Join(to, rel); {
		case d.IsDir():
			return errors.Join(os.Mkdir(target, 0o711), os.Chown(target, int(as.Uid), -1))
		case filepath.Ext(path) == ".sst":
			return os.Link(path, target)
		default:
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return errors.Join(os.WriteFile(target, content, 0o600), os.Chown(target, int(as.Uid), -1))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// status gives the value of one row of the page server's status.
func (s *site) status(name string) string {
	s.t.Helper()
	for line := range strings.Lines(s.ok("status")) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(rest)
		}
	}
	s.t.Fatalf("status has no %s", name)
	return ""
}

// procStatus gives a number of /proc/<pid>/status.
func procStatus(t *testing.T, pid int, name string) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == name+":" {
			n, err := strconv.Atoi(f[1])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("/proc/%d/status has no %s", pid, name)
	return 0
}

// openFiles counts a process's file descriptors.
func openFiles(t *testing.T, pid int) int {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// cpuTime gives the CPU time that a process has used.
func cpuTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	f := strings.Fields(rest)
	user, err1 := strconv.Atoi(f[11])
	system, err2 := strconv.Atoi(f[12])
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return time.Duration(user+system) * time.Second / 100 // USER_HZ
}
