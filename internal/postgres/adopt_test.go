package postgres

import (
	"context"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"zenith/internal/pgtest/fakepg"
)

// startElsewhere starts a server that is not ours, though it is our child: it stands for one that pg_ctl
// has started.
func startElsewhere(t *testing.T, l Launch) int {
	t.Helper()
	cmd := exec.Command(filepath.Join(fakepg.Installation(t), "bin", "postgres"), "-D", l.DataDir, "-p", strconv.Itoa(l.Port))
	testAccount(t).prepare(cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	reaped := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ends is what the test is about
		close(reaped)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		<-reaped
	})
	waitFor(t, "the server is ready", func() bool {
		text, err := pidFileIn(l.DataDir)()
		return err == nil && saysReady(text, cmd.Process.Pid)
	})
	return cmd.Process.Pid
}

// TestAdopt: a server that somebody else has started can be watched and stopped like one of ours.
func TestAdopt(t *testing.T) {
	for name, end := range map[string]struct {
		end     func(*Server) error
		crashed bool
	}{
		"stopped by us":   {func(s *Server) error { return s.Stop(context.Background(), "fast") }, false},
		"stopped by them": {func(s *Server) error { return syscall.Kill(s.PID(), syscall.SIGINT) }, false},
		"killed by us":    {func(s *Server) error { s.Kill(); return nil }, false}, // SIGQUIT, after which it removes its pid file
		"killed by them":  {func(s *Server) error { return syscall.Kill(s.PID(), syscall.SIGKILL) }, true},
	} {
		l := fakeLaunch(t)
		l.ReadPIDFile = pidFileIn(l.DataDir)
		started := startElsewhere(t, l)
		text, err := l.ReadPIDFile()
		if err != nil {
			t.Fatal(err)
		}
		pid, ok := FindPostmaster(own, text, l.DataDir)
		if !ok || pid != started {
			t.Fatalf("%s: found %d, %v; want %d", name, pid, ok, started)
		}
		if _, ok := FindPostmaster(own, text, t.TempDir()); ok {
			t.Errorf("%s: found in another directory", name)
		}
		s, err := Adopt(pid, l)
		if err != nil {
			t.Fatal(err)
		}
		if !s.Running() || s.Crashed() || s.PID() != started {
			t.Errorf("%s: adopted: running %v, crashed %v", name, s.Running(), s.Crashed())
		}
		if err := end.end(s); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		<-s.Done()
		if s.Crashed() != end.crashed {
			t.Errorf("%s: crashed %v, want %v", name, s.Crashed(), end.crashed)
		}
		if err := s.Stop(t.Context(), "fast"); err != nil {
			t.Errorf("%s: stop after its end: %v", name, err)
		}
		if _, ok := FindPostmaster(own, text, l.DataDir); ok {
			t.Errorf("%s: found after its end", name)
		}
	}
}

// TestAwaitEnd: it waits for the processes of a server, and kills them when they take too long.
func TestAwaitEnd(t *testing.T) {
	l := fakeLaunch(t)
	s := mustStart(t, l)
	waited := make(chan struct{})
	go func() {
		AwaitEnd(context.Background(), own, l.DataDir, time.Hour)
		close(waited)
	}()
	select {
	case <-waited:
		t.Fatal("it did not wait")
	case <-time.After(20 * time.Millisecond): // a wrong implementation fails here now and then only
	}
	if err := s.Stop(t.Context(), "fast"); err != nil {
		t.Error(err)
	}
	<-waited
	s = mustStart(t, l)
	AwaitEnd(t.Context(), own, l.DataDir, 0)
	waitFor(t, "the server was killed", s.Crashed)
}
