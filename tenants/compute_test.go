package tenants

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"zenith/internal/api"
	"zenith/internal/postgres"
)

// set makes compute options of settings NAME=VALUE.
func set(settings ...string) (o api.ComputeOptions) {
	for _, s := range settings {
		name, value, _ := strings.Cut(s, "=")
		o.Settings = append(o.Settings, api.Setting{Name: name, Value: value})
	}
	return o
}

// statusOf gives the state of a compute of tenantA, "" if there is none.
func (f *fixture) statusOf(t testing.TB, name string) string {
	t.Helper()
	list, err := f.PgList(t.Context(), tenantA)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list {
		if c.Name == name {
			return c.Status
		}
	}
	return ""
}

// serverPID gives the postmaster of a compute that runs.
func serverPID(t testing.TB, c api.Compute) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(c.Dir, "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func readFile(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// TestComputeLife: create, start, already running, stop, start again with what was kept, destroy.
func TestComputeLife(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{})
	c, err := f.PgCreate(t.Context(), tenantA, MainBranch, set("work_mem=5MB"))
	if err != nil {
		t.Fatal(err)
	}
	if c.Status != api.ComputeStopped || c.Name != MainBranch || c.LSN == 0 || c.Timeline == "" || f.mounts.count() != 0 {
		t.Errorf("created: %+v, %d mounts", c, f.mounts.count())
	}
	_, err = f.PgCreate(t.Context(), tenantA, MainBranch, set())
	wantKind(t, "create it again", err, api.ErrExists, "pg main")
	wantKind(t, "stop it", f.PgStop(t.Context(), tenantA, MainBranch, api.StopOptions{}), api.ErrNotFound, "is not running")

	c, err = f.PgStart(t.Context(), tenantA, MainBranch, set("log_statement=all"))
	if err != nil {
		t.Fatal(err)
	}
	m := f.mounts.find(t, c.Dir)
	if c.Status != api.ComputeRunning || c.Port == 0 || m.branch == nil || !m.work.BindWAL {
		t.Errorf("started: %+v, mounted %+v", c, m)
	}
	log := readFile(t, c.Log)
	for _, want := range []string{
		`"restart_after_crash=off"`, `"max_wal_size=8GB"`, `"checkpoint_timeout=1d"`, `"full_page_writes=off"`, `"wal_recycle=off"`, `"archive_mode=off"`, `"synchronous_standby_names="`,
		`"listen_addresses=127.0.0.1"`, `"zenith.tenant_id=` + tenantA, `"zenith.timeline_id=` + c.Timeline,
		`"log_statement=all" "-c" "work_mem=5MB"`,
	} {
		if !strings.Contains(log, want) {
			t.Errorf("the server was not started with %s:\n%s", want, log)
		}
	}
	for what, o := range map[string]api.ComputeOptions{"nothing": set(), "what it has": set("Log-Statement=all"), "its port": {Port: c.Port}} {
		again, err := f.PgStart(t.Context(), tenantA, MainBranch, o)
		if err != nil || again.Port != c.Port || again.Status != api.ComputeRunning {
			t.Errorf("start it again with %s: %+v, %v", what, again, err)
		}
	}
	for _, o := range []api.ComputeOptions{set("log_statement=none"), {Unset: []string{"work_mem"}}, {Port: c.Port + 1}} {
		_, err = f.PgStart(t.Context(), tenantA, MainBranch, o)
		wantKind(t, "start it again otherwise", err, api.ErrBusy, "already running on port "+strconv.Itoa(c.Port), "pg stop main")
	}
	wantKind(t, "delete its branch", f.BranchDelete(t.Context(), tenantA, MainBranch, false), api.ErrBusy, "pg stop main")
	wantKind(t, "unmount it", f.Umount(t.Context(), c.Dir, false), api.ErrBusy, "pg stop main")
	wantKind(t, "stop it oddly", f.PgStop(t.Context(), tenantA, MainBranch, api.StopOptions{Mode: "odd"}), api.ErrBadArgument, "odd")
	wantKind(t, "stop it", f.PgStop(t.Context(), tenantA, MainBranch, api.StopOptions{Mode: "smart"}), nil)
	if s := f.statusOf(t, MainBranch); s != api.ComputeStopped || f.mounts.count() != 0 {
		t.Errorf("stopped: %s, %d mounts", s, f.mounts.count())
	}

	f.restart(t)
	unset := set("WAL_recycle=on")
	unset.Unset = []string{"LOG_STATEMENT"}
	again, err := f.PgStart(t.Context(), tenantA, MainBranch, unset)
	if err != nil {
		t.Fatal(err)
	}
	if again.Port != c.Port || !strings.Contains(readFile(t, again.Log), `"wal_recycle=on" "-c" "work_mem=5MB"]`) {
		t.Errorf("a later page server starts it on port %d, not %d, or without its settings", again.Port, c.Port)
	}
	if f.mounts.find(t, again.Dir).work.BindWAL {
		t.Error("pg_wal is bound for a server that may recycle segments")
	}
	if err := f.PgStop(t.Context(), tenantA, MainBranch, api.StopOptions{Destroy: true}); err != nil {
		t.Error(err)
	}
	if s := f.statusOf(t, MainBranch); s != "" || exists(filepath.Dir(c.Dir)) || f.mounts.count() != 0 {
		t.Errorf("destroyed: %q, %d mounts", s, f.mounts.count())
	}
	wantKind(t, "destroy it again", f.PgStop(t.Context(), tenantA, MainBranch, api.StopOptions{Destroy: true}), api.ErrNotFound, "no such postgres")
}

// TestSettingsOfAFailedStart are not kept: the next start does without them.
func TestSettingsOfAFailedStart(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{})
	if _, err := f.PgCreate(t.Context(), tenantA, MainBranch, set("work_mem=5MB")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := f.PgStart(t.Context(), tenantA, MainBranch, set("fake.start=fatal:no memory", "work_mem=6MB")); err == nil {
			t.Fatal("it started")
		}
		c, err := f.PgStart(t.Context(), tenantA, MainBranch, set())
		if err != nil {
			t.Fatal(err)
		}
		if log := readFile(t, c.Log); !strings.Contains(log, `"work_mem=5MB"]`) {
			t.Errorf("it was started otherwise than it was created:\n%s", log)
		}
		if err := f.PgStop(t.Context(), tenantA, MainBranch, api.StopOptions{}); err != nil {
			t.Error(err)
		}
		f.restart(t)
	}
}

// TestComputeOnState: a compute of NAME@LSN is on a scratch mount, and does not take the branch.
func TestComputeOnState(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{})
	h := f.advance(t, f.branchOf(t, MainBranch), 50)
	point := "main@" + h.ends[20].String()
	c, err := f.PgStart(t.Context(), tenantA, point, set())
	if err != nil {
		t.Fatal(err)
	}
	if log := readFile(t, c.Log); strings.Contains(log, "restart_after_crash") || strings.Contains(log, "checkpoint_timeout") {
		t.Errorf("it is started like one on a head, which is started anew after a crash:\n%s", log)
	}
	if m := f.mounts.find(t, c.Dir); m.branch != nil || c.LSN != h.ends[20] {
		t.Errorf("it is at %v on %+v", c.LSN, m)
	}
	main, err := f.PgStart(t.Context(), tenantA, MainBranch, set())
	if err != nil {
		t.Fatal(err)
	}
	list, err := f.PgList(t.Context(), tenantA)
	if err != nil || len(list) != 2 || list[0].Name != MainBranch || list[1].Name != point {
		t.Errorf("got %v, %v", list, err)
	}
	if list[1].LSN != h.ends[20] || list[0].LSN < h.ends[50] {
		t.Errorf("main is at %v, %s at %v", list[0].LSN, point, list[1].LSN)
	}
	wantKind(t, "delete its branch", f.BranchDelete(t.Context(), tenantA, MainBranch, false), api.ErrBusy, "postgres runs on it")
	if serverPID(t, main) == serverPID(t, c) {
		t.Error("both are the same server")
	}
}

// TestComputeStartFails: the error has the reason, and nothing is left of a compute that the
// start has created; one that was there stays, with its log.
func TestComputeStartFails(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{})
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	mountFails := func() context.Context {
		f.mounts.fail = errors.New("use /dev/fuse: none")
		return t.Context()
	}
	givenUp := func() context.Context {
		ctx, stop := context.WithCancel(t.Context())
		go func() {
			waitFor(t, "a mount", func() bool { return f.mounts.count() > 0 || ctx.Err() != nil })
			stop()
		}()
		return ctx
	}
	for _, c := range []struct {
		name   string
		o      api.ComputeOptions
		before func() context.Context
		kind   error
		says   string
	}{
		{name: "fatal", o: set("fake.start=fatal:no memory"), says: "pg main: postgres did not start: no memory"},
		{name: "bad setting", o: set("a b=1"), kind: api.ErrBadArgument, says: `"a b"`},
		{name: "port taken", o: api.ComputeOptions{Port: port}, kind: api.ErrBusy, says: strconv.Itoa(port)},
		{name: "no mount", before: mountFails, kind: api.ErrMountFailed, says: "/dev/fuse"},
		{name: "given up", o: set("fake.start=hang"), before: givenUp, kind: context.Canceled},
	} {
		for _, created := range []bool{false, true} {
			if created {
				if _, err := f.PgCreate(t.Context(), tenantA, MainBranch, set()); err != nil {
					t.Fatal(err)
				}
			}
			ctx := t.Context()
			if c.before != nil {
				ctx = c.before()
			}
			_, err := f.PgStart(ctx, tenantA, MainBranch, c.o)
			if err == nil || c.kind != nil && !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: got %v, want %v and %q", c.name, err, c.kind, c.says)
			}
			want := map[bool]string{false: "", true: api.ComputeStopped}[created]
			if s := f.statusOf(t, MainBranch); s != want || f.mounts.count() != 0 {
				t.Errorf("%s: created before %v: state %q, want %q; %d mounts", c.name, created, s, want, f.mounts.count())
			}
			if created {
				if err := f.PgStop(t.Context(), tenantA, MainBranch, api.StopOptions{Destroy: true}); err != nil {
					t.Error(err)
				}
			}
			if left, err := os.ReadDir(filepath.Join(f.cfg.Dir, "tenants", tenantA, "pg")); len(left) > 0 {
				t.Errorf("%s: %v is left, %v", c.name, left, err)
			}
		}
	}
	for _, point := range []string{"none", "main@0/1", "main@"} {
		if _, err := f.PgStart(t.Context(), tenantA, point, set()); err == nil {
			t.Errorf("postgres was started on %s", point)
		}
	}
}

// TestComputeIsNotKeptOnDisk: a server that runs but cannot be noted on disk is ended, and its
// mount is taken away, before anything of its directory is removed.
func TestComputeIsNotKeptOnDisk(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{})
	inTheWay := filepath.Join(f.cfg.Dir, "tenants", tenantA, "pg", MainBranch, "postgres.pid", "x")
	if err := os.MkdirAll(inTheWay, 0o711); err != nil {
		t.Fatal(err)
	}
	if _, err := f.PgStart(t.Context(), tenantA, MainBranch, set()); err == nil || !strings.Contains(err.Error(), "postgres.pid") {
		t.Errorf("got error %v, want one about postgres.pid", err)
	}
	if s := f.statusOf(t, MainBranch); s != "" || f.mounts.count() != 0 || exists(inTheWay) {
		t.Errorf("state %q, %d mounts", s, f.mounts.count())
	}
	if _, err := f.PgStart(t.Context(), tenantA, MainBranch, set()); err != nil {
		t.Errorf("start after that: %v", err)
	}
}

// TestComputeCrash is noticed, and the next start is on a fresh mount.
func TestComputeCrash(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{ReviveAfter: []time.Duration{}})
	c, err := f.PgStart(t.Context(), tenantA, MainBranch, set())
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(postgres.SocketDir(filepath.Dir(c.Dir)), ".s.PGSQL.5432")
	if err := os.WriteFile(socket, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	first := f.mounts.find(t, c.Dir)
	if err := syscall.Kill(serverPID(t, c), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the crash is noticed", func() bool { return f.statusOf(t, MainBranch) == api.ComputeCrashed })
	again, err := f.PgStart(t.Context(), tenantA, MainBranch, set())
	if err != nil {
		t.Fatal(err)
	}
	if f.mounts.find(t, c.Dir) == first || again.Port != c.Port || exists(socket) {
		t.Errorf("it was started on the same mount, on another port %d, or over a dead socket", again.Port)
	}
	if err := syscall.Kill(serverPID(t, again), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the crash is noticed", func() bool { return f.statusOf(t, MainBranch) == api.ComputeCrashed })
	wantKind(t, "stop one that has crashed", f.PgStop(t.Context(), tenantA, MainBranch, api.StopOptions{}), nil)
	if s := f.statusOf(t, MainBranch); s != api.ComputeStopped || f.mounts.count() != 0 {
		t.Errorf("state %q, %d mounts", s, f.mounts.count())
	}
}

// TestComputeDoesNotStop: a stop that fails, by the server or by the mount, leaves the compute
// as it is, and can be repeated.
func TestComputeDoesNotStop(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{})
	c, err := f.PgStart(t.Context(), tenantA, MainBranch, set("fake.stop=ignore"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error)
	go func() { stopped <- f.PgStop(ctx, tenantA, MainBranch, api.StopOptions{}) }()
	waitFor(t, "the signal arrives", func() bool { return strings.Contains(readFile(t, c.Log), "took no notice") })
	cancel()
	wantKind(t, "a server that takes no notice", <-stopped, context.Canceled)
	m := f.mounts.find(t, c.Dir)
	if err := m.setBusy(true); err != nil {
		t.Fatal(err)
	}
	err = f.PgStop(t.Context(), tenantA, MainBranch, api.StopOptions{Mode: "immediate", Destroy: true})
	wantKind(t, "a mount in use", err, api.ErrBusy, c.Dir, "by a test")
	if !exists(c.Log) || f.mounts.count() != 1 {
		t.Error("it was removed though its mount is there")
	}
	if err := m.setBusy(false); err != nil {
		t.Fatal(err)
	}
	wantKind(t, "a mount that is free", f.PgStop(t.Context(), tenantA, MainBranch, api.StopOptions{Destroy: true}), nil)
	if s := f.statusOf(t, MainBranch); s != "" || exists(c.Log) {
		t.Errorf("it is not removed: %q", s)
	}
}

// TestLostComputes: what a killed page server had running is ended by the next one, and is
// "crashed" until it is started or stopped; its throw-away servers are removed.
func TestLostComputes(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{})
	c, err := f.PgStart(t.Context(), tenantA, MainBranch, set())
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(c.Dir)
	note := readFile(t, filepath.Join(dir, "postgres.pid"))
	if err := f.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	// As a page server leaves it that is killed.
	exec := filepath.Join(filepath.Dir(dir), postgres.ThrowawayPrefix+"1")
	mounts := filepath.Join(f.cfg.Dir, "tenants", tenantA, "mounts", "1")
	building := filepath.Join(f.cfg.Dir, "tenants", strings.Repeat("b", 32)+unfinished)
	for _, d := range []string{exec, mounts, building} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "postgres.pid"), []byte(note), 0o644); err != nil {
		t.Fatal(err)
	}
	f.mounts.stale[c.Dir] = true
	f.open(t)
	if f.mounts.stale[c.Dir] || exists(exec) || exists(mounts) || exists(building) {
		t.Errorf("left: stale mount %v, throw-away server %v, private files %v, half a tenant %v",
			f.mounts.stale[c.Dir], exists(exec), exists(mounts), exists(building))
	}
	if s := f.statusOf(t, MainBranch); s != api.ComputeCrashed {
		t.Errorf("state %q", s)
	}
	wantKind(t, "stop it", f.PgStop(t.Context(), tenantA, MainBranch, api.StopOptions{}), nil)
	if s := f.statusOf(t, MainBranch); s != api.ComputeStopped {
		t.Errorf("state %q", s)
	}
}

// TestExec: a throw-away server is not listed, has no TCP port, lets in nobody but its owner, and leaves nothing behind.
func TestExec(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{})
	c, stop, err := f.PgExec(t.Context(), tenantA, MainBranch, set())
	if err != nil {
		t.Fatal(err)
	}
	m := f.mounts.find(t, c.Dir)
	hba := filepath.Join(filepath.Dir(c.Dir), "pg_hba.conf")
	said := readFile(t, c.Log)
	if m.branch != nil || strings.Contains(readFile(t, hba), "host all all all trust") || !strings.Contains(said, `"hba_file=`+hba) ||
		!strings.Contains(said, `"listen_addresses="`) || c.Host != "" || c.Socket == "" {
		t.Errorf("%+v, %s", m, said)
	}
	if s := f.statusOf(t, MainBranch); s != "" {
		t.Errorf("it is listed: %s", s)
	}
	other, stopOther, err := f.PgExec(t.Context(), tenantA, MainBranch, set())
	if err != nil || other.Dir == c.Dir {
		t.Fatalf("a second one: %+v, %v", other, err)
	}
	wantKind(t, "delete the branch", f.BranchDelete(t.Context(), tenantA, MainBranch, false), api.ErrBusy)
	if err := errors.Join(stop(t.Context()), stopOther(t.Context())); err != nil {
		t.Error(err)
	}
	if f.mounts.count() != 0 || exists(filepath.Dir(c.Dir)) {
		t.Errorf("left: %d mounts, the directory %v", f.mounts.count(), exists(filepath.Dir(c.Dir)))
	}
	f.mounts.fail = errors.New("no mount")
	_, _, err = f.PgExec(t.Context(), tenantA, MainBranch, set())
	wantKind(t, "no mount", err, api.ErrMountFailed)
	_, _, err = f.PgExec(t.Context(), tenantA, "none", set())
	wantKind(t, "no branch", err, api.ErrNotFound)
	if left, err := os.ReadDir(filepath.Join(f.cfg.Dir, "tenants", tenantA, "pg")); len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}

// TestCloseStopsEverything: after Close no server runs and nothing is mounted, though it be in use.
func TestCloseStopsEverything(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{})
	c, err := f.PgStart(t.Context(), tenantA, MainBranch, set())
	if err != nil {
		t.Fatal(err)
	}
	e, stop, err := f.PgExec(t.Context(), tenantA, MainBranch, set())
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(f.room, "all")
	if _, err := f.Mount(t.Context(), api.MountOptions{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	busy := f.mounts.find(t, dir)
	if err := busy.setBusy(true); err != nil {
		t.Fatal(err)
	}
	pids := []int{serverPID(t, c), serverPID(t, e)}
	wantKind(t, "close", f.Close(t.Context()), api.ErrBusy, "unmounted nevertheless")
	for _, pid := range pids {
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("server %d still runs: %v", pid, err)
		}
	}
	if f.mounts.count() != 0 {
		t.Errorf("%d mounts are left", f.mounts.count())
	}
	wantKind(t, "stop what Close has stopped", stop(t.Context()), api.ErrNotFound)
	_, err = f.PgStart(t.Context(), tenantA, MainBranch, set())
	wantKind(t, "start after Close", err, api.ErrUnavailable, "shutting down")
}

// TestOrphansWrite: an initdb that outlives the page server that started it may still write where half a
// tenant is being removed. The next page server starts, and removes it.
func TestOrphansWrite(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{})
	if err := f.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	building := filepath.Join(f.cfg.Dir, "tenants", strings.Repeat("b", 32)+unfinished)
	var dirs []string // many, so that a new file meets the removal of one of them
	for i := range 200 {
		dirs = append(dirs, filepath.Join(building, "initdb", strconv.Itoa(i)))
		if err := os.MkdirAll(dirs[i], 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var orphans sync.WaitGroup
	end := time.Now().Add(300 * time.Millisecond)
	for w := range 4 {
		orphans.Go(func() {
			for i := 0; time.Now().Before(end); i++ {
				_ = os.WriteFile(filepath.Join(dirs[i%len(dirs)], fmt.Sprintf("%d.%d", w, i)), nil, 0o600) // some directories are gone
			}
		})
	}
	f.open(t)
	orphans.Wait()
	if exists(building) {
		t.Error("half a tenant is left")
	}
}
