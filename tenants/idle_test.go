package tenants

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"zenith/internal/api"
	"zenith/internal/pgtest"
)

const tenantA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

// newManager makes a Manager with one tenant, which closes what is idle almost at once.
func newManager(t *testing.T, cfg Config) *Manager {
	t.Helper()
	cfg.Dir, cfg.PgDistrib = pgtest.TempDir(t), pgtest.BinDir(t)+"/.."
	if err := os.Chmod(cfg.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	m, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if _, err := m.TenantCreate(t.Context(), tenantA, func(string, int64, int64) {}); err != nil {
		t.Fatal(err)
	}
	return m
}

func waitOpen(t *testing.T, m *Manager, want int) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); len(m.openTenants()) != want; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d tenants are open, want %d", len(m.openTenants()), want)
		}
	}
}

// TestIdleTenantIsClosed: a tenant stays open while a request or a mount uses it, and is opened
// again for the next one.
func TestIdleTenantIsClosed(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("needs postgres")
	}
	m := newManager(t, Config{IdleTime: 30 * time.Millisecond})
	src, err := m.Pages(t.Context(), tenantA, MainBranch)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond)
	waitOpen(t, m, 1)
	if err := src.Close(); err != nil {
		t.Error(err)
	}
	waitOpen(t, m, 0)

	b, release, err := m.lookup(t.Context(), tenantA, MainBranch)
	if err != nil {
		t.Fatal(err)
	}
	b.use(1) // as a mount does
	release()
	time.Sleep(200 * time.Millisecond)
	waitOpen(t, m, 1)
	b.use(-1)
	waitOpen(t, m, 0)
}

// TestIdleTenantIsOpenedAgain: many who come and go while it is being closed all get it.
func TestIdleTenantIsOpenedAgain(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("needs postgres")
	}
	m := newManager(t, Config{IdleTime: 3 * time.Millisecond})
	var all sync.WaitGroup
	for n := range 4 {
		all.Go(func() {
			for i := range 40 {
				name := fmt.Sprintf("b%d-%d", n, i)
				_, err := m.BranchCreate(t.Context(), tenantA, name, MainBranch)
				if err == nil {
					time.Sleep(time.Duration(i%5) * time.Millisecond)
					_, err = m.LSN(t.Context(), tenantA, name)
				}
				if err != nil {
					t.Errorf("%s: %v", name, err)
					return
				}
				time.Sleep(time.Duration(n+i%7) * time.Millisecond)
			}
		})
	}
	all.Wait()
	list, err := m.BranchList(t.Context(), tenantA)
	if err != nil || len(list) != 4*40+1 {
		t.Errorf("%d branches, %v", len(list), err)
	}
}

// TestConfigurationsSideBySide: what one Manager is told is nothing to another in the process.
func TestConfigurationsSideBySide(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("needs postgres")
	}
	for _, none := range []bool{false, true} {
		t.Run(fmt.Sprintf("no checksums %v", none), func(t *testing.T) {
			t.Parallel()
			m := newManager(t, Config{NoChecksums: none, DefaultTenant: tenantA})
			b, release, err := m.lookup(t.Context(), "", MainBranch)
			if err != nil {
				t.Fatal(err)
			}
			defer release()
			p, err := b.tl.Resolve(t.Context(), b.tl.FirstLSN())
			if err != nil {
				t.Fatal(err)
			}
			if (p.State.ChecksumVersion == 0) != none {
				t.Errorf("data checksum version %d", p.State.ChecksumVersion)
			}
		})
	}
}

var _ api.Service = (*Manager)(nil)
