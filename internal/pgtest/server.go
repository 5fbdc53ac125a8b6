package pgtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Options are Init's.
type Options struct {
	Installation Installation // whose initdb and postgres; zero: that of pg.Default

	InitArgs []string // for initdb, after what Init gives it: superuser postgres, trust, no locale
	Config   []string // lines for postgresql.conf, "name=value", after Init's own
}

// Server is one data directory and, between Start and Stop, the server on it.
type Server struct {
	Dir    string // the data directory
	Socket string // the directory of the unix socket; the port is always 5432

	in   Installation
	cmd  *exec.Cmd
	done chan struct{} // closed when the postmaster has ended
}

// ShutdownMode is a shutdown mode of pg_ctl: the signal to the postmaster that asks for it.
type ShutdownMode os.Signal

// The modes for Stop.
var (
	Fast      ShutdownMode = syscall.SIGINT  // roll back, checkpoint, stop
	Immediate ShutdownMode = syscall.SIGQUIT // a crash: no checkpoint
)

// startTimeout bounds how long Start and Stop wait. A start includes recovery.
const startTimeout = 2 * time.Minute

// Init makes a data directory by initdb, without data checksums unless InitArgs asks for them. Its configuration is for
// tests: no fsync, no autovacuum, no port.
func Init(tb testing.TB, o Options) *Server {
	tb.Helper()
	s := newServer(tb, o.Installation.orDefault(tb))
	args := append([]string{"-D", s.Dir, "-U", "postgres", "-A", "trust", "-N", "-E", "UTF8", "--no-locale"}, o.InitArgs...)
	if s.in.checksumsByDefault() && !slices.Contains(args, "--data-checksums") {
		args = append(args, "--no-data-checksums")
	}
	run(tb, s.in.Command(tb, "initdb", args...))
	s.Configure(tb, append([]string{
		"listen_addresses=''",
		"fsync=off",
		"autovacuum=off",
		"checkpoint_timeout=1d",
		"max_wal_size=10GB",
		"shared_buffers=32MB",
		"jit=off", // not every installation has its library
	}, o.Config...)...)
	return s
}

// newServer makes the directory in which the data directory will be, but not the data directory.
func newServer(tb testing.TB, in Installation) *Server {
	tb.Helper()
	dir := TempDir(tb)
	s := &Server{Dir: filepath.Join(dir, "data"), Socket: dir, in: in}
	tb.Cleanup(s.kill)
	return s
}

// Configure appends lines to postgresql.conf; the last line for a name counts.
func (s *Server) Configure(tb testing.TB, lines ...string) {
	tb.Helper()
	f, err := os.OpenFile(filepath.Join(s.Dir, "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		tb.Fatal(err)
	}
	_, err = f.WriteString(strings.Join(lines, "\n") + "\n")
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// Start starts the server and returns when it accepts connections.
func (s *Server) Start(tb testing.TB) {
	tb.Helper()
	if err := s.TryStart(tb); err != nil {
		tb.Fatalf("%v\n%s", err, s.Log(tb))
	}
}

// TryStart starts the server as Start does, and gives the error if it does not start.
func (s *Server) TryStart(tb testing.TB) error {
	tb.Helper()
	if s.cmd != nil {
		return fmt.Errorf("server in %s runs already", s.Dir)
	}
	log, err := os.OpenFile(s.logPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := s.in.Command(tb, "postgres", "-D", s.Dir, "-k", s.Socket)
	cmd.Stdout, cmd.Stderr = log, log
	dieWithUs(cmd)
	if err := cmd.Start(); err != nil {
		return err
	}
	s.cmd, s.done = cmd, make(chan struct{})
	go func(done chan struct{}) {
		defer close(done)
		cmd.Wait() //nolint:errcheck // the log says why it ended; Stop and waitReady only need that it did
	}(s.done)
	return s.waitReady()
}

// waitReady waits until the postmaster's pid file says that the server is ready.
func (s *Server) waitReady() error {
	deadline := time.Now().Add(startTimeout)
	for time.Now().Before(deadline) {
		select {
		case <-s.done:
			s.cmd = nil
			return fmt.Errorf("server in %s did not start", s.Dir)
		case <-time.After(10 * time.Millisecond):
		}
		pid, err := os.ReadFile(filepath.Join(s.Dir, "postmaster.pid"))
		if lines := strings.Split(string(pid), "\n"); err == nil && len(lines) > 7 && strings.TrimSpace(lines[7]) == "ready" {
			return nil
		}
	}
	return fmt.Errorf("server in %s is not ready after %v", s.Dir, startTimeout)
}

// Stop stops the server and returns when its postmaster has ended.
func (s *Server) Stop(tb testing.TB, mode ShutdownMode) {
	tb.Helper()
	if s.cmd == nil {
		tb.Fatalf("server in %s does not run", s.Dir)
	}
	if err := s.cmd.Process.Signal(mode); err != nil {
		tb.Fatal(err)
	}
	select {
	case <-s.done:
	case <-time.After(startTimeout):
		tb.Fatalf("server in %s does not stop\n%s", s.Dir, s.Log(tb))
	}
	s.cmd = nil
}

// kill ends a server that the test left running.
func (s *Server) kill() {
	if s.cmd == nil {
		return
	}
	if err := s.cmd.Process.Signal(Immediate); err == nil {
		<-s.done
	}
	s.cmd = nil
}

// Pid is the postmaster's process id.
func (s *Server) Pid() int { return s.cmd.Process.Pid }

func (s *Server) logPath() string { return filepath.Join(s.Socket, "log") }

// Log is what the server has logged.
func (s *Server) Log(tb testing.TB) string {
	tb.Helper()
	b, err := os.ReadFile(s.logPath())
	if err != nil {
		tb.Fatal(err)
	}
	return string(b)
}

// Copy makes a cold copy of the stopped server's data directory.
func (s *Server) Copy(tb testing.TB) *Server {
	tb.Helper()
	if s.cmd != nil {
		tb.Fatalf("copy of %s, where a server runs", s.Dir)
	}
	c := newServer(tb, s.in)
	if out, err := exec.Command("cp", "-a", "--", s.Dir, c.Dir).CombinedOutput(); err != nil {
		tb.Fatalf("copy %s: %v\n%s", s.Dir, err, out)
	}
	return c
}

// Remove deletes the stopped server's data directory before the end of the test, for tests that make many
// servers.
func (s *Server) Remove(tb testing.TB) {
	tb.Helper()
	if s.cmd != nil {
		tb.Fatalf("remove %s, where a server runs", s.Dir)
	}
	if err := os.RemoveAll(s.Dir); err != nil {
		tb.Fatal(err)
	}
}
