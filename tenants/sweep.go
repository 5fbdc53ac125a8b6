package tenants

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"zenith/internal/api"
	"zenith/internal/durable"
	"zenith/repo"
)

// Branches that have expired are deleted by the sweeper, and can be brought back as others that were deleted. One that
// somebody still needs stays until nobody does: it has branches of its own, a tag, a mount or clients.

// defaultSweepEvery is how often the sweeper looks.
const defaultSweepEvery = 5 * time.Second

// runSweeper deletes what has expired, until the Manager closes.
func (m *Manager) runSweeper() {
	due := make(map[string]time.Time) // of tenants that are closed: when something of them expires
	m.every(m.cfg.SweepEvery, func(time.Time) {
		m.eachTenant(func(id string) {
			if !m.sweepDue(id, due) {
				return
			}
			if err := m.sweep(m.ctx, id); err != nil && m.ctx.Err() == nil {
				m.log.Error("delete branches that have expired", "tenant", id, "err", err)
			}
		})
	})
}

// sweepDue reports whether a tenant is to be swept: it is open, or something of it has expired. The note of a closed
// tenant does not change, so it is read once.
func (m *Manager) sweepDue(id string, due map[string]time.Time) bool {
	if m.isOpen(id) {
		delete(due, id)
		return true
	}
	at, known := due[id]
	if !known {
		at = readExpiry(m.expiryPath(id))
		due[id] = at
	}
	if at.IsZero() || time.Now().Before(at) {
		return false
	}
	delete(due, id)
	return true
}

// lookAgain is after which time a closed tenant is opened again for a branch that has expired and was still needed.
const lookAgain = time.Hour

// sweep deletes those of a tenant's branches that have expired and that nobody needs.
func (m *Manager) sweep(ctx context.Context, id string) error {
	t, release, err := m.tenantUnused(ctx, id)
	if err != nil {
		return err
	}
	defer release()
	now := time.Now()
	again := now.Add(lookAgain)
	var soonest time.Time
	for _, tl := range slices.Backward(t.repo.Timelines()) { // children before their ancestors
		at := tl.Attributes().Expires
		switch {
		case at == nil:
			t.waitsFor(tl, "")
			continue
		case now.Before(*at):
			t.waitsFor(tl, "")
		case t.expire(ctx, tl):
			continue
		default:
			at = &again
		}
		if soonest.IsZero() || at.Before(soonest) {
			soonest = *at
		}
	}
	return t.soonest.swept(t, now, soonest)
}

// expire deletes a branch that has expired, unless somebody needs it.
func (t *tenant) expire(ctx context.Context, tl *repo.Timeline) bool {
	name := tl.Name()
	b, err := t.branch(tl)
	if err == nil {
		err = t.stopExpired(ctx, b)
	}
	if at := tl.Attributes().Expires; err == nil && (at == nil || time.Now().Before(*at) || tl.Name() != name) {
		return false // somebody has kept it, or it has another's place, while its postgres was stopped
	}
	if err == nil {
		err = t.deleteBranch(ctx, b, true)
	}
	if err == nil {
		t.log.Info("deleted a branch that has expired", "branch", name, "timeline", tl.ID())
		return true
	}
	if ctx.Err() == nil && !errors.Is(err, api.ErrNotFound) {
		t.waitsFor(tl, strings.TrimPrefix(oneLine(err), "branch "+name+": "))
	}
	return false
}

// stopExpired stops the postgres of a branch that has expired, unless clients are connected to it.
func (t *tenant) stopExpired(ctx context.Context, b *branch) error {
	if err := t.checkLeaf(b.tl); err != nil {
		return err // it stays anyhow
	}
	for c := t.computeOn(b); c != nil; c = t.computeOn(b) {
		if err := c.take(ctx); err != nil {
			return err
		}
		err := c.standDown(ctx, false)
		c.give()
		if err != nil {
			return err
		}
		t.log.Info("stopped the postgres of a branch that has expired", "branch", b.tl.Name(), "name", c.name)
	}
	return nil
}

// waitsFor notes why a branch that has expired is still there, and logs it when that changes; "": it need not go.
func (t *tenant) waitsFor(tl *repo.Timeline, why string) {
	t.mu.Lock()
	was := t.waits[tl.ID()]
	if why == "" {
		delete(t.waits, tl.ID())
	} else {
		t.waits[tl.ID()] = why
	}
	t.mu.Unlock()
	if why != "" && why != was {
		t.log.Warn("a branch that has expired is still needed", "branch", tl.Name(), "why", why)
	}
}

// The time at which the first of a tenant's branches expires is in a file, too: a tenant that is closed is opened when it
// has come. It may be too early, never too late. Nothing is lost with the file: where it makes no sense, the time has come.

func (m *Manager) expiryPath(tenant string) string {
	return filepath.Join(m.tenantsDir(), tenant, "expires")
}

// readExpiry reads such a file; zero if there is none.
func readExpiry(path string) time.Time {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return time.Time{}
	}
	at, err := time.Parse(time.RFC3339Nano, strings.TrimSpace(string(text)))
	if err != nil {
		return time.Now()
	}
	return at
}

// expiryNote is what the file says.
type expiryNote struct {
	mu    sync.Mutex
	known bool
	at    time.Time // zero: there is no file
}

// noteExpiry is called before a branch gets an expiry; nil: it has none.
func (t *tenant) noteExpiry(at *time.Time) error {
	n := &t.soonest
	n.mu.Lock()
	defer n.mu.Unlock()
	if at == nil || n.known && !n.at.IsZero() && !at.Before(n.at) {
		return nil
	}
	return n.writeLocked(t, *at)
}

// swept is called with the soonest expiry, zero if there is none, that a sweep which began at now has found. A note that
// is earlier and has not come stays: a branch may have got its expiry meanwhile.
func (n *expiryNote) swept(t *tenant, now, soonest time.Time) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.known && (n.at.Equal(soonest) || n.at.After(now) && (soonest.IsZero() || n.at.Before(soonest))) {
		return nil
	}
	return n.writeLocked(t, soonest)
}

func (n *expiryNote) writeLocked(t *tenant, at time.Time) (err error) {
	path := t.m.expiryPath(t.id.String())
	if !at.IsZero() {
		err = durable.WriteFile(path, []byte(at.UTC().Format(time.RFC3339Nano)+"\n"), 0o600)
	} else if err = os.Remove(path); errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	n.known, n.at = err == nil, at
	return err
}
