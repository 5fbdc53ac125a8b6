package fusefs_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"zenith/fusefs"
	"zenith/internal/pg"
	"zenith/internal/pgtest"
	"zenith/internal/privileged"
	"zenith/internal/tree"
)

// A process must not use a file system that it serves itself. So mounts are made by
// a child process, this test binary again, that is told what to mount in JSON.

const childEnv = "ZENITH_FUSEFS_TEST_MOUNT"

// spec is what a child mounts.
type spec struct {
	Kind        string // "ro", "all" or "work"
	Dir         string
	Disk        string            // the directory that is the base
	Mem         map[string]string // or the base's contents
	State       string            // WorkOptions.Dir
	WALDir      string
	Scratch     bool
	NoWriteback bool
	Bind        bool
	UID, GID    uint32
	ConfDir     string // where PutFile stores files
	Clean       bool   // call CleanStale first
	StopFails   bool   // the branch's Stopped gives an error
}

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		os.Exit(childMain())
	}
	os.Exit(m.Run())
}

// childMain mounts what the first line of stdin describes, and does what the other lines command.
func childMain() int {
	in := bufio.NewReader(os.Stdin)
	text, err := in.ReadBytes('\n')
	var s spec
	if err = errors.Join(err, json.Unmarshal(text, &s)); err != nil {
		fmt.Println("error", err)
		return 1
	}
	source := &fakeSource{}
	mnt, err := s.mount(source)
	if err != nil {
		fmt.Println("error", strings.ReplaceAll(err.Error(), "\n", " "))
		return 1
	}
	fmt.Println("ready")
	go func() {
		err := mnt.Wait()
		fmt.Println("ended", err)
	}()
	for commands := bufio.NewScanner(in); commands.Scan(); {
		switch commands.Text() {
		case "unmount":
			answer(mnt.Unmount())
		case "lazy":
			answer(mnt.UnmountLazy())
		case "calls":
			fmt.Println("calls", calls.lookups.Load(), calls.readDirs.Load(), calls.reads.Load(), source.released.Load())
		}
	}
	select {
	case <-mnt.Done():
	default:
		if err := mnt.UnmountLazy(); err != nil {
			fmt.Println("error", err)
			return 1
		}
		<-mnt.Done()
	}
	return 0
}

func answer(err error) {
	switch {
	case err == nil:
		fmt.Println("ok")
	case errors.Is(err, fusefs.ErrBusy):
		fmt.Println("busy", err)
	default:
		fmt.Println("error", err)
	}
}

func (s spec) mount(source fusefs.Source) (*fusefs.Mount, error) {
	if s.Clean {
		if cleaned, err := new(privileged.InProcess).CleanStale(s.Dir); err != nil || !cleaned {
			return nil, fmt.Errorf("CleanStale: %v, %w", cleaned, err)
		}
	}
	opts := fusefs.Options{
		UID: s.UID, GID: s.GID,
		Log: slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	var base tree.Tree = memTree(s.Mem)
	if s.Disk != "" {
		base = osTree(s.Disk)
	}
	switch s.Kind {
	case "ro":
		return fusefs.ReadOnly(s.Dir, base, opts)
	case "all":
		return fusefs.All(s.Dir, source, opts)
	}
	work := fusefs.WorkOptions{Dir: s.State, BindWAL: s.Bind, NoWriteback: s.NoWriteback}
	if s.Scratch {
		return fusefs.Scratch(s.Dir, base, work, opts)
	}
	return fusefs.Work(s.Dir, base, &sayingBranch{spec: s}, work, opts)
}

// sayingBranch is a Branch that prints what it is told.
type sayingBranch struct {
	spec
	held func(segment string) bool
}

func (b *sayingBranch) Version() *pg.Version                   { return pg.V15 }
func (b *sayingBranch) WALDir() string                         { return b.spec.WALDir }
func (b *sayingBranch) HoldWAL(held func(segment string) bool) { b.held = held }
func (b *sayingBranch) Throttle(context.Context)               {}
func (b *sayingBranch) SegmentSynced(segment string, _ int64)  { sayOnce("synced", segment) }

func (b *sayingBranch) Stopped(context.Context, pg.LSN, fusefs.WrittenPages) (*pg.CheckPoint, error) {
	if b.StopFails {
		return nil, errors.New("stop fails")
	}
	return nil, nil
}

func (b *sayingBranch) PlainWAL(segment string) error {
	fmt.Println("plain", segment, b.held(segment))
	return nil
}

var said sync.Map

// sayOnce prints a line that comes thousands of times once.
func sayOnce(words ...any) {
	if _, again := said.LoadOrStore(fmt.Sprint(words...), true); !again {
		fmt.Println(words...)
	}
}

// PutFile prints what is stored, and stores it in ConfDir.
func (b *sayingBranch) PutFile(_ context.Context, path string, content []byte) error {
	stored := filepath.Join(b.ConfDir, path)
	if content == nil {
		fmt.Println("gone", path)
		return os.Remove(stored)
	}
	fmt.Printf("put %s %q\n", path, content[:min(len(content), 40)])
	if err := os.MkdirAll(filepath.Dir(stored), 0o700); err != nil {
		return err
	}
	return os.WriteFile(stored, content, 0o600)
}

// mounted is a mount in a child process.
type mounted struct {
	dir   string
	cmd   *exec.Cmd
	in    io.WriteCloser
	exit  chan struct{}
	lines chan string // answers
	ended bool

	mu  sync.Mutex
	log []string // the lines that are no answers
}

// startMount mounts what s describes, at a new directory if it names none, until the end of the
// test.
func startMount(t *testing.T, s spec, env ...string) *mounted {
	t.Helper()
	m, err := tryMount(t, s, env...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func tryMount(t *testing.T, s spec, env ...string) (*mounted, error) {
	t.Helper()
	if s.Dir == "" {
		s.Dir = pgtest.TempDir(t)
	}
	if s.UID == 0 {
		uid, gid := pgtest.Owner(t)
		s.UID, s.GID = uint32(uid), uint32(gid)
	}
	return serveChild(t, s, childCommand(os.Args[0], env...))
}

func childCommand(binary string, env ...string) *exec.Cmd {
	cmd := exec.Command(binary)
	cmd.Env = append(append(os.Environ(), childEnv+"=1"), env...)
	cmd.Stderr = os.Stderr
	return cmd
}

// startMountAs mounts by another user's process.
func startMountAs(t *testing.T, binary string, s spec, uid, gid uint32) *mounted {
	t.Helper()
	s.UID, s.GID = uid, gid
	cmd := childCommand(binary)
	cmd.Dir = s.State
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid}}
	m, err := serveChild(t, s, cmd)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// serveChild starts a child and waits until it has mounted.
func serveChild(t *testing.T, s spec, cmd *exec.Cmd) (*mounted, error) {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	m := &mounted{dir: s.Dir, cmd: cmd, in: in, exit: make(chan struct{}), lines: make(chan string, 16)}
	go m.listen(out)
	if _, err := fmt.Fprintf(in, "%s\n", text); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.end(t) })
	if line := m.answer(t); line != "ready" {
		return nil, errors.New(line)
	}
	return m, nil
}

// listen sorts the lines that the child prints into answers and the rest.
func (m *mounted) listen(out io.Reader) {
	defer close(m.exit)
	defer close(m.lines)
	scan := bufio.NewScanner(out)
	for scan.Scan() {
		switch word, _, _ := strings.Cut(scan.Text(), " "); word {
		case "ready", "error", "ok", "busy", "calls":
			m.lines <- scan.Text()
		default:
			m.mu.Lock()
			m.log = append(m.log, scan.Text())
			m.mu.Unlock()
		}
	}
}

// patience is how long a test waits for what must come, on a machine that is busy with other things.
const patience = 3 * time.Minute

func (m *mounted) answer(t *testing.T) string {
	t.Helper()
	select {
	case line := <-m.lines:
		return line
	case <-time.After(patience):
		t.Fatal("the mounting process does not answer")
		return ""
	}
}

// ask gives the child a command and returns its answer.
func (m *mounted) ask(t *testing.T, command string) string {
	t.Helper()
	if _, err := fmt.Fprintln(m.in, command); err != nil {
		t.Fatal(err)
	}
	return m.answer(t)
}

// unmount unmounts, and fails the test if that fails.
func (m *mounted) unmount(t *testing.T) {
	t.Helper()
	if line := m.ask(t, "unmount"); line != "ok" {
		t.Fatalf("unmount: %s", line)
	}
}

// said gives the lines with text in them that the child has printed.
func (m *mounted) said(text string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []string
	for _, l := range m.log {
		if strings.Contains(l, text) {
			found = append(found, l)
		}
	}
	return found
}

// eventually waits until the child has printed a line with text in it.
func (m *mounted) eventually(t *testing.T, text string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for len(m.said(text)) == 0 {
		if time.Now().After(deadline) {
			t.Fatalf("the mounting process never said %q, but:\n%s", text, strings.Join(m.said(""), "\n"))
		}
		time.Sleep(time.Millisecond)
	}
}

// end ends the child, and its mount with it.
func (m *mounted) end(t *testing.T) {
	if m.ended {
		return
	}
	m.ended = true
	m.in.Close()
	select {
	case <-m.exit:
	case <-time.After(patience):
		t.Errorf("the mount at %s does not end", m.dir)
		if err := m.cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
	}
	if err := m.cmd.Wait(); err != nil && m.cmd.ProcessState.ExitCode() > 1 {
		t.Errorf("the mounting process: %v", err)
	}
	if _, err := new(privileged.InProcess).CleanStale(m.dir); err != nil {
		t.Error(err)
	}
	if t.Failed() {
		t.Logf("the mounting process said:\n%s", strings.Join(m.said(""), "\n"))
	}
}

// kill kills the child, so that it cannot unmount.
func (m *mounted) kill(t *testing.T) {
	t.Helper()
	if err := m.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-m.exit
}

// waitFor waits for something to become true.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
