package tenants

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"zenith/internal/api"
	"zenith/internal/postgres"
)

// PgCreate makes the directory and settings of a compute, and does not start it.
func (m *Manager) PgCreate(ctx context.Context, tenant, point string, o api.ComputeOptions) (api.Compute, error) {
	c, release, err := m.newCompute(ctx, tenant, point)
	if err != nil {
		return api.Compute{}, err
	}
	defer release()
	if c, err = c.enter(o); err != nil {
		return api.Compute{}, err
	}
	return c.withPlace(ctx), nil
}

// enter puts a new compute into the tenant's list and onto disk. If the list has one of its name
// whose settings are damaged, that one gets new settings instead. ErrExists: it has one that is whole.
func (c *compute) enter(o api.ComputeOptions) (*compute, error) {
	if err := c.take(context.Background()); err != nil { // nobody starts it before it is whole
		return nil, err
	}
	defer c.give()
	for {
		old := c.t.add(c)
		if old == nil {
			err := errors.Join(c.set(o), c.create())
			if err != nil {
				return nil, errors.Join(err, c.drop())
			}
			return c, nil
		}
		if err := old.mend(o); !errors.Is(err, errGone) {
			return old, err
		}
	}
}

// add puts a compute into the tenant's list, unless there is one of its name, which it gives.
func (t *tenant) add(c *compute) (old *compute) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if old := t.computes[c.name]; old != nil {
		return old
	}
	t.computes[c.name] = c
	return nil
}

// mend makes a compute whose settings are damaged anew.
func (c *compute) mend(o api.ComputeOptions) error {
	if err := c.take(context.Background()); err != nil {
		return err
	}
	defer c.give()
	switch {
	case c.state == stateGone:
		return errGone
	case !c.damaged:
		return api.Errorf(api.ErrExists, "pg %s: already exists", c.name)
	}
	return errors.Join(c.set(o), c.create())
}

// newCompute makes a compute for a point that exists. It is not yet in the tenant's list, and
// nothing of it is on disk. The tenant stays open until release is called.
func (m *Manager) newCompute(ctx context.Context, tenant, point string) (c *compute, release func(), err error) {
	t, release, err := m.tenant(ctx, tenant)
	if err != nil {
		return nil, nil, err
	}
	point = t.fullPoint(point)
	b, p, _, err := t.point(ctx, point)
	if err == nil {
		if _, err = m.pg.For(ctx, b.tl.VersionAt(p.LSN)); err != nil {
			err = fmt.Errorf("branch %s: %w", b.tl.Name(), err)
		}
	}
	if err != nil {
		release()
		return nil, nil, err
	}
	return t.makeCompute(point, t.computeDir(point)), release, nil
}

// PgStart starts a compute, creating it if need be.
func (m *Manager) PgStart(ctx context.Context, tenant, point string, o api.ComputeOptions) (api.Compute, error) {
	t, release, err := m.tenant(ctx, tenant)
	if err != nil {
		return api.Compute{}, err
	}
	defer release()
	point = t.fullPoint(point)
	for {
		c, created, err := m.findOrCreate(ctx, t, point)
		if err != nil {
			return api.Compute{}, err
		}
		err = c.start(ctx, o)
		if errors.Is(err, errGone) {
			continue
		}
		if err != nil && created { // nothing is left half made, but what its log says
			m.logLastWords(c)
			err = errors.Join(err, c.dropIdle())
		} else if err != nil && !errors.As(err, new(*api.Error)) {
			err = fmt.Errorf("%w (log: %s)", err, c.logPath())
		}
		if err != nil {
			return api.Compute{}, classify(err)
		}
		return c.describe(), nil
	}
}

// logLastWords puts the log of a postgres that did not start, and whose directory is about to be
// removed, into this process's log.
func (m *Manager) logLastWords(c *compute) {
	if text, err := os.ReadFile(c.logPath()); err == nil {
		m.log.Warn("postgres did not start", "tenant", c.t.id, "name", c.name, "log", string(text[max(0, len(text)-8<<10):]))
	}
}

// findOrCreate finds a compute by its name, or makes it. Whoever else makes it at the same time
// gets the same one.
func (m *Manager) findOrCreate(ctx context.Context, t *tenant, point string) (c *compute, created bool, err error) {
	for {
		if c, err = t.compute(point); err == nil {
			return c, created, nil
		}
		if _, err = m.PgCreate(ctx, t.id.String(), point, api.ComputeOptions{}); err == nil {
			created = true
		} else if !errors.Is(err, api.ErrExists) {
			return nil, false, err
		}
	}
}

// compute finds a compute by its name.
func (t *tenant) compute(name string) (*compute, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c, ok := t.computes[name]
	if !ok {
		return nil, api.Errorf(api.ErrNotFound, "pg %s: no such postgres", name)
	}
	return c, nil
}

// computeOf finds a compute by the name that PgList shows. Its tenant stays open until release is called.
func (m *Manager) computeOf(ctx context.Context, tenant, name string) (c *compute, release func(), err error) {
	t, release, err := m.tenant(ctx, tenant)
	if err != nil {
		return nil, nil, err
	}
	if c, err = t.compute(t.fullPoint(name)); err != nil {
		release()
		return nil, nil, err
	}
	return c, release, nil
}

// PgStop stops a compute.
func (m *Manager) PgStop(ctx context.Context, tenant, name string, o api.StopOptions) error {
	c, release, err := m.computeOf(ctx, tenant, name)
	if err != nil {
		return err
	}
	defer release()
	if err := c.stop(ctx, o); err != nil || o.Destroy {
		return classify(err)
	}
	return c.stayDown(ctx)
}

// PgList gives a tenant's computes, sorted by name.
func (m *Manager) PgList(ctx context.Context, tenant string) ([]api.Compute, error) {
	t, release, err := m.tenant(ctx, tenant)
	if err != nil {
		return nil, err
	}
	defer release()
	list := []api.Compute{}
	for _, c := range t.listComputes() {
		list = append(list, c.withPlace(ctx))
	}
	return list, nil
}

// withPlace describes the compute with its timeline and LSN, also where it is not mounted. The LSN of one on
// a branch is the branch's head, which moves.
func (c *compute) withPlace(ctx context.Context) api.Compute {
	d := c.describe()
	if id, ok := c.t.timelineOf(c.name); ok && d.Timeline == "" {
		d.Timeline = id.String()
	}
	if d.LSN == 0 || !c.onState() {
		if _, at, _, err := c.t.point(ctx, c.name); err == nil {
			d.LSN = at.LSN
		}
	}
	return d
}

// PgExec starts a throw-away postgres at a point. The tenant stays open until stop is called, or Close has
// stopped it.
func (m *Manager) PgExec(ctx context.Context, tenant, point string, o api.ComputeOptions) (api.Compute, func(context.Context) error, error) {
	c, stop, err := m.throwaway(ctx, tenant, point, o, func(*compute) {})
	if err != nil {
		return api.Compute{}, nil, err
	}
	return c.describe(), stop, nil
}

// throwaway starts a postgres at a point that is not in the tenant's list, and of which nothing is left when stop was
// called. prepare is called before the start.
func (m *Manager) throwaway(ctx context.Context, tenant, point string, o api.ComputeOptions, prepare func(*compute)) (*compute, func(context.Context) error, error) {
	c, release, err := m.newCompute(ctx, tenant, point)
	if err != nil {
		return nil, nil, err
	}
	c.throwaway, c.release = true, sync.OnceFunc(release)
	c.dir = c.t.computeDir(postgres.ThrowawayPrefix + time.Now().UTC().Format("150405.000000000"))
	prepare(c)
	m.execs.Store(c, true)
	if err := c.start(ctx, o); err != nil {
		m.execs.Delete(c)
		m.logLastWords(c)
		defer c.release()
		return nil, nil, errors.Join(classify(err), c.dropIdle())
	}
	stop := func(ctx context.Context) error {
		defer c.release() // also if it does not stop: its mount keeps the tenant open then
		m.execs.Delete(c)
		return c.stop(ctx, api.StopOptions{Mode: "immediate"}) // nothing in it is kept
	}
	return c, stop, nil
}

// stopComputes stops every postgres that runs.
func (m *Manager) stopComputes(ctx context.Context) error {
	running := []*compute{}
	m.execs.Range(func(c, _ any) bool {
		running = append(running, c.(*compute))
		return true
	})
	for _, t := range m.openTenants() {
		running = append(running, t.listComputes()...)
	}
	var err error
	for _, c := range running {
		if serr := c.stop(ctx, api.StopOptions{}); !errors.Is(serr, api.ErrNotFound) {
			err = errors.Join(err, serr)
		}
	}
	return err
}

// PgDistribs lists the installations that computes run on.
func (m *Manager) PgDistribs(ctx context.Context) ([]api.Distrib, error) { return m.pg.List(ctx), nil }
