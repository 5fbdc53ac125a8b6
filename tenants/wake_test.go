package tenants

import (
	"context"
	"errors"
	"testing"
	"time"

	"zenith/internal/api"
)

// wake wakes a server of tenantA, whose client leaves at the end of the test if not before.
func (f *fixture) wake(t testing.TB, point string) api.Woken {
	t.Helper()
	w, err := f.Wake(t.Context(), tenantA, point)
	if err != nil {
		t.Fatalf("wake %s: %v", point, err)
	}
	t.Cleanup(w.Release)
	return w
}

// awakeNow counts the servers that are awake, or on their way there or from there.
func (f *fixture) awakeNow() int {
	f.wakes.mu.Lock()
	defer f.wakes.mu.Unlock()
	return len(f.wakes.servers)
}

func eventuallyTrue(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited a minute for %s", what)
		}
	}
}

// TestWakeOneServer: clients that mean the same state get the same server, however they write it, and an age means the
// same state for as long as that runs.
func TestWakeOneServer(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{})
	at, err := f.LSN(t.Context(), tenantA, MainBranch)
	if err != nil {
		t.Fatal(err)
	}
	first := f.wake(t, "main@"+at.String())
	again := f.wake(t, at.String())
	if first.Compute.Port != again.Compute.Port || first.Compute.LSN != at || first.State == "" || first.Compute.Host == "" {
		t.Errorf("got %+v, and %+v", first, again)
	}
	aged := f.wake(t, "-1s")
	b := f.branchOf(t, MainBranch)
	f.wakes.mu.Lock()
	kept := f.wakes.said[saidPoint{b.t.id, b.tl.ID(), "-1s"}]
	f.wakes.mu.Unlock()
	if kept == nil || aged.Compute.Port != first.Compute.Port {
		t.Errorf("an age is not remembered with its server: %+v", aged)
	}
	head := f.wake(t, MainBranch)
	if head.State != "" || head.Compute.Name != MainBranch || head.Compute.Port == first.Compute.Port {
		t.Errorf("the head's is %+v", head)
	}
	if f.awakeNow() != 2 {
		t.Errorf("%d servers are awake", f.awakeNow())
	}
	_, err = f.Wake(t.Context(), tenantA, "nosuch")
	wantKind(t, "wake a branch that is not there", err, api.ErrNotFound, "nosuch")
	_, err = f.Wake(t.Context(), tenantA, "main@0/1")
	wantKind(t, "wake what is not kept", err, api.ErrOutOfRange, "0/1")
}

// TestWakeIdle: a server without clients is stopped, one with clients or of pg start is not.
func TestWakeIdle(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{Wake: WakeLimits{Idle: 100 * time.Millisecond}})
	for _, name := range []string{"left", "used", "started"} {
		if _, err := f.BranchCreate(t.Context(), tenantA, name, MainBranch, api.BranchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	used := f.wake(t, "used")
	started := f.wake(t, "started")
	if _, err := f.PgStart(t.Context(), tenantA, "started", api.ComputeOptions{}); err != nil {
		t.Fatal(err)
	}
	started.Release()
	state := f.wake(t, f.branchOf(t, MainBranch).tl.LastLSN().String())
	dir := state.Compute.Dir
	state.Release()
	f.wake(t, "left").Release()
	eventuallyTrue(t, "servers without clients to stop", func() bool { return f.awakeNow() == 1 })
	if f.statusOf(t, "left") != api.ComputeStopped || exists(dir) {
		t.Errorf("left is %s, the server of a state has a directory: %v", f.statusOf(t, "left"), exists(dir))
	}
	if f.statusOf(t, "used") != api.ComputeRunning || f.statusOf(t, "started") != api.ComputeRunning {
		t.Errorf("used is %s, started is %s", f.statusOf(t, "used"), f.statusOf(t, "started"))
	}
	if again := f.wake(t, "left"); again.Compute.Status != api.ComputeRunning {
		t.Errorf("woken again: %+v", again)
	}
	used.Release()
}

// TestWakeMax: the idlest server makes room for another one; where all have clients there is no room.
func TestWakeMax(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{Wake: WakeLimits{Max: 1}})
	if _, err := f.BranchCreate(t.Context(), tenantA, "dev", MainBranch, api.BranchOptions{}); err != nil {
		t.Fatal(err)
	}
	first := f.wake(t, MainBranch)
	_, err := f.Wake(t.Context(), tenantA, "dev")
	wantKind(t, "wake one more", err, api.ErrTooMany, "1 postgres run already")
	first.Release()
	f.wake(t, "dev")
	if f.statusOf(t, MainBranch) != api.ComputeStopped || f.awakeNow() != 1 {
		t.Errorf("main is %s, %d are awake", f.statusOf(t, MainBranch), f.awakeNow())
	}
}

// TestWakeAfterStop: a server that somebody has stopped is started anew for the next client, and one that nobody uses
// is not in the way of whoever deletes its branch.
func TestWakeAfterStop(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{})
	if _, err := f.BranchCreate(t.Context(), tenantA, "dev", MainBranch, api.BranchOptions{}); err != nil {
		t.Fatal(err)
	}
	first := f.wake(t, "dev")
	if err := f.PgStop(t.Context(), tenantA, "dev", api.StopOptions{}); err != nil {
		t.Fatal(err)
	}
	second := f.wake(t, "dev")
	if second.Compute.Status != api.ComputeRunning {
		t.Errorf("woken after a stop: %+v", second.Compute)
	}
	wantKind(t, "delete a branch with clients", f.BranchDelete(t.Context(), tenantA, "dev", false), api.ErrBusy, "dev")
	first.Release()
	second.Release()
	if err := f.BranchDelete(t.Context(), tenantA, "dev", false); err != nil {
		t.Errorf("delete a branch whose server nobody uses: %v", err)
	}
	if f.awakeNow() != 0 {
		t.Errorf("%d servers are awake", f.awakeNow())
	}
}

// TestWakeGivesUp: a client that stops waiting leaves nothing behind, and the start goes on for the next one.
func TestWakeGivesUp(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{Wake: WakeLimits{Idle: -1}})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if w, err := f.Wake(ctx, tenantA, MainBranch); err == nil {
		w.Release() // the start was faster than the look at the context
	} else if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if w := f.wake(t, MainBranch); w.Compute.Status != api.ComputeRunning {
		t.Errorf("got %+v", w.Compute)
	}
}
