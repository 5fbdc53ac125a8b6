package postgres

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"zenith/internal/api"
	"zenith/internal/pg"
	"zenith/internal/pgtest"
	"zenith/internal/pgtest/fakepg"
)

const testTenant = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

// testSource is the point that tests make copies of.
var testSource = Source{Version: pg.V15, Tenant: testTenant, Point: "feature/x@0/DCB7A0", Timeline: "t", LSN: 0xDCB7A0}

// newCopies opens a directory for copies, whose servers end with the test.
func newCopies(t *testing.T) *Copies {
	t.Helper()
	cs, err := OpenCopies(CopiesOptions{Dir: filepath.Join(testDir(t), "pg"), Distribs: NewDistribs(DistribSettings{Default: fakepg.Installation(t)}), User: "nobody"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		list, err := cs.List(testTenant)
		if err != nil {
			t.Error(err)
		}
		for _, c := range list {
			if err := c.Stop(context.Background(), api.StopOptions{Mode: "immediate", Destroy: true}); err != nil {
				t.Error(err)
			}
		}
	})
	return cs
}

func mustMake(t *testing.T, cs *Copies) *Copy {
	t.Helper()
	c, err := cs.Make(t.Context(), testSource, pgtest.UnpackCluster)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func mustStatus(t *testing.T, c *Copy, want string) api.Compute {
	t.Helper()
	d, err := c.Describe()
	if err != nil || d.Status != want {
		t.Fatalf("got %+v, %v; want status %s", d, err, want)
	}
	return d
}

func with(settings ...string) (o api.ComputeOptions) {
	for _, s := range settings {
		name, value, _ := strings.Cut(s, "=")
		o.Settings = append(o.Settings, api.Setting{Name: name, Value: value})
	}
	return o
}

// TestCopyLife: a copy is made, started, found by a later process, stopped, started again with what was
// kept, and destroyed.
func TestCopyLife(t *testing.T) {
	cs := newCopies(t)
	if _, err := cs.Find(testTenant, testSource.Point); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("no copy: %v", err)
	}
	c := mustMake(t, cs)
	d := mustStatus(t, c, api.ComputeStopped)
	if d.Name != testSource.Point || d.LSN != testSource.LSN || d.Tenant != testTenant || d.Timeline != "t" {
		t.Errorf("made: %+v", d)
	}
	if _, err := cs.Make(t.Context(), testSource, pgtest.UnpackCluster); !errors.Is(err, api.ErrExists) {
		t.Errorf("make it again: %v", err)
	}
	if err := c.Stop(t.Context(), api.StopOptions{}); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("stop it: %v", err)
	}
	if err := c.Start(t.Context(), with("work_mem=5MB")); err != nil {
		t.Fatal(err)
	}
	d = mustStatus(t, c, api.ComputeRunning)
	log, err := os.ReadFile(d.Log)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"listen_addresses=127.0.0.1"`, `"zenith.tenant_id=` + testTenant + `"`, `"work_mem=5MB"]`} {
		if !strings.Contains(string(log), want) {
			t.Errorf("the server was not started with %s:\n%s", want, log)
		}
	}

	later := &Copies{dir: cs.dir, distribs: cs.distribs, as: cs.as} // another process
	found, err := later.Find(testTenant, testSource.Point)
	if err != nil {
		t.Fatal(err)
	}
	mustStatus(t, found, api.ComputeRunning)
	if err := found.Start(t.Context(), api.ComputeOptions{}); err != nil {
		t.Errorf("start it, which runs already as it is to: %v", err)
	}
	if err := found.Start(t.Context(), with("work_mem=6MB")); !errors.Is(err, api.ErrBusy) {
		t.Errorf("start it with other settings: %v", err)
	}
	if err := found.Stop(t.Context(), api.StopOptions{Mode: "odd"}); err == nil || !strings.Contains(err.Error(), `"odd"`) {
		t.Errorf("stop it oddly: %v", err)
	}
	if err := found.Stop(t.Context(), api.StopOptions{}); err != nil {
		t.Fatal(err)
	}
	mustStatus(t, found, api.ComputeStopped)
	if err := found.Start(t.Context(), api.ComputeOptions{}); err != nil {
		t.Fatal(err)
	}
	if again := mustStatus(t, found, api.ComputeRunning); again.Port != d.Port {
		t.Errorf("it is on port %d, was on %d", again.Port, d.Port)
	}
	if err := found.Stop(t.Context(), api.StopOptions{Destroy: true}); err != nil {
		t.Fatal(err)
	}
	if list, err := cs.List(testTenant); err != nil || len(list) != 0 {
		t.Errorf("copies %v are left, %v", list, err)
	}
	if list, err := cs.List("none"); err != nil || list != nil {
		t.Errorf("a tenant without copies: %v, %v", list, err)
	}
}

// TestCopyIsNotMade: nothing is left of one that fails.
func TestCopyIsNotMade(t *testing.T) {
	cs := newCopies(t)
	lost := errors.New("connection lost")
	for what, fetch := range map[string]func(dir string) error{
		"half a fetch": func(dir string) error {
			return errors.Join(os.WriteFile(filepath.Join(dir, "PG_VERSION"), []byte("15\n"), 0o600), lost)
		},
		"no data directory": func(string) error { return nil },
		"of another major": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "PG_VERSION"), []byte("9.6\n"), 0o600)
		},
	} {
		_, err := cs.Make(t.Context(), testSource, fetch)
		if err == nil || what == "half a fetch" && !errors.Is(err, lost) {
			t.Errorf("%s: %v", what, err)
		}
		if left, err := os.ReadDir(filepath.Join(cs.dir, testTenant)); err != nil || len(left) > 0 {
			t.Errorf("%s: %v is left, %v", what, left, err)
		}
	}
	cs.distribs = NewDistribs(DistribSettings{Default: "/nonexistent"})
	fetched := false
	if _, err := cs.Make(t.Context(), testSource, func(string) error { fetched = true; return nil }); err == nil || fetched {
		t.Errorf("without PostgreSQL: %v, fetched %v", err, fetched)
	}
}

// TestCopyStartFails: the error says why and where the log is; the copy stays as it was.
func TestCopyStartFails(t *testing.T) {
	cs := newCopies(t)
	c := mustMake(t, cs)
	err := c.Start(t.Context(), with("fake.start=fatal:no memory"))
	if err == nil || !strings.Contains(err.Error(), "no memory") || !strings.Contains(err.Error(), c.logPath()) {
		t.Errorf("got %v", err)
	}
	mustStatus(t, c, api.ComputeStopped)
	if err := c.Start(t.Context(), api.ComputeOptions{}); err != nil {
		t.Errorf("a start without what failed: %v", err)
	}
}

// TestCopyCrashed: a postmaster that was killed is noticed, and the next start waits for its children.
func TestCopyCrashed(t *testing.T) {
	cs := newCopies(t)
	c := mustMake(t, cs)
	if err := c.Start(t.Context(), api.ComputeOptions{}); err != nil {
		t.Fatal(err)
	}
	child := sleeper(t, findSleep(t), c.dataDir())
	waitFor(t, "postmaster and child are there", func() bool { return len(livingIn(own, c.dataDir())) == 2 })
	if err := syscall.Kill(c.proc.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-c.proc.done
	mustStatus(t, c, api.ComputeCrashed)
	soon, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := c.Start(soon, api.ComputeOptions{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("start beside a child that lives: %v", err)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(t.Context(), api.ComputeOptions{}); err != nil {
		t.Errorf("start when the child has gone: %v", err)
	}
	mustStatus(t, c, api.ComputeRunning)
}

// TestCopyExec: a throw-away copy leaves nothing; one whose process was killed is removed by the next
// process, one whose process lives is not.
func TestCopyExec(t *testing.T) {
	cs := newCopies(t)
	cp, stop, err := cs.Exec(t.Context(), testSource, pgtest.UnpackCluster, api.ComputeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if list, err := cs.List(testTenant); err != nil || len(list) != 0 || cp.Status != api.ComputeRunning {
		t.Errorf("it is listed, or does not run: %v, %v, %+v", list, err, cp)
	}
	_, stopOther, err := cs.Exec(t.Context(), testSource, pgtest.UnpackCluster, api.ComputeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(cp.Dir); err != nil {
		t.Errorf("a second one has removed the first: %v", err)
	}
	if err := errors.Join(stop(t.Context()), stopOther(t.Context())); err != nil {
		t.Error(err)
	}
	if _, _, err := cs.Exec(t.Context(), testSource, pgtest.UnpackCluster, with("fake.start=silent")); err == nil {
		t.Error("a server that does not start was started")
	}
	empty := func() {
		t.Helper()
		if left, err := os.ReadDir(filepath.Join(cs.dir, testTenant)); err != nil || len(left) > 0 {
			t.Errorf("%v is left, %v", left, err)
		}
	}
	empty()

	// As a process leaves it that is killed: the server runs, the lock file is there, and nobody locks it.
	lost := &Copy{cs: cs, dir: filepath.Join(cs.dir, testTenant, ThrowawayPrefix+"1"), saved: newCopy(testSource)}
	if _, err := cs.make(t.Context(), testSource, lost.dir, pgtest.UnpackCluster); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(lost.dir+lockEnding, nil, 0o600), lost.startThrowaway(t.Context(), api.ComputeOptions{})); err != nil {
		t.Fatal(err)
	}
	if err := cs.cleanExecs(t.Context(), testTenant); err != nil {
		t.Error(err)
	}
	<-lost.proc.done
	empty()
}

// TestRecover replays a backup with a configuration of its own, and puts the backup's back.
func TestRecover(t *testing.T) {
	d := Distrib{Version: pg.V15, Dir: fakepg.Installation(t)}
	r := Recovery{Dir: testDir(t), Settings: pg.ControlSettings{MaxConnections: 123, WALLogHints: true}}
	r.DataDir = filepath.Join(r.Dir, "data")
	if err := os.Mkdir(r.DataDir, 0o700); err != nil {
		t.Fatal(err)
	}
	auto := filepath.Join(r.DataDir, "postgresql.auto.conf")
	put := func(fake string) {
		t.Helper()
		for path, content := range map[string]string{
			filepath.Join(r.DataDir, "backup_label"): "x", auto: "restore_command = 'rm -rf /'\n", filepath.Join(r.DataDir, "fake.conf"): fake,
		} {
			if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := testAccount(t).OwnAll(r.DataDir); err != nil {
			t.Fatal(err)
		}
	}
	put("")
	if err := Recover(t.Context(), d, testAccount(t), r); err != nil {
		t.Fatal(err)
	}
	conf, err := os.ReadFile(r.file("postgresql.conf"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"max_connections=" + strconv.Itoa(123), "wal_log_hints=on", "track_commit_timestamp=off", "archive_mode=off", "hba_file='" + r.Dir + "/hba.conf'"} {
		if !strings.Contains(string(conf), want+"\n") {
			t.Errorf("the configuration lacks %s:\n%s", want, conf)
		}
	}
	for name, want := range map[string]bool{"backup_label": false, "backup_label.old": false, "postmaster.pid": false, "postgresql.auto.conf": true} {
		if _, err := os.Stat(filepath.Join(r.DataDir, name)); (err == nil) != want {
			t.Errorf("%s is there: %v, want %v", name, err == nil, want)
		}
	}
	put("fake.start=fatal:WAL ends before end of online backup\n")
	if err := Recover(t.Context(), d, testAccount(t), r); err == nil || !strings.Contains(err.Error(), "WAL ends before end of online backup") {
		t.Errorf("a backup without its WAL: %v", err)
	}
	put("fake.stop=bad\n")
	if err := Recover(t.Context(), d, testAccount(t), r); err == nil || !strings.Contains(err.Error(), "did not stop well") {
		t.Errorf("a server that does not stop well: %v", err)
	}
	put("fake.start=hang\n")
	if err := os.Remove(filepath.Join(r.DataDir, PostmasterPID)); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		waitFor(t, "it has started", func() bool { return len(livingIn(own, r.DataDir)) > 0 || ctx.Err() != nil })
		cancel()
	}()
	if err := Recover(ctx, d, testAccount(t), r); !errors.Is(err, context.Canceled) {
		t.Errorf("a recovery that is given up: %v", err)
	}
	if left := livingIn(own, r.DataDir); len(left) > 0 {
		t.Errorf("processes %v are left", left)
	}
}

// TestCopyOfAnotherAccount: a copy that was made when its servers ran as another account is given to this one.
func TestCopyOfAnotherAccount(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("an ordinary user's copies are that user's")
	}
	cs := newCopies(t)
	c := mustMake(t, cs)
	if err := numbered(71000).OwnAll(c.dataDir()); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(t.Context(), with()); err != nil {
		t.Fatal(err)
	}
	as, err := c.account()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", "PG_VERSION", "base"} {
		fi, err := os.Lstat(filepath.Join(c.dataDir(), name))
		if err != nil {
			t.Fatal(err)
		}
		if uid := int(fi.Sys().(*syscall.Stat_t).Uid); uid != as.UID {
			t.Errorf("%s belongs to %d, want %d", name, uid, as.UID)
		}
	}
	if err := c.Stop(t.Context(), api.StopOptions{Destroy: true}); err != nil {
		t.Fatal(err)
	}
}
