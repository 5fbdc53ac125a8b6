package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"zenith/internal/api"
	"zenith/internal/pg"
	"zenith/internal/pgtest/fakepg"
)

func TestMain(m *testing.M) {
	fakepg.Main()
	os.Exit(m.Run())
}

// testAccount is an account that every machine has.
func testAccount(t *testing.T) Account {
	t.Helper()
	as, err := LookupAccount(nil, "nobody")
	if err != nil {
		t.Fatal(err)
	}
	return as
}

// testDir makes a directory that the account of tests owns and can reach.
func testDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "postgres")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := errors.Join(os.Chmod(dir, 0o755), testAccount(t).Own(dir)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// waitFor waits until cond holds.
func waitFor(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !cond(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("in vain: %s", what)
		}
	}
}

// fakeLaunch is a launch of the fake postgres in a directory of its own.
func fakeLaunch(t *testing.T, settings ...api.Setting) Launch {
	t.Helper()
	dir := testDir(t)
	data := filepath.Join(dir, "data")
	port, err := FreePort()
	if err = errors.Join(err, os.Mkdir(data, 0o700), testAccount(t).Own(data)); err != nil {
		t.Fatal(err)
	}
	return Launch{DataDir: data, LogPath: filepath.Join(dir, "log"), Port: port, Settings: settings}
}

// mustStart starts a server that ends with the test.
func mustStart(t *testing.T, l Launch) *Server {
	t.Helper()
	s, err := Start(t.Context(), Distrib{Version: pg.V15, Dir: fakepg.Installation(t)}, testAccount(t), l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	return s
}

func readLog(t *testing.T, l Launch) string {
	t.Helper()
	b, err := os.ReadFile(l.LogPath)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// hasPIDFile reports whether a postmaster is there, or one that did not end well was.
func hasPIDFile(l Launch) bool {
	_, err := os.Stat(filepath.Join(l.DataDir, "postmaster.pid"))
	return err == nil
}

func TestStartAndStop(t *testing.T) {
	t.Setenv("TZ", "Asia/Tokyo")
	t.Setenv("PGOPTIONS", "-c work_mem=1")
	for _, mode := range []string{"", "fast", "smart", "immediate"} {
		l := fakeLaunch(t, api.Setting{Name: "work_mem", Value: "5 MB"}, api.Setting{Name: "a", Value: "b"})
		s := mustStart(t, l)
		if !s.Running() || s.Crashed() || syscall.Kill(s.PID(), 0) != nil {
			t.Errorf("%q: a server that was started: running %v, crashed %v", mode, s.Running(), s.Crashed())
		}
		log := readLog(t, l)
		for _, want := range []string{
			fmt.Sprintf(`["-D" %q "-p" "%d" "-c" "work_mem=5 MB" "-c" "a=b"]`, l.DataDir, l.Port),
			`["PATH=/usr/bin:/bin" "LANG=C.UTF-8" "TZ=Asia/Tokyo"]`,
		} {
			if !strings.Contains(log, want) {
				t.Errorf("%q: the log lacks %s:\n%s", mode, want, log)
			}
		}
		if err := s.Stop(t.Context(), "slow"); !errors.Is(err, api.ErrBadArgument) || !s.Running() {
			t.Errorf("stop mode slow: %v, running %v", err, s.Running())
		}
		if err := s.Stop(t.Context(), mode); err != nil {
			t.Errorf("stop %q: %v", mode, err)
		}
		if s.Running() || s.Crashed() || hasPIDFile(l) {
			t.Errorf("%q: a server that was stopped: running %v, crashed %v, pid file %v", mode, s.Running(), s.Crashed(), hasPIDFile(l))
		}
		if err := s.Stop(t.Context(), mode); err != nil {
			t.Errorf("stop %q again: %v", mode, err)
		}
	}
}

// TestStartFails: the error says why, and no process is left.
func TestStartFails(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	ended, end := context.WithCancel(t.Context())
	end()
	for _, c := range []struct {
		name, start string
		change      func(*Launch)
		ctx         context.Context
		want        string
		is          error
	}{
		{name: "fatal", start: `fatal:could not map shared memory`, want: "postgres did not start: could not map shared memory"},
		{name: "silent", start: "silent", want: "environment is"}, // its last lines
		{name: "hang", start: "hang", change: func(l *Launch) { l.Timeouts.Start = 50 * time.Millisecond }, want: "after 50ms", is: api.ErrTimeout},
		{name: "cancelled", start: "hang", ctx: ended, want: "context canceled", is: context.Canceled},
		{name: "no log", change: func(l *Launch) { l.LogPath = filepath.Join(l.DataDir, "no", "log") }, want: "no such file", is: os.ErrNotExist},
		{name: "port taken", change: func(l *Launch) { l.Port = taken.Addr().(*net.TCPAddr).Port }, want: "address already in use"},
		{name: "locked", change: func(l *Launch) {
			if err := os.WriteFile(filepath.Join(l.DataDir, "postmaster.pid"), nil, 0o644); err != nil {
				t.Error(err)
			}
		}, want: `lock file "postmaster.pid" already exists`},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := fakeLaunch(t, api.Setting{Name: "fake.start", Value: c.start})
			if err := os.WriteFile(l.LogPath, []byte("FATAL:  of an earlier start\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			if c.change != nil {
				c.change(&l)
			}
			ctx := t.Context()
			if c.ctx != nil {
				ctx = c.ctx
			}
			s, err := Start(ctx, Distrib{Version: pg.V15, Dir: fakepg.Installation(t)}, testAccount(t), l)
			if s != nil || err == nil || !strings.Contains(err.Error(), c.want) || c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("got %v, %v; want %q", s, err, c.want)
			}
			if left := livingIn(own, l.DataDir); len(left) > 0 {
				t.Errorf("processes %v are left", left)
			}
		})
	}
	if _, err := Start(t.Context(), Distrib{Version: pg.V15, Dir: "/nonexistent"}, testAccount(t), fakeLaunch(t)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no postgres: %v", err)
	}
}

// TestReady: a server is ready when its pid file says so, not when it answers clients.
func TestReady(t *testing.T) {
	l := fakeLaunch(t, api.Setting{Name: "fake.start", Value: "early"})
	type result struct {
		s   *Server
		err error
	}
	started := make(chan result, 1)
	go func() {
		s, err := Start(t.Context(), Distrib{Dir: fakepg.Installation(t)}, testAccount(t), l)
		started <- result{s, err}
	}()
	waitFor(t, "it refuses a client", func() bool {
		client, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(l.Port)))
		if err != nil {
			return false
		}
		defer client.Close()
		if _, err := client.Write([]byte{0, 0, 0, 8, 0, 3, 0, 0}); err != nil {
			t.Error(err)
		}
		answer := make([]byte, 1)
		if _, err := client.Read(answer); err != nil || answer[0] != 'E' {
			t.Errorf("the answer is %q, %v", answer, err)
		}
		return true
	})
	select {
	case r := <-started:
		t.Fatalf("Start gave %v, %v before the server was ready", r.s, r.err)
	default:
	}
	if err := os.WriteFile(filepath.Join(l.DataDir, "fake.recovered"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	r := <-started
	if r.err != nil {
		t.Fatal(r.err)
	}
	if err := r.s.Stop(t.Context(), "fast"); err != nil {
		t.Error(err)
	}
}

// TestReadPIDFile: where the pid file of a server is read is the caller's to say, and that of another server does not count.
func TestReadPIDFile(t *testing.T) {
	l := fakeLaunch(t)
	var reads atomic.Int32
	l.ReadPIDFile = func() ([]byte, error) {
		if reads.Add(1) == 1 {
			return []byte("1\n/d\n1\n5432\n/d\n127.0.0.1\n0 0\nready   \n"), nil
		}
		return pidFileIn(l.DataDir)()
	}
	mustStart(t, l)
	if reads.Load() < 2 {
		t.Error("the pid file of another process was taken for the server's")
	}
}

func TestCrashed(t *testing.T) {
	killed := mustStart(t, fakeLaunch(t))
	if err := syscall.Kill(killed.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "a server that was killed has crashed", killed.Crashed)

	alone := mustStart(t, fakeLaunch(t)) // ends well, though Stop had not asked it to
	if err := syscall.Kill(alone.PID(), syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	<-alone.Done()
	if alone.Crashed() {
		t.Error("a server that somebody else has stopped counts as crashed")
	}

	bad := mustStart(t, fakeLaunch(t, api.Setting{Name: "fake.stop", Value: "bad"}))
	if err := bad.Stop(t.Context(), "fast"); err != nil || !bad.Crashed() {
		t.Errorf("a server with a bad exit status: %v, crashed %v", err, bad.Crashed())
	}
}

// TestStopTakesTooLong: Stop gives up, and the next one, or Kill, may do better.
func TestStopTakesTooLong(t *testing.T) {
	l := fakeLaunch(t, api.Setting{Name: "fake.stop", Value: "ignore"})
	l.Timeouts.Stop = 50 * time.Millisecond
	s := mustStart(t, l)
	if err := s.Stop(t.Context(), "fast"); !errors.Is(err, api.ErrTimeout) || !s.Running() {
		t.Errorf("a server that takes no notice: %v, running %v", err, s.Running())
	}
	ended, end := context.WithCancel(t.Context())
	end()
	s.timeouts.Stop = time.Hour
	if err := s.Stop(ended, "fast"); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that has ended: %v", err)
	}
	if err := s.Stop(t.Context(), "immediate"); err != nil || s.Running() {
		t.Errorf("immediate: %v, running %v", err, s.Running())
	}

	l = fakeLaunch(t, api.Setting{Name: "fake.stop", Value: "never"})
	l.Timeouts.Kill = 50 * time.Millisecond
	s = mustStart(t, l)
	s.Kill()
	if s.Running() || len(livingIn(own, l.DataDir)) > 0 {
		t.Error("a server is left that takes no notice of SIGQUIT")
	}
}

// TestSmartStopWaitsForClients, but lets no new ones in.
func TestSmartStopWaitsForClients(t *testing.T) {
	l := fakeLaunch(t)
	s := mustStart(t, l)
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(l.Port))
	client, err := net.Dial("tcp", addr)
	if err == nil { // it is a client when it has got an answer
		_, err = client.Write([]byte{0, 0, 0, 8, 0, 3, 0, 0})
	}
	if err == nil {
		_, err = client.Read(make([]byte, 1))
	}
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	stopped := make(chan error, 1)
	go func() { stopped <- s.Stop(t.Context(), "smart") }()
	waitFor(t, "new clients are not let in", func() bool {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
	select {
	case err := <-stopped:
		t.Errorf("it stopped while a client was connected: %v", err)
	default:
	}
	client.Close()
	if err := <-stopped; err != nil || s.Crashed() {
		t.Errorf("%v, crashed %v", err, s.Crashed())
	}
}
