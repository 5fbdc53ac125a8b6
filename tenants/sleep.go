package tenants

import (
	"context"
	"time"

	"zenith/internal/api"
	"zenith/repo"
)

// sleepLook is how often the servers without clients are looked at, at the least.
const sleepLook = 15 * time.Second

// runSleep stops servers that have been without clients for long, until the Manager closes.
func (m *Manager) runSleep() {
	idle := m.wakes.limits.Idle
	if idle < 0 {
		return
	}
	m.every(min(max(idle/10, 50*time.Millisecond), sleepLook), func(now time.Time) { m.sleepIdle(now.Add(-idle)) })
}

// sleepIdle begins to stop the servers whose last client left before a time.
func (m *Manager) sleepIdle(before time.Time) {
	w := m.wakes
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.servers {
		if a.clients == 0 && a.gone == nil && a.since.Before(before) {
			m.sleepLocked(a)
		}
	}
}

// sleepLocked begins to stop a server without clients: from now on, callers of Wake wait until it is gone. It reports
// whether it does; when the Manager is being closed, it does not. wakes.mu is held.
func (m *Manager) sleepLocked(a *awake) bool {
	gone := make(chan struct{})
	begun := m.background(func() {
		<-a.ready
		defer close(gone)
		defer m.wakes.forget(a)
		if err := a.end(m.ctx); err != nil {
			m.log.Error("stop a postgres that has no clients", "tenant", a.key.tenant, "point", a.point, "err", err)
		}
	})
	if begun {
		a.gone = gone
	}
	return begun
}

// end stops the server, unless it did not start, or PgStart was called for it meanwhile.
func (a *awake) end(ctx context.Context) error {
	switch {
	case a.err != nil:
		return nil
	case a.stop != nil:
		return a.stop(ctx)
	}
	return a.compute.sleep(ctx)
}

// endAwake takes a server out of the list that has ended, whoever did that. What is left of one on a scratch mount
// goes in the background.
func (m *Manager) endAwake(a *awake) {
	w := m.wakes
	w.mu.Lock()
	defer w.mu.Unlock()
	listed := w.servers[a.key] == a
	w.removeLocked(a)
	if !listed || a.stop == nil {
		return
	}
	m.background(func() { // when the Manager is being closed, it stops all servers anyway
		if err := a.stop(m.ctx); err != nil {
			m.log.Error("remove a postgres that has ended", "tenant", a.key.tenant, "point", a.point, "err", err)
		}
	})
}

// sleepOn stops the servers on states of a timeline, and on its head, that were woken and have no clients now: they must
// not be in the way of whoever wants to delete or change the branch. It waits for their ends.
func (m *Manager) sleepOn(ctx context.Context, tenant repo.TenantID, timeline repo.TimelineID) error {
	for _, gone := range m.beginSleepOn(tenant, timeline) {
		select {
		case <-gone:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (m *Manager) beginSleepOn(tenant repo.TenantID, timeline repo.TimelineID) (ends []<-chan struct{}) {
	w := m.wakes
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.servers {
		if a.key.tenant != tenant || a.timeline != timeline || a.clients > 0 || a.gone == nil && !m.sleepLocked(a) {
			continue
		}
		ends = append(ends, a.gone)
	}
	return ends
}

// wake starts the compute of a branch because a client wants it, unless it runs.
func (c *compute) wake(ctx context.Context) error {
	if err := c.take(ctx); err != nil {
		return err
	}
	defer c.give()
	if c.state == stateGone {
		return errGone
	}
	c.findRestarted()
	if c.state == stateRunning && c.proc.Running() {
		return nil
	}
	if err := c.run(ctx, c.saved, api.ComputeOptions{}); err != nil {
		return err
	}
	c.change(func() { c.restarts, c.fell, c.woken = 0, 0, true })
	return nil
}

// sleep stops the compute, if it was started by wake, and by nobody since.
func (c *compute) sleep(ctx context.Context) error {
	if err := c.take(ctx); err != nil {
		return err
	}
	defer c.give()
	if !c.woken || c.state != stateRunning {
		return nil
	}
	return c.halt(ctx, api.StopOptions{}, false)
}

// listen has a throw-away compute accept clients of a gateway: through TCP, too, where each has to prove who it is. It
// is called before the compute starts.
func (c *compute) listen() { c.listens = true }
