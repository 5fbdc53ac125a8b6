package postgres

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"zenith/internal/api"
	"zenith/internal/pg"
	"zenith/internal/pgtest/fakepg"
	"zenith/internal/privileged"
)

// sleeper starts a process that does nothing, in dir. It ends with the test.
func sleeper(t *testing.T, program, dir string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(program, "1000000")
	cmd.Dir = dir
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
	})
	return cmd
}

func findSleep(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestProcessStart(t *testing.T) {
	if privileged.StartOf(os.Getpid()) == "" || privileged.StartOf(os.Getpid()) == privileged.StartOf(1) {
		t.Errorf("this process began at %q, process 1 at %q", privileged.StartOf(os.Getpid()), privileged.StartOf(1))
	}
	cmd := sleeper(t, findSleep(t), "/")
	pid := cmd.Process.Pid
	if privileged.StartOf(pid) == "" {
		t.Error("a process that lives has no start time")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "a zombie has ended", func() bool { return privileged.StartOf(pid) == "" })
}

// TestLeftover: the process that a pid file names is ended, no other of the same number.
func TestLeftover(t *testing.T) {
	dir := t.TempDir()
	if err := EndLeftover(own, dir); err != nil || WasLost(dir) {
		t.Errorf("no pid file: %v, lost %v", err, WasLost(dir))
	}
	cmd := sleeper(t, findSleep(t), "/")
	pid := cmd.Process.Pid
	for _, text := range []string{
		fmt.Sprintf("%d %s0\n", pid, privileged.StartOf(pid)), // the number was used again since
		fmt.Sprintf("%d \n", pid),                             // had ended when the file was written
		"", "x y\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, pidFile), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := EndLeftover(own, dir); err != nil || !WasLost(dir) || privileged.StartOf(pid) == "" {
			t.Errorf("pid file %q: %v, lost %v, process began at %q", text, err, WasLost(dir), privileged.StartOf(pid))
		}
	}
	if err := WritePIDFile(dir, pid); err != nil || WasLost(dir) {
		t.Errorf("started: %v, lost %v", err, WasLost(dir))
	}
	if err := EndLeftover(own, dir); err != nil || !WasLost(dir) || privileged.StartOf(pid) != "" {
		t.Errorf("ended: %v, lost %v, process began at %q", err, WasLost(dir), privileged.StartOf(pid))
	}
	if err := RemovePIDFile(dir); err != nil || WasLost(dir) {
		t.Errorf("stopped: %v, lost %v", err, WasLost(dir))
	}
	if err := RemovePIDFile(dir); err != nil {
		t.Errorf("stopped again: %v", err)
	}
}

// TestOrphans: of the processes in a data directory those are ended that are postgres.
func TestOrphans(t *testing.T) {
	real := t.TempDir()
	dir := filepath.Join(t.TempDir(), "link", "data")
	if err := os.Symlink(real, filepath.Dir(dir)); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	child := filepath.Join(t.TempDir(), "postgres")
	program, err := os.ReadFile(findSleep(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(child, program, 0o755); err != nil {
		t.Fatal(err)
	}
	shell, orphan, elsewhere := sleeper(t, findSleep(t), dir), sleeper(t, child, dir), sleeper(t, child, "/")
	waitFor(t, "both are in the directory", func() bool { return len(livingIn(own, dir)) == 2 })
	EndOrphans(own, dir)
	if privileged.StartOf(orphan.Process.Pid) != "" {
		t.Error("a postgres is left in the directory")
	}
	if privileged.StartOf(shell.Process.Pid) == "" || privileged.StartOf(elsewhere.Process.Pid) == "" {
		t.Error("a process was ended that is no postgres, or is elsewhere")
	}
}

// TestDieWithParent: a server ends with the process that started it, however that ends.
func TestDieWithParent(t *testing.T) {
	const variable = "POSTGRES_TEST_PARENT"
	if dir := os.Getenv(variable); dir != "" {
		port, err := FreePort()
		if err != nil {
			t.Fatal(err)
		}
		s, err := Start(t.Context(), Distrib{Version: pg.V15, Dir: dir}, testAccount(t), Launch{
			DataDir: filepath.Join(dir, "data"), LogPath: filepath.Join(dir, "log"), Port: port, DieWithParent: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("server %d\n", s.PID())
		select {}
	}
	dir := fakepg.Installation(t)
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := testAccount(t).Own(data); err != nil {
		t.Fatal(err)
	}
	parent := exec.Command(os.Args[0], "-test.run=TestDieWithParent$")
	parent.Env = append(os.Environ(), variable+"="+dir)
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	defer parent.Wait() //nolint:errcheck // it is killed
	defer parent.Process.Kill()
	line, err := bufio.NewReader(out).ReadString('\n')
	text, ok := strings.CutPrefix(strings.TrimSpace(line), "server ")
	pid, perr := strconv.Atoi(text)
	if err != nil || perr != nil || !ok {
		t.Fatalf("the parent says %q, %v", line, err)
	}
	start := privileged.StartOf(pid)
	if start == "" {
		t.Fatal("the server does not run")
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the server ends", func() bool { return privileged.StartOf(pid) != start })
}

func TestSettings(t *testing.T) {
	for value, allowed := range map[string]bool{"host=a user=b": true, "host=a passfile=/x": true, "host=a password=b": false, "postgresql://a:b@c/": false} {
		_, err := MergeSettings(nil, api.ComputeOptions{Settings: []api.Setting{{Name: "Primary_ConnInfo", Value: value}}})
		if (err == nil) != allowed {
			t.Errorf("%s: %v", value, err)
		}
	}
	for _, name := range []string{"hba_file", "Ident_File"} {
		if _, err := MergeSettings(nil, api.ComputeOptions{Settings: []api.Setting{{Name: name, Value: "/x"}}}); !errors.Is(err, api.ErrNotAllowed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	got := UserSettings(map[string]string{"b": "2", "a": "1", "c": ""})
	if want := []api.Setting{{Name: "a", Value: "1"}, {Name: "b", Value: "2"}, {Name: "c"}}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	dir, as := t.TempDir(), Account{UID: os.Geteuid(), GID: os.Getegid()}
	sockets := SocketDir(dir)
	if err := as.MakeSocketDir(dir); err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(sockets); err != nil || fi.Mode().Perm() != 0o700 {
		t.Fatalf("the directory of sockets of this process's own account lets others in: %v, %v", fi, err)
	}
	for _, name := range []string{".s.PGSQL.5432", ".s.PGSQL.5432.lock", "postgres.log"} {
		if err := os.WriteFile(filepath.Join(sockets, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := as.MakeSocketDir(dir); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(sockets); err != nil || len(left) != 1 || left[0].Name() != "postgres.log" {
		t.Errorf("%v are left, %v", left, err)
	}
}

func TestPorts(t *testing.T) {
	s := mustStart(t, fakeLaunch(t))
	if err := CheckPort(s.port); err == nil {
		t.Error("a port that a server listens on is free")
	}
	if err := syscall.Kill(s.PID(), syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "its port is free when it has gone", func() bool { return CheckPort(s.port) == nil })
}

// own is the Helper of tests: this process.
var own = &privileged.InProcess{}
