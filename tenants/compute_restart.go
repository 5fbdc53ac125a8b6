package tenants

import (
	"context"
	"errors"

	"zenith/internal/api"
)

// PgReload has a running postgres read its configuration again, as pg_ctl reload does.
func (m *Manager) PgReload(ctx context.Context, tenant, name string) error {
	c, release, err := m.computeOf(ctx, tenant, name)
	if err != nil {
		return err
	}
	defer release()
	return c.whileRunning(ctx, func() error { return c.proc.Reload() })
}

// PgRestart stops a running postgres and starts it as it was started the last time: on the installation that is there
// now, on a fresh mount.
func (m *Manager) PgRestart(ctx context.Context, tenant, name string) (api.Compute, error) {
	c, release, err := m.computeOf(ctx, tenant, name)
	if err != nil {
		return api.Compute{}, err
	}
	defer release()
	if err := c.whileRunning(ctx, func() error { return c.restart(ctx) }); err != nil {
		return api.Compute{}, classify(err)
	}
	return c.withPlace(ctx), nil
}

// whileRunning has do work with a compute whose postgres runs, and with the turn.
func (c *compute) whileRunning(ctx context.Context, do func() error) error {
	if err := c.take(ctx); err != nil {
		return err
	}
	defer c.give()
	c.findRestarted()
	if c.proc == nil || !c.proc.Running() {
		return api.Errorf(api.ErrNotFound, "pg %s: is not running", c.name)
	}
	return do()
}

// restart is PgRestart for a caller that has the turn. One that does not start again is left stopped, and is brought back
// with the page server if that is asked for.
func (c *compute) restart(ctx context.Context) error {
	if err := c.shutDown(ctx, ""); err != nil {
		return err
	}
	if err := c.putAway(ctx, false); err != nil {
		return err
	}
	err := c.run(ctx, c.saved, c.asked)
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) { // the caller is gone, the postgres must not be
		err = c.run(c.t.m.ctx, c.saved, c.asked)
	}
	return err
}
