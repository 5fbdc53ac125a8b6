package tenants

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"zenith/internal/api"
)

// computeA gives a compute of tenantA as it is listed; its name is "" if it is not.
func (f *fixture) computeA(t testing.TB, name string) api.Compute {
	t.Helper()
	list, err := f.PgList(t.Context(), tenantA)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(list, func(c api.Compute) bool { return c.Name == name })
	if i < 0 {
		return api.Compute{}
	}
	return list[i]
}

func kill(t testing.TB, pid int, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, sig); err != nil {
		t.Fatal(err)
	}
}

// TestComputeRevived: a postgres that crashes is started anew on a fresh mount, unless it does so again and
// again; then it can be started by hand.
func TestComputeRevived(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{ReviveAfter: []time.Duration{0, time.Millisecond}})
	c, err := f.PgStart(t.Context(), tenantA, MainBranch, set("work_mem=5MB"))
	if err != nil {
		t.Fatal(err)
	}
	pid := serverPID(t, c)
	for n := 1; n <= 2; n++ {
		first := f.mounts.find(t, c.Dir)
		kill(t, pid, syscall.SIGKILL)
		waitFor(t, "it is started anew", func() bool { return f.computeA(t, MainBranch).Restarts == n })
		again := f.computeA(t, MainBranch)
		if again.Status != api.ComputeRunning || again.Port != c.Port || f.mounts.find(t, c.Dir) == first || serverPID(t, again) == pid {
			t.Errorf("after crash %d: %+v, on the same mount %v", n, again, f.mounts.find(t, c.Dir) == first)
		}
		pid = serverPID(t, again)
	}
	kill(t, pid, syscall.SIGKILL)
	waitFor(t, "it is given up", func() bool { return len(f.log.lines("stays crashed")) > 0 })
	if s := f.statusOf(t, MainBranch); s != api.ComputeCrashed {
		t.Errorf("a postgres that was given up is %s", s)
	}
	c, err = f.PgStart(t.Context(), tenantA, MainBranch, set())
	if err != nil || c.Restarts != 0 || !strings.Contains(readFile(t, c.Log), `"work_mem=5MB"]`) {
		t.Errorf("started by hand: %+v, %v", c, err)
	}
	kill(t, serverPID(t, c), syscall.SIGKILL)
	waitFor(t, "it is started anew as if for the first time", func() bool { return f.computeA(t, MainBranch).Restarts == 1 })
}

// TestComputeIsNotRevived: not when it was stopped meanwhile, and not where its data would be lost.
func TestComputeIsNotRevived(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{ReviveAfter: []time.Duration{time.Hour}})
	h := f.advance(t, f.branchOf(t, MainBranch), 50)
	for _, name := range []string{MainBranch, "main@" + h.ends[20].String()} {
		c, err := f.PgStart(t.Context(), tenantA, name, set())
		if err != nil {
			t.Fatal(err)
		}
		kill(t, serverPID(t, c), syscall.SIGKILL)
		waitFor(t, "its crash is noticed", func() bool { return f.statusOf(t, name) == api.ComputeCrashed })
		if err := f.PgStop(t.Context(), tenantA, name, api.StopOptions{}); err != nil {
			t.Error(err)
		}
		if s := f.statusOf(t, name); s != api.ComputeStopped || f.mounts.count() != 0 {
			t.Errorf("%s: state %q, %d mounts", name, s, f.mounts.count())
		}
	}
}

// TestComputeStoppedByOthers: what pg_ctl stop does is noticed, and the branch is free then.
func TestComputeStoppedByOthers(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{RestartTime: 50 * time.Millisecond})
	c, err := f.PgStart(t.Context(), tenantA, MainBranch, set())
	if err != nil {
		t.Fatal(err)
	}
	kill(t, serverPID(t, c), syscall.SIGINT)
	waitFor(t, "its mount is taken away", func() bool { return f.mounts.count() == 0 })
	waitFor(t, "it is stopped", func() bool { return f.statusOf(t, MainBranch) == api.ComputeStopped })
	wantKind(t, "stop it", f.PgStop(t.Context(), tenantA, MainBranch, api.StopOptions{}), api.ErrNotFound, "is not running")
}

// TestComputeRestartedByOthers: what pg_ctl restart does is noticed; the new postmaster is stopped, and
// found out when it crashes, like one of ours.
func TestComputeRestartedByOthers(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{RestartTime: time.Hour})
	c, err := f.PgStart(t.Context(), tenantA, MainBranch, set())
	if err != nil {
		t.Fatal(err)
	}
	for n, end := range []func(pid int){
		func(pid int) { kill(t, pid, syscall.SIGKILL) },
		func(int) {
			if err := f.PgStop(t.Context(), tenantA, MainBranch, api.StopOptions{}); err != nil {
				t.Error(err)
			}
		},
	} {
		kill(t, serverPID(t, c), syscall.SIGINT)
		waitFor(t, "its end is noticed", func() bool { return f.statusOf(t, MainBranch) == api.ComputeStopped })
		other := exec.Command(filepath.Join(f.cfg.PgDistribs.Default, "bin", "postgres"), "-D", c.Dir, "-p", strconv.Itoa(c.Port))
		other.Dir = "/"
		if err := other.Start(); err != nil {
			t.Fatal(err)
		}
		reaped := make(chan struct{})
		go func() {
			_ = other.Wait() // how it ends is the test's doing
			close(reaped)
		}()
		waitFor(t, "the other postmaster is noticed", func() bool { return f.statusOf(t, MainBranch) == api.ComputeRunning })
		if note := readFile(t, filepath.Join(filepath.Dir(c.Dir), "postgres.pid")); !strings.HasPrefix(note, strconv.Itoa(other.Process.Pid)+" ") {
			t.Errorf("the next page server would look for process %s, not %d", note, other.Process.Pid)
		}
		again, err := f.PgStart(t.Context(), tenantA, MainBranch, set())
		if err != nil || again.Port != c.Port {
			t.Errorf("start it again: %+v, %v", again, err)
		}
		end(other.Process.Pid)
		<-reaped
		if n == 0 {
			waitFor(t, "it is started anew", func() bool { return f.computeA(t, MainBranch).Restarts == 1 })
		}
	}
	if s := f.statusOf(t, MainBranch); s != api.ComputeStopped || f.mounts.count() != 0 {
		t.Errorf("state %q, %d mounts", s, f.mounts.count())
	}
}

// TestListsDoNotWait: while a postgres starts, or does not stop, all lists answer, and a second stop in
// another mode takes effect.
func TestListsDoNotWait(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{})
	ctx, cancel := context.WithCancel(t.Context())
	started := make(chan error, 1)
	go func() {
		_, err := f.PgStart(ctx, tenantA, MainBranch, set("fake.start=hang"))
		started <- err
	}()
	waitFor(t, "it is starting", func() bool { return f.statusOf(t, MainBranch) == api.ComputeStarting })
	for what, list := range map[string]func() error{
		"status":   func() error { _, err := f.Status(t.Context()); return err },
		"mounts":   func() error { _, err := f.MountList(t.Context()); return err },
		"branches": func() error { _, err := f.BranchList(t.Context(), tenantA); return err },
	} {
		if err := list(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	short, stop := context.WithTimeout(t.Context(), time.Millisecond)
	defer stop()
	wantKind(t, "a second start", func() error { _, err := f.PgStart(short, tenantA, MainBranch, set()); return err }(), context.DeadlineExceeded, "starting")
	cancel()
	wantKind(t, "the start", <-started, context.Canceled)

	c, err := f.PgStart(t.Context(), tenantA, MainBranch, set("fake.stop=ignore"))
	if err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- f.PgStop(t.Context(), tenantA, MainBranch, api.StopOptions{}) }()
	waitFor(t, "the signal arrives", func() bool { return strings.Contains(readFile(t, c.Log), "took no notice") })
	if s := f.statusOf(t, MainBranch); s != api.ComputeStopping {
		t.Errorf("state %q", s)
	}
	wantKind(t, "a stop in another mode", f.PgStop(t.Context(), tenantA, MainBranch, api.StopOptions{Mode: "immediate"}), nil)
	wantKind(t, "the first stop", <-stopped, nil)
}

// verbsModel drives all verbs on a few computes at a time. Each answer must be one that fits some order of
// the verbs.
type verbsModel struct {
	f     *fixture
	names []string
}

// allowed gives err, unless it is of one of the kinds, or says one of the texts.
func allowed(err error, what string, kinds ...error) error {
	for _, k := range kinds {
		if errors.Is(err, k) {
			return nil
		}
	}
	if err == nil || strings.Contains(err.Error(), "did not start") { // it was killed while it started, or was made to fail
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// step does something with a compute.
func (m verbsModel) step(ctx context.Context, what int, name string) error {
	switch what {
	case 0, 1:
		_, err := m.f.PgStart(ctx, tenantA, name, set())
		return allowed(err, "start", api.ErrBusy)
	case 2:
		_, err := m.f.PgCreate(ctx, tenantA, name, set())
		return allowed(err, "create", api.ErrExists)
	case 3:
		_, err := m.f.PgStart(ctx, tenantA, name, set("fake.start=fatal:no"))
		if err == nil {
			return errors.New("a start that fails: no error")
		}
		return allowed(err, "start that fails", api.ErrBusy)
	case 4:
		err := m.f.PgStop(ctx, tenantA, name, api.StopOptions{Mode: "immediate", Destroy: true})
		return allowed(err, "destroy", api.ErrNotFound)
	case 5:
		return allowed(m.f.PgStop(ctx, tenantA, name, api.StopOptions{}), "stop", api.ErrNotFound)
	case 6:
		m.kill(name, syscall.SIGKILL)
	case 7:
		m.kill(name, syscall.SIGINT) // as pg_ctl stop does
	case 8:
		_, stop, err := m.f.PgExec(ctx, tenantA, name, set())
		if err == nil {
			err = stop(ctx)
		}
		return allowed(err, "exec")
	}
	_, err := m.f.PgList(ctx, tenantA)
	return allowed(err, "list")
}

const verbSteps = 10

// kill sends a signal to the postmaster of a compute, if it has one.
func (m verbsModel) kill(name string, sig syscall.Signal) {
	if pid := m.postmaster(name); pid != 0 {
		_ = syscall.Kill(pid, sig) // it may have ended
	}
}

// postmaster gives the process that a compute's pid file names, 0 if there is none.
func (m verbsModel) postmaster(name string) int {
	text, err := os.ReadFile(filepath.Join(m.f.cfg.Dir, "tenants", tenantA, "pg", name, "data", "postmaster.pid"))
	first, _, _ := strings.Cut(string(text), "\n")
	pid, perr := strconv.Atoi(first)
	if err != nil || perr != nil {
		return 0
	}
	return pid
}

// settled waits until each compute is what the list says. A signal that was sent last may still be on its
// way, so a server that is listed as running may end at any moment: all is looked at anew until it fits.
func (m verbsModel) settled(t *testing.T) {
	t.Helper()
	why := ""
	defer func() {
		if why != "" {
			t.Log(why)
		}
	}()
	waitFor(t, "computes, directories, processes and mounts fit the list", func() bool {
		why = m.unsettled(t)
		return why == ""
	})
}

// unsettled says what does not fit the list, "" if all does.
func (m verbsModel) unsettled(t *testing.T) string {
	t.Helper()
	running := 0
	for _, name := range m.names {
		dir := filepath.Join(m.f.cfg.Dir, "tenants", tenantA, "pg", name)
		c := m.f.computeA(t, name)
		if (c.Name == "") == exists(dir) || c.Name != "" && !exists(filepath.Join(dir, "compute.toml")) {
			return fmt.Sprintf("%s: listed as %q, its directory is there: %v", name, c.Status, exists(dir))
		}
		switch c.Status {
		case "", api.ComputeStopped:
		case api.ComputeRunning:
			running++
			if pid := m.postmaster(name); pid == 0 || syscall.Kill(pid, 0) != nil {
				return name + ": is listed as running, and its process is gone"
			}
		default:
			return fmt.Sprintf("%s: is %s", name, c.Status)
		}
	}
	if n := m.f.mounts.count(); n != running {
		return fmt.Sprintf("%d mounts, and %d run", n, running)
	}
	return ""
}

// TestComputesSideBySide: of many who do things with a few computes at a time each gets an answer that is
// true, and in the end nothing is there that the list does not show.
func TestComputesSideBySide(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{RestartTime: time.Millisecond, ReviveAfter: slices.Repeat([]time.Duration{0}, 1000)})
	m := verbsModel{f: f, names: []string{MainBranch, "other"}}
	if _, err := f.BranchCreate(t.Context(), tenantA, "other", MainBranch, api.BranchOptions{}); err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for round := range uint64(3) {
		var all sync.WaitGroup
		for n := range uint64(4) {
			rnd := rand.New(rand.NewPCG(seed, round<<8|n))
			all.Go(func() {
				for range 12 {
					if err := m.step(t.Context(), rnd.IntN(verbSteps), m.names[rnd.IntN(len(m.names))]); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		m.settled(t)
	}
}
