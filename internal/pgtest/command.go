package pgtest

import (
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// Owner gives the ids of the account that PostgreSQL's programs run as: that of user postgres if the test
// is run by root, else the test's own.
func Owner(tb testing.TB) (uid, gid int) {
	tb.Helper()
	if os.Geteuid() != 0 {
		return os.Geteuid(), os.Getegid()
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		tb.Fatalf("PostgreSQL does not run as root, and: %v", err)
	}
	uid, errUID := strconv.Atoi(u.Uid)
	gid, errGID := strconv.Atoi(u.Gid)
	if errUID != nil || errGID != nil {
		tb.Fatalf("user postgres has uid %q and gid %q", u.Uid, u.Gid)
	}
	return uid, gid
}

// TempDir makes a directory that belongs to Owner and is removed at the end of the test. Its path is short,
// because the path of a unix socket in it may not have more than 107 bytes.
func TempDir(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "pgtest")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			tb.Errorf("remove the test's directory: %v", err)
		}
	})
	uid, gid := Owner(tb)
	if err := os.Chown(dir, uid, gid); err != nil {
		tb.Fatal(err)
	}
	return dir
}

// Command makes a command of one of the default installation's programs, see Installation.Command.
func Command(tb testing.TB, name string, args ...string) *exec.Cmd {
	tb.Helper()
	return Default(tb).Command(tb, name, args...)
}

// Command makes a command of one of PostgreSQL's programs, see Program, which will run as Owner. Its
// environment has no PG* variable and no locale.
func (in Installation) Command(tb testing.TB, name string, args ...string) *exec.Cmd {
	tb.Helper()
	cmd := exec.Command(in.orDefault(tb).Program(name), args...)
	cmd.Dir = os.TempDir()
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "PG") && !strings.HasPrefix(v, "LC_") && !strings.HasPrefix(v, "LANG") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, "LC_ALL=C", "TZ=UTC")
	if os.Geteuid() == 0 {
		uid, gid := Owner(tb)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
	return cmd
}

// run runs a command and gives what it prints to stdout. If the command fails, so does the test.
func run(tb testing.TB, cmd *exec.Cmd) string {
	tb.Helper()
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		tb.Fatalf("%s: %v\n%s%s", strings.Join(cmd.Args, " "), err, stdout.String(), stderr.String())
	}
	return stdout.String()
}
