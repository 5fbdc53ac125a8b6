package main

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"zenith/internal/pgtest"
)

// TestMain makes the test binary behave as zenith if it is called by that name: the scripts do so, and
// `zenith start`, which runs its own binary again. Two more names are zenith with a page server that dies
// at SIGUSR1.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"zenith":        main,
		"zenith-panics": func() { breakServer(func() { panic("provoked") }); main() },
		"zenith-dies":   func() { breakServer(func() { new(sync.Mutex).Unlock() }); main() }, // a fatal error, which no recover catches
	})
}

// breakServer makes the page server call fatal at SIGUSR1. The process that starts the page server is spared.
func breakServer(fatal func()) {
	if !slices.Contains(os.Args, "--foreground") {
		return
	}
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGUSR1)
	go func() {
		<-c
		fatal()
	}()
}

// TestScripts runs the sessions of testdata, with a real postgres and real mounts.
func TestScripts(t *testing.T) {
	if testing.Short() {
		t.Skip("needs postgres and /dev/fuse")
	}
	bin := pgtest.BinDir(t)
	// Not t.TempDir: if this test is root's, postgres runs as another user, who must be able to go there.
	root, err := os.MkdirTemp("", "zs")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(root); err != nil {
			t.Errorf("something is left mounted: %v", err)
		}
	})
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		WorkdirRoot:         root,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "line": line},
		Setup: func(env *testscript.Env) error {
			env.Setenv("PGBIN", bin)
			env.Setenv("HOME", env.WorkDir)
			env.Defer(func() { // stop the page server that a failed script left running
				cmd := exec.Command(self(t), "-D", env.WorkDir+"/.zenith", "stop")
				cmd.Args[0] = "zenith"
				if out, err := cmd.CombinedOutput(); err == nil {
					t.Logf("the script left a page server: %s", out)
				}
			})
			return nil
		},
	})
}

// self gives the path of the test binary, which behaves as zenith if it is called by that name.
func self(t *testing.T) string {
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// exits is a command of the scripts. `exits 13 zenith lsn nowhere` runs the command behind the number,
// which must end with that exit status and print one line to stderr.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS COMMAND...")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit status %d, want %s", got, args[0])
	}
	if stderr := ts.ReadFile("stderr"); got != 0 && (strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "zenith: ")) {
		ts.Fatalf("want one line on stderr, got %q", stderr)
	}
}

// line is a command of the scripts. `line URL -1` puts the last line of the last command's standard output
// into the variable URL.
func line(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: line VARIABLE NUMBER (from 1, or from the end: -1)")
	}
	lines := strings.Split(strings.TrimRight(ts.ReadFile("stdout"), "\n"), "\n")
	n, err := strconv.Atoi(args[1])
	if n < 0 {
		n += len(lines) + 1
	}
	if err != nil || n < 1 || n > len(lines) {
		ts.Fatalf("there is no line %s in %q", args[1], lines)
	}
	ts.Setenv(args[0], lines[n-1])
}
