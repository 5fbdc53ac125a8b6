package tenants

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"zenith/internal/api"
	"zenith/repo"
)

// WakeLimits bound the servers that run only because clients of a gateway want them.
type WakeLimits struct {
	Idle time.Duration // a server that has had no client for so long is stopped; negative: never; default 5 min
	Max  int           // servers at once; default 32
}

// The defaults of WakeLimits.
const (
	defaultWakeIdle = 5 * time.Minute
	defaultWakeMax  = 32
)

// awakeKey names what a server is woken for.
type awakeKey struct {
	tenant repo.TenantID
	name   string // a branch, for its head; or TIMELINE@LSN
}

// saidPoint is a point as clients write it. An age means another LSN later, and the name of a branch another timeline,
// once the branch was reset.
type saidPoint struct {
	tenant   repo.TenantID
	timeline repo.TimelineID
	text     string
}

// maxTexts is how many texts are remembered for one server: clients choose them.
const maxTexts = 100

// wakes are the servers that Wake has given to clients.
type wakes struct {
	limits WakeLimits

	mu      sync.Mutex
	servers map[awakeKey]*awake
	said    map[saidPoint]*awake // the server that a text means for as long as it runs
}

func newWakes(l WakeLimits) *wakes {
	if l.Idle == 0 {
		l.Idle = defaultWakeIdle
	}
	if l.Max == 0 {
		l.Max = defaultWakeMax
	}
	return &wakes{limits: l, servers: map[awakeKey]*awake{}, said: map[saidPoint]*awake{}}
}

// awake is a server that was woken, or is being started or stopped. Its fields are guarded by wakes.mu, but for those
// that are valid once ready is closed.
type awake struct {
	key   awakeKey
	point string // for which the server is started: NAME, or TIMELINE@LSN
	state string // see api.Woken

	timeline repo.TimelineID

	clients int
	since   time.Time     // when the last client left; while it is started, when it was asked for
	texts   []saidPoint   // in wakes.said
	gone    chan struct{} // closed when it is stopped; nil: it is not being stopped

	ready   chan struct{} // closed when it accepts connections, or did not start
	err     error         // why it did not start
	compute *compute
	stop    func(context.Context) error // ends one on a scratch mount, and removes it; nil: it is on a head
}

// Wake implements api.Waker.
func (m *Manager) Wake(ctx context.Context, tenant, point string) (api.Woken, error) {
	for {
		a, err := m.asleepOrAwake(ctx, tenant, point)
		if err != nil {
			return api.Woken{}, err
		}
		release := sync.OnceFunc(func() { m.wakes.leave(a) })
		select {
		case <-a.ready:
		case <-ctx.Done():
			release()
			return api.Woken{}, fmt.Errorf("start postgres for %s: %w", point, ctx.Err())
		}
		if a.err != nil {
			release()
			return api.Woken{}, a.err
		}
		if d := a.compute.describe(); d.Status == api.ComputeRunning {
			return api.Woken{Compute: d, State: a.state, Release: release}, nil
		}
		m.endAwake(a) // somebody has stopped it, or it has crashed
		release()
		if err := ctx.Err(); err != nil {
			return api.Woken{}, fmt.Errorf("start postgres for %s: %w", point, err)
		}
	}
}

// asleepOrAwake gives the server for a point, which counts the caller as a client. If there is none, its start begins.
func (m *Manager) asleepOrAwake(ctx context.Context, tenant, point string) (*awake, error) {
	t, release, err := m.tenant(ctx, tenant)
	if err != nil {
		return nil, err
	}
	defer release()
	for {
		said, err := t.said(point)
		if err != nil {
			return nil, err
		}
		a, stopping := m.wakes.join(said)
		if a == nil && stopping == nil {
			if a, err = t.sleeper(ctx, point); err != nil {
				return nil, err
			}
			a, stopping, err = m.enter(a, said)
		}
		if stopping == nil {
			return a, err
		}
		select {
		case <-stopping:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for postgres of %s to stop: %w", point, ctx.Err())
		}
	}
}

// said gives the key under which the meaning of a point's text is remembered.
func (t *tenant) said(point string) (saidPoint, error) {
	name, _, _ := t.splitPoint(point)
	b, err := t.lookup(name)
	if err != nil {
		return saidPoint{}, err
	}
	return saidPoint{t.id, b.tl.ID(), point}, nil
}

// sleeper makes the entry for the server of a point, which does not run yet.
func (t *tenant) sleeper(ctx context.Context, point string) (*awake, error) {
	b, at, p, err := t.point(ctx, point)
	if err != nil {
		return nil, err
	}
	a := &awake{key: awakeKey{t.id, b.tl.Name()}, point: b.tl.Name(), timeline: b.tl.ID(), ready: make(chan struct{})}
	if p.Head() {
		return a, nil
	}
	a.point = b.tl.ID().String() + "@" + at.LSN.String()
	a.key.name, a.state = a.point, stateText(b.tl.Name(), at)
	return a, nil
}

// stateText says which state of a branch a point is.
func stateText(branch string, at repo.Point) string {
	text := fmt.Sprintf("%s at %v", branch, at.LSN)
	if at.State.LastCommitLSN != 0 {
		text += ", after the commit of " + at.State.LastCommit.Time().UTC().Format("2006-01-02 15:04:05.000Z")
	}
	return text + "; what you write is thrown away"
}

// join counts the caller as a client of the server that a text means already. stopping is closed when that
// one is gone, if it is being stopped.
func (w *wakes) join(said saidPoint) (a *awake, stopping <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	a = w.said[said]
	if a == nil {
		return nil, nil
	}
	if a.gone != nil {
		return nil, a.gone
	}
	a.clients++
	return a, nil
}

// enter puts a new server into the list and begins to start it, unless one of its key is there: then it gives that.
// The caller counts as its client. If there are as many servers as may be, the one that has been without a client
// longest makes room.
func (m *Manager) enter(fresh *awake, said saidPoint) (a *awake, stopping <-chan struct{}, err error) {
	w := m.wakes
	w.mu.Lock()
	defer w.mu.Unlock()
	if a := w.servers[fresh.key]; a != nil {
		if a.gone != nil {
			return nil, a.gone, nil
		}
		w.meanLocked(a, said)
		a.clients++
		return a, nil, nil
	}
	if len(w.servers) >= w.limits.Max {
		idlest := w.idlestLocked()
		if idlest == nil {
			return nil, nil, api.Errorf(api.ErrTooMany, "%d postgres run already, and all have clients (gateway.max in pageserver.toml)", w.limits.Max)
		}
		if !m.sleepLocked(idlest) {
			return nil, nil, errShutDown()
		}
		return nil, idlest.gone, nil // then there is room
	}
	fresh.clients, fresh.since = 1, time.Now()
	w.servers[fresh.key] = fresh
	w.meanLocked(fresh, said)
	if !m.background(func() { m.startAwake(fresh) }) {
		w.removeLocked(fresh)
		return nil, nil, errShutDown()
	}
	return fresh, nil, nil
}

// meanLocked notes which server a text means from now on.
func (w *wakes) meanLocked(a *awake, said saidPoint) {
	if w.said[said] == nil && len(a.texts) < maxTexts {
		w.said[said] = a
		a.texts = append(a.texts, said)
	}
}

// idlestLocked gives the server that has been without clients longest; nil: all have some.
func (w *wakes) idlestLocked() (idlest *awake) {
	for _, a := range w.servers {
		if a.clients == 0 && a.gone == nil && (idlest == nil || a.since.Before(idlest.since)) {
			idlest = a
		}
	}
	return idlest
}

// wakeTime bounds a start that nobody may be waiting for any more.
const wakeTime = 10 * time.Minute

// startAwake starts the server of a new entry.
func (m *Manager) startAwake(a *awake) {
	ctx, cancel := context.WithTimeout(m.ctx, wakeTime)
	defer cancel()
	a.compute, a.stop, a.err = m.startFor(ctx, a)
	if a.err != nil {
		a.err = classify(a.err)
		m.wakes.forget(a)
	}
	close(a.ready)
}

// startFor starts a server as a key says: that of a head as PgStart would, any other on a scratch mount.
func (m *Manager) startFor(ctx context.Context, a *awake) (*compute, func(context.Context) error, error) {
	if a.state != "" {
		return m.throwaway(ctx, a.key.tenant.String(), a.point, scratchOptions, (*compute).listen)
	}
	t, release, err := m.tenant(ctx, a.key.tenant.String())
	if err != nil {
		return nil, nil, err
	}
	defer release()
	for {
		c, created, err := m.findOrCreate(ctx, t, a.point)
		if err != nil {
			return nil, nil, err
		}
		err = c.wake(ctx)
		switch {
		case errors.Is(err, errGone):
			continue
		case err != nil && created:
			m.logLastWords(c)
			err = errors.Join(err, c.dropIdle())
		}
		return c, nil, err
	}
}

// scratchOptions are for servers on states, whose writes are thrown away: they need not be on a disk.
var scratchOptions = api.ComputeOptions{Settings: []api.Setting{{Name: "fsync", Value: "off"}}}

// leave takes a client off a server.
func (w *wakes) leave(a *awake) {
	w.mu.Lock()
	defer w.mu.Unlock()
	a.clients--
	a.since = time.Now()
}

// forget takes a server out of the list that does not run any more.
func (w *wakes) forget(a *awake) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.removeLocked(a)
}

func (w *wakes) removeLocked(a *awake) {
	if w.servers[a.key] != a {
		return
	}
	delete(w.servers, a.key)
	for _, said := range a.texts {
		delete(w.said, said)
	}
}
