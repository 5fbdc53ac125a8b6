package tenants

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"zenith/internal/api"
)

// closeIdleNow closes what has no user, as the background does after the idle time, and
// counts it.
func (f *fixture) closeIdleNow() int {
	idle := f.takeIdle(time.Now().Add(2 * f.cfg.IdleTime))
	for _, t := range idle {
		f.closeIdle(t)
	}
	return len(idle)
}

// TestIdleTenantIsClosed: a tenant stays open while somebody holds it or something of it is in
// use, and is opened again for the next one.
func TestIdleTenantIsClosed(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{IdleTime: time.Hour})
	src, err := f.Pages(t.Context(), tenantA, MainBranch)
	if err != nil {
		t.Fatal(err)
	}
	if n := f.closeIdleNow(); n != 0 {
		t.Error("a tenant was closed whose pages somebody reads")
	}
	if err := src.Close(); err != nil {
		t.Error(err)
	}
	if idle := f.takeIdle(time.Now()); len(idle) != 0 {
		t.Error("a tenant was closed before the idle time was over")
	}
	if n := f.closeIdleNow(); n != 1 {
		t.Error("a tenant that nobody uses was not closed")
	}
	b, release, err := f.lookup(t.Context(), tenantA, MainBranch)
	if err != nil {
		t.Fatal(err)
	}
	b.use(1) // as a mount does
	release()
	if n := f.closeIdleNow(); n != 0 {
		t.Error("a tenant was closed that is shown somewhere")
	}
	b.use(-1)
	if n := f.closeIdleNow(); n != 1 {
		t.Error("a tenant that is not shown any more was not closed")
	}
}

// TestBackgroundClosesIdleTenants without being asked.
func TestBackgroundClosesIdleTenants(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{IdleTime: 3 * time.Millisecond, MemoryTarget: 1 << 40})
	if _, err := f.LSN(t.Context(), tenantA, MainBranch); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the tenant is closed", func() bool { return f.countOpen() == 0 })
}

// TestIdleTenantIsOpenedAgain: many who come while the tenant is being closed all get it.
func TestIdleTenantIsOpenedAgain(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{IdleTime: time.Hour})
	const clients, rounds = 4, 10
	for i := range rounds {
		if _, err := f.LSN(t.Context(), tenantA, MainBranch); err != nil { // opens it
			t.Fatal(err)
		}
		idle := f.takeIdle(time.Now().Add(2 * f.cfg.IdleTime))
		if len(idle) != 1 {
			t.Fatalf("%d tenants are idle, want 1", len(idle))
		}
		var all sync.WaitGroup
		for n := range clients {
			all.Go(func() {
				name := fmt.Sprintf("b%d-%d", n, i)
				_, err := f.BranchCreate(t.Context(), tenantA, name, MainBranch, api.BranchOptions{})
				if err == nil {
					_, err = f.LSN(t.Context(), tenantA, name)
				}
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
			})
		}
		all.Go(func() { f.closeIdle(idle[0]) })
		all.Wait()
	}
	list, err := f.BranchList(t.Context(), tenantA)
	if err != nil || len(list) != clients*rounds+1 {
		t.Errorf("%d branches, %v", len(list), err)
	}
}

// TestConfigurationsSideBySide: what one Manager is told is nothing to another in the process.
func TestConfigurationsSideBySide(t *testing.T) {
	t.Parallel()
	without := emptyManager(t, Config{NoChecksums: true, DefaultTenant: tenantA})
	if _, err := without.TenantCreate(t.Context(), tenantA, api.TenantOptions{}, noProgress); err != nil {
		t.Fatal(err)
	}
	for none, f := range map[bool]*fixture{false: newManager(t, Config{DefaultTenant: tenantA}), true: without} {
		b, release, err := f.lookup(t.Context(), "", MainBranch)
		if err != nil {
			t.Fatal(err)
		}
		defer release()
		p, err := b.tl.Resolve(t.Context(), b.tl.FirstLSN())
		if err != nil {
			t.Fatal(err)
		}
		if (p.State.ChecksumVersion == 0) != none {
			t.Errorf("no checksums %v: data checksum version %d", none, p.State.ChecksumVersion)
		}
	}
}
