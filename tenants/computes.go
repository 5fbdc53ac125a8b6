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
	c.t.mu.Lock()
	old := c.t.computes[c.name]
	if old == nil {
		c.t.computes[c.name] = c
	}
	c.t.mu.Unlock()
	if old != nil {
		c = old
	}
	c.mu.Lock()
	if old != nil && !old.damaged {
		err = api.Errorf(api.ErrExists, "pg %s: already exists", point)
	} else {
		err = errors.Join(c.set(o), c.create())
	}
	c.mu.Unlock()
	if err != nil && old == nil {
		c.t.forget(c)
		err = errors.Join(err, os.RemoveAll(c.dir))
	}
	if err != nil {
		return api.Compute{}, err
	}
	return c.withPlace(ctx), nil
}

// newCompute makes a compute for a point that exists. It is not yet in the tenant's list, and
// nothing of it is on disk. The tenant stays open until release is called.
func (m *Manager) newCompute(ctx context.Context, tenant, point string) (c *compute, release func(), err error) {
	t, release, err := m.tenant(ctx, tenant)
	if err != nil {
		return nil, nil, err
	}
	if _, _, _, err = t.point(ctx, point); err == nil {
		err = m.pg.Check(ctx)
	}
	if err != nil {
		release()
		return nil, nil, err
	}
	return &compute{
		t: t, name: point, dir: t.computeDir(point),
		saved: savedCompute{Point: point, Settings: map[string]string{}},
	}, release, nil
}

// PgStart starts a compute, creating it if need be.
func (m *Manager) PgStart(ctx context.Context, tenant, point string, o api.ComputeOptions) (api.Compute, error) {
	t, release, err := m.tenant(ctx, tenant)
	if err != nil {
		return api.Compute{}, err
	}
	defer release()
	c, err := t.compute(point)
	created := errors.Is(err, api.ErrNotFound)
	if created {
		if _, err = m.PgCreate(ctx, tenant, point, o); err != nil {
			return api.Compute{}, err
		}
		c, err = t.compute(point)
	}
	if err != nil {
		return api.Compute{}, err
	}
	if err := c.start(ctx, o); err != nil {
		if created { // nothing is left half made; its log's last words are in the error
			t.forget(c)
			err = errors.Join(err, os.RemoveAll(c.dir))
		} else if !errors.As(err, new(*api.Error)) {
			err = fmt.Errorf("%w (log: %s)", err, c.logPath())
		}
		return api.Compute{}, classify(err)
	}
	return c.describe(), nil
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

// PgStop stops a compute.
func (m *Manager) PgStop(ctx context.Context, tenant, name string, o api.StopOptions) error {
	t, release, err := m.tenant(ctx, tenant)
	if err != nil {
		return err
	}
	defer release()
	c, err := t.compute(name)
	if err != nil {
		return err
	}
	return classify(c.stop(ctx, o))
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

// withPlace describes the compute; a writable one is at its branch's head.
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

// PgExec starts a throw-away postgres at a point. The tenant stays open until stop is called.
func (m *Manager) PgExec(ctx context.Context, tenant, point string) (api.Compute, func(context.Context) error, error) {
	c, release, err := m.newCompute(ctx, tenant, point)
	if err != nil {
		return api.Compute{}, nil, err
	}
	release = sync.OnceFunc(release)
	c.throwaway = true
	c.dir = c.t.computeDir(postgres.ThrowawayPrefix + time.Now().UTC().Format("150405.000000000"))
	m.execs.Store(c, true)
	if err := c.start(ctx, api.ComputeOptions{}); err != nil {
		m.execs.Delete(c)
		release()
		return api.Compute{}, nil, errors.Join(classify(err), os.RemoveAll(c.dir))
	}
	stop := func(ctx context.Context) error {
		defer release()
		m.execs.Delete(c)
		return c.stop(ctx, api.StopOptions{Mode: "immediate"}) // nothing in it is kept
	}
	return c.describe(), stop, nil
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
