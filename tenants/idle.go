package tenants

import (
	"context"
	"runtime/debug"
	"time"

	"zenith/repo"
)

// defaultIdleTime is short: opening a tenant costs milliseconds, while an open tenant without users costs
// timers and memory all day.
const defaultIdleTime = 15 * time.Second

// hold counts the caller as a user of a tenant, so that it is not closed before release is
// called. It gives nil for a tenant that is not open.
func (m *Manager) hold(id repo.TenantID) (*tenant, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, errShutDown()
	}
	t := m.tenants[id]
	if t != nil {
		t.users++
	}
	return t, nil
}

// release undoes one hold. The time for which the tenant must lie idle begins anew.
func (m *Manager) release(t *tenant) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t.users--
	t.used = time.Now()
	wake(m.freed)
}

// tenantUnused is tenant for what the page server does by itself: the time for which the tenant has been idle goes on.
func (m *Manager) tenantUnused(ctx context.Context, id string) (t *tenant, release func(), err error) {
	t, done, err := m.tenant(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	used := t.used
	return t, func() {
		done()
		m.mu.Lock()
		defer m.mu.Unlock()
		t.used = used
	}, nil
}

// waitClosed waits while a tenant is being closed, and reports whether it is open then.
func (m *Manager) waitClosed(id repo.TenantID) (open bool, err error) {
	for {
		m.mu.Lock()
		closing, closed := m.closing[id], m.closed
		open = m.tenants[id] != nil
		m.mu.Unlock()
		if closed {
			return false, errShutDown()
		}
		if closing == nil {
			return open, nil
		}
		<-closing
	}
}

// runIdle closes tenants that nobody uses, until the Manager closes.
func (m *Manager) runIdle() {
	m.every(m.cfg.IdleTime/3, func(now time.Time) {
		endIdleThreads()
		idle := m.takeIdle(now)
		for _, t := range idle {
			m.closeIdle(t)
		}
		if len(idle) > 0 {
			m.freeMemory()
		}
	})
}

// takeIdle takes the tenants out of the list that nobody has used for a while. While the disk is full
// they stay open.
func (m *Manager) takeIdle(now time.Time) (idle []*tenant) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil
	}
	for id, t := range m.tenants {
		if t.users == 0 && now.Sub(t.used) >= m.cfg.IdleTime && !m.busyLocked(t) && t.repo.ReadyToClose() == nil {
			delete(m.tenants, id)
			m.closing[id] = make(chan struct{})
			idle = append(idle, t)
		}
	}
	return idle
}

// countOpen counts the tenants whose stores are open, those that are being closed among them.
func (m *Manager) countOpen() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.tenants) + len(m.closing)
}

// closeIdle closes a tenant that takeIdle gave, and wakes the callers that wait to open it again.
func (m *Manager) closeIdle(t *tenant) {
	if err := t.close(); err != nil {
		t.log.Error("close idle tenant", "err", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	close(m.closing[t.id])
	delete(m.closing, t.id)
}

// freeMemory gives memory that closed tenants had reserved back to the operating system. If another store
// reserved it again, Go would fill it with zeros, and so make the machine provide it.
func (m *Manager) freeMemory() {
	if m.cfg.MemoryTarget > 0 {
		debug.FreeOSMemory()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.limitMemoryLocked()
}

// busyLocked reports whether something of a tenant is in use that outlives the request which began it: a
// mount, a postgres, a receiver, or a state that is shown in a mount of the whole tree.
func (m *Manager) busyLocked(t *tenant) bool {
	for _, mnt := range m.mounts {
		if mnt.tenant == t {
			return true
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.computes {
		if c.busy() {
			return true
		}
	}
	for _, b := range t.branches {
		if b.mounted() {
			return true
		}
	}
	return len(t.receivers) > 0
}
