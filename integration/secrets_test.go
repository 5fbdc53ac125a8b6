package integration

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const secret = "canary-password"

// TestPasswordsAreToldToNobody gives the page server passwords in every way, right and wrong, and looks for them in
// all that it and the command line say and write.
func TestPasswordsAreToldToNobody(t *testing.T) {
	t.Parallel()
	srv, conninfo := native(t, nil, "password_encryption=scram-sha-256")
	srv.Start(t)
	srv.Psql(t, "CREATE ROLE repl LOGIN REPLICATION PASSWORD '"+secret+"'")
	if err := os.WriteFile(filepath.Join(srv.Dir, "pg_hba.conf"), []byte("local all postgres trust\nlocal replication repl scram-sha-256\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	srv.Psql(t, "SELECT pg_reload_conf()")
	conninfo = strings.Replace(conninfo, "postgres", "repl", 1)
	home := t.TempDir()
	passfile, onlyPassword := filepath.Join(home, ".pgpass"), filepath.Join(home, "password")
	for path, text := range map[string]string{passfile: "localhost:*:replication:repl:" + secret + "\n", onlyPassword: secret + "\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	s := emptySite(t)
	var said strings.Builder
	zenith := func(env []string, args ...string) result {
		t.Helper()
		cmd := exec.Command(binary, append([]string{"-D", s.work}, args...)...)
		cmd.Env = append(os.Environ(), env...)
		r := s.runCmd(cmd)
		said.WriteString(r.out + r.err)
		return r
	}
	must := func(env []string, args ...string) {
		t.Helper()
		if r := zenith(env, args...); r.code != 0 {
			t.Fatalf("%v %v: exit %d: %s", env, args, r.code, r.err)
		}
	}
	must(nil, "init", "--pg-distrib", pgDistrib, "--from-server", conninfo, "--password-file", onlyPassword)
	must([]string{"PGPASSWORD=" + secret}, "start") // the daemon must not keep it
	streams := func(way string) {
		t.Helper()
		eventually(t, "the stream, with the password from "+way, func() bool { return s.receiver().Status == "streaming" })
	}
	streams("a file")
	must([]string{"PGPASSWORD=" + secret}, "receive", "set", "main", conninfo)
	streams("the environment")
	must([]string{"HOME=" + home}, "receive", "set", "main", conninfo)
	streams("~/.pgpass")
	must(nil, "receive", "set", "main", conninfo+" password='"+secret+"'")
	streams("the string")

	must(nil, "branch", "dev", "main")
	for _, bad := range []string{
		"password=" + secret + " host", "password='" + secret, conninfo + " password=" + secret + "-wrong", "host=/nowhere user=x password=" + secret,
		"host=h port=no password=" + secret, "host=h unknown=x password=" + secret, "postgresql://u:" + secret + "@h:x/", "postgresql://u:" + secret + "%zz@h/",
		"host=127.0.0.1 port=1 sslmode=nonsense password=" + secret, "host=127.0.0.1 port=1 user=x password=" + secret,
	} {
		for _, args := range [][]string{{"receive", "start", "dev", bad}, {"receive", "set", "main", bad}, {"remote", "add", "bad", bad}, {"init", "--from-server", bad}} {
			zenith([]string{"HOME=" + home}, args...)
		}
		zenith(nil, "remote", "remove", "bad")
		for _, command := range []string{"callmemaybe %s dev %s", "receive_set %s main %s", "push %s main %s"} {
			command = fmt.Sprintf(command, strings.TrimSpace(s.ok("tenant", "list")), "'"+strings.ReplaceAll(bad, "'", "''")+"'")
			r := s.runCmd(exec.Command(program("psql"), s.address(), "-Xc", command))
			said.WriteString(errorsOnly(r))
		}
	}
	zenith(nil, "remote", "add", "far", "host=127.0.0.1 port=1 password="+secret)
	for _, args := range [][]string{{"remote", "list"}, {"remote", "list", "-o", "json"}, {"push", "main", "far"}, {"receive", "list"}, {"receive", "list", "-o", "json"}, {"status"}} {
		zenith(nil, args...)
	}
	said.WriteString(processes(t))
	s.ok("restart")
	streams("what is kept")
	zenith(nil, "status")
	for line := range strings.Lines(said.String()) {
		if strings.Contains(line, secret) {
			t.Errorf("somebody is told: %s", line)
		}
	}
	s.onlyFilesFor(t, secret)
}

// errorsOnly gives what a server said, without the LINE and the caret with which psql shows the user's own words.
func errorsOnly(r result) string {
	var kept []string
	for line := range strings.Lines(r.out + r.err) {
		if !strings.HasPrefix(line, "LINE ") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}

// processes gives the command lines and environments of all processes that are not the test's own.
func processes(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if text, err := os.ReadFile(f); err == nil && strings.Contains(string(text), "zenith") {
			env, _ := os.ReadFile(filepath.Join(filepath.Dir(f), "environ"))
			b.WriteString(strings.ReplaceAll(string(text)+string(env), "\x00", "\n") + "\n")
		}
	}
	return b.String()
}

// forAccountOf reports whether nobody may read a file but its owner, or the page server's account, to whose group root gives
// its settings; dir is the work directory.
func forAccountOf(fi, dir fs.FileInfo) bool {
	file, work := fi.Sys().(*syscall.Stat_t), dir.Sys().(*syscall.Stat_t)
	return fi.Mode().Perm()&0o077 == 0 || fi.Mode().Perm()&0o037 == 0 && file.Uid == 0 && file.Gid == work.Gid
}

// onlyFilesFor sees that a secret is in no file of the work directory, or beside it, that others than its owner may read,
// and in no log.
func (s *site) onlyFilesFor(t *testing.T, secret string) {
	t.Helper()
	dir, err := os.Stat(s.work)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	err = filepath.WalkDir(s.work, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(text), secret) {
			return err
		}
		found++
		fi, err := e.Info()
		if err == nil && (!forAccountOf(fi, dir) || strings.HasSuffix(path, ".log")) {
			t.Errorf("%s, mode %v, has the password", path, fi.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if found == 0 {
		t.Error("the password is kept nowhere: how does the receiver go on after a restart?")
	}
}
