package tenants

import (
	"context"
	"errors"
	"strings"
	"time"

	"zenith/internal/api"
	"zenith/repo"
)

// protected reports whether a branch may neither be deleted nor renamed nor reset. Main is protected unless somebody
// has said that it is not.
func protected(tl *repo.Timeline) bool {
	if p := tl.Attributes().Protected; p != nil {
		return *p
	}
	return tl.Name() == MainBranch
}

func errProtected(tl *repo.Timeline) error {
	return api.Errorf(api.ErrNotAllowed, "branch %[1]s: is protected (branch protect %[1]s --off)", tl.Name())
}

// checkUnprotected refuses a protected branch.
func (b *branch) checkUnprotected() error {
	if protected(b.tl) {
		return errProtected(b.tl)
	}
	return nil
}

// withBranch finds a branch and keeps its tenant open while do works.
func (m *Manager) withBranch(ctx context.Context, id, name string, do func(*tenant, *branch) error) error {
	b, release, err := m.lookup(ctx, id, name)
	if err != nil {
		return err
	}
	defer release()
	return do(b.t, b)
}

// BranchExpire says when a branch is no longer needed.
func (m *Manager) BranchExpire(ctx context.Context, id, name string, when api.Expiry) (made api.Branch, err error) {
	err = m.withBranch(ctx, id, name, func(t *tenant, b *branch) error {
		at := when.From(time.Now())
		if err := t.noteExpiry(at); err != nil {
			return err
		}
		err := t.repo.SetAttributes(ctx, b.tl, func(a *repo.Attributes) error {
			if at != nil && protected(b.tl) {
				return errProtected(b.tl)
			}
			a.Expires = at
			return nil
		})
		made = describe(b.tl)
		return classify(err)
	})
	return made, err
}

// BranchProtect has a branch neither deleted nor renamed nor reset, or ends that.
func (m *Manager) BranchProtect(ctx context.Context, id, name string, on bool) error {
	return m.withBranch(ctx, id, name, func(t *tenant, b *branch) error {
		return classify(t.repo.SetAttributes(ctx, b.tl, func(a *repo.Attributes) error {
			if on && a.Expires != nil {
				return api.Errorf(api.ErrNotAllowed, "branch %[1]s: expires at %s (branch expire %[1]s never)", b.tl.Name(), a.Expires.UTC().Format(time.RFC3339))
			}
			a.Protected = &on
			return nil
		}))
	})
}

// BranchRename gives a branch another name. The computes of the old name go along, stopped.
func (m *Manager) BranchRename(ctx context.Context, id, name, to string) error {
	if err := api.CheckName(to); err != nil {
		return err
	}
	return m.withBranch(ctx, id, name, func(t *tenant, b *branch) error {
		if err := b.checkUnprotected(); err != nil {
			return err
		}
		if err := t.m.sleepOn(ctx, t.id, b.tl.ID()); err != nil {
			return err
		}
		old := b.tl.Name()
		var moving []*compute
		for _, c := range t.listComputes() {
			if name, _, _ := t.splitPoint(c.name); name == old {
				moving = append(moving, c)
			}
		}
		for _, c := range moving {
			if err := c.take(ctx); err != nil {
				return err
			}
			defer c.give()
			if c.busy() {
				return api.Errorf(api.ErrBusy, "branch %s: postgres runs on it (pg stop %s)", old, c.name)
			}
		}
		err := t.repo.Rename(ctx, b.tl, to)
		if errors.Is(err, repo.ErrExists) {
			return t.errNameTaken(to)
		}
		for _, c := range moving {
			if err == nil {
				err = c.moveTo(to + strings.TrimPrefix(c.name, old))
			}
		}
		return classify(err)
	})
}

// moveTo has a compute that is stopped be one for another point, with its port and settings. The caller has the turn.
func (c *compute) moveTo(point string) error {
	if c.state == stateGone {
		return nil
	}
	moved := c.t.makeCompute(point, c.t.computeDir(point))
	moved.saved = c.saved
	moved.saved.Point = point
	if err := moved.take(context.Background()); err != nil {
		return err
	}
	defer moved.give()
	if old := c.t.add(moved); old != nil {
		return nil // somebody has made one since the branch has that name: it is newer
	}
	if err := moved.create(); err != nil {
		return errors.Join(err, moved.drop())
	}
	return c.drop()
}
