package tenants

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"zenith/internal/api"
	"zenith/internal/pg"
	"zenith/repo"
)

// keptFor is how long the timeline stays at least whose place another one has taken.
const keptFor = 7 * 24 * time.Hour

// BranchReset has a branch's name stand for a point of any branch; "" is the head of the one that it began on.
func (m *Manager) BranchReset(ctx context.Context, id, name, point string, force bool) (res api.Replaced, err error) {
	err = m.withBranch(ctx, id, name, func(t *tenant, b *branch) error {
		if err := b.checkUnprotected(); err != nil {
			return err
		}
		if point == "" {
			parent, err := t.parentName(b.tl)
			if err != nil {
				return err
			}
			point = parent
		}
		res, err = t.replace(ctx, b, point, force, func(context.Context, *repo.Timeline) error { return nil })
		return err
	})
	return res, err
}

// BranchRestore has a branch's name stand for a point of its own past.
func (m *Manager) BranchRestore(ctx context.Context, id, name, point string, force bool) (res api.Replaced, err error) {
	err = m.withBranch(ctx, id, name, func(t *tenant, b *branch) error {
		if strings.HasPrefix(point, "@") || point == "" {
			point = b.tl.Name() + point
		} else if from, at, found := t.splitPoint(point); found && at == point {
			point = b.tl.Name() + "@" + at // a moment without a name: not main's, but this branch's
		} else if other, err := t.lookup(from); err != nil {
			return err
		} else if other != b && other.tl.Was() != b.tl.Name() {
			return api.Errorf(api.ErrBadArgument, "branch %[1]s: %[2]s is not of its own past (branch reset %[1]s %[2]s)", b.tl.Name(), point)
		}
		res, err = t.replace(ctx, b, point, force, t.ontoOwnTLI)
		return err
	})
	return res, err
}

// BranchPromote has a branch take the place of another one.
func (m *Manager) BranchPromote(ctx context.Context, id, name, over string, force bool) (res api.Replaced, err error) {
	err = m.withBranch(ctx, id, name, func(t *tenant, b *branch) error {
		if over == "" {
			parent, err := t.parentName(b.tl)
			if err != nil {
				return err
			}
			over = parent
		}
		old, err := t.lookup(over)
		if err == nil && old == b {
			err = api.Errorf(api.ErrBadArgument, "branch %s: is in that place already", name)
		}
		if err != nil {
			return err
		}
		res, err = t.promote(ctx, b, old, force)
		return err
	})
	return res, err
}

// parentName names the branch that a branch began on: if another timeline has the place of that by now, it is that one.
func (t *tenant) parentName(tl *repo.Timeline) (string, error) {
	parent, _ := tl.Ancestor()
	if parent == nil {
		return "", api.Errorf(api.ErrBadArgument, "branch %s: began on no other one: name a branch, or a point of one", tl.Name())
	}
	for _, name := range []string{parent.Was(), parent.Name()} {
		if name != "" && name != tl.Name() && t.hasBranch(name) {
			return name, nil
		}
	}
	return "", api.Errorf(api.ErrBadArgument, "branch %s: began on what it was itself before: name a branch, or a point of one", tl.Name())
}

// replace has a new timeline at a point take the place of b, and finish do something with it before its postgres starts.
func (t *tenant) replace(ctx context.Context, b *branch, point string, force bool, finish func(context.Context, *repo.Timeline) error) (res api.Replaced, err error) {
	from, at, _, err := t.point(ctx, point)
	if err != nil {
		return res, err
	}
	unpin, err := from.pin(at.LSN)
	if err != nil {
		return res, err
	}
	defer unpin()
	end, err := t.beginSuccession(ctx)
	if err != nil {
		return res, err
	}
	defer end()
	res.From, res.At = from.tl.Name(), at.LSN
	err = t.succeed(ctx, b, force, &res, func(ctx context.Context, kept repo.Kept) (*repo.Timeline, error) {
		tl, err := t.repo.Replace(ctx, b.tl, kept, from.tl, at.LSN)
		if err == nil {
			err = finish(ctx, tl)
		}
		return tl, err
	})
	return res, err
}

// ontoOwnTLI has a timeline that goes on from the past go on on a timeline of PostgreSQL's that no other one is on, as
// after a point-in-time recovery: archives and standbys have other WAL of the same LSNs under the present one's names.
// After a crash before the switch it stays on that, as a new branch does.
func (t *tenant) ontoOwnTLI(ctx context.Context, tl *repo.Timeline) error {
	now, at := tl.History().TLI(), tl.LastLSN()
	next := now
	for _, other := range t.repo.Timelines() {
		next = max(next, other.History().TLI())
	}
	next++
	var file []byte
	snap, err := tl.AtHead(ctx)
	if err == nil {
		file, err = snap.ReadFile(ctx, pg.HistoryPath(now))
		if errors.Is(err, repo.ErrNotFound) {
			err = nil // the first timeline has no history file
		}
	}
	if err == nil {
		file = fmt.Appendf(file, "%d\t%v\tzenith branch restore\n", now, at)
		err = tl.PutFile(ctx, pg.HistoryPath(next), file)
	}
	if err == nil {
		err = tl.MakeDirs()
	}
	if err == nil {
		err = tl.SwitchTLI(ctx, next, at)
	}
	if err != nil {
		return fmt.Errorf("begin timeline %d of PostgreSQL's: %w", next, err)
	}
	return nil
}

// promote has b take the place of old.
func (t *tenant) promote(ctx context.Context, b, old *branch, force bool) (res api.Replaced, err error) {
	if err := b.checkUnprotected(); err != nil { // its own name goes
		return res, err
	}
	end, err := t.beginSuccession(ctx)
	if err != nil {
		return res, err
	}
	defer end()
	own, err := t.standDown(ctx, b, force)
	if err != nil {
		return res, err
	}
	ctx = context.WithoutCancel(ctx) // what was stopped is started again
	if err := b.acquire("its promotion"); err != nil {
		return res, errors.Join(err, own.resume(ctx))
	}
	free := sync.OnceFunc(b.release)
	name := b.tl.Name()
	if res.At, err = b.catchup(ctx); err == nil {
		res.From = name
		err = t.succeed(ctx, old, force, &res, func(ctx context.Context, kept repo.Kept) (*repo.Timeline, error) {
			if err := t.repo.Promote(ctx, b.tl, old.tl, kept); err != nil {
				return nil, err
			}
			free() // before the postgres of the place starts on it
			return b.tl, nil
		})
	}
	free()
	if b.tl.Name() == name {
		return res, errors.Join(err, own.resume(ctx))
	}
	return res, errors.Join(err, own.remove())
}

// beginSuccession waits until no other timeline is about to take a place: each stops up to two computes.
func (t *tenant) beginSuccession(ctx context.Context) (end func(), err error) {
	select {
	case t.succeeding <- struct{}{}:
		return func() { <-t.succeeding }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// succeed has do put another timeline into the place of old, and notes in res what became of that. The postgres of the
// place is stopped before, and runs on the new timeline, or again on the old one, behind that.
func (t *tenant) succeed(ctx context.Context, old *branch, force bool, res *api.Replaced, do func(context.Context, repo.Kept) (*repo.Timeline, error)) error {
	place := old.tl.Name()
	held, err := t.standDown(ctx, old, force)
	if err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	tl, err := t.swap(ctx, old, res, do)
	if rerr := held.resume(ctx); rerr != nil {
		err = errors.Join(err, fmt.Errorf("start the postgres of branch %s again: %w", place, rerr))
	}
	if tl != nil {
		res.Branch, res.Restarted = describe(tl), held.ran
	}
	return classify(err)
}

// swap has do put another timeline into the place of old, which nobody writes to meanwhile.
func (t *tenant) swap(ctx context.Context, old *branch, res *api.Replaced, do func(context.Context, repo.Kept) (*repo.Timeline, error)) (*repo.Timeline, error) {
	if err := old.acquire("its reset"); err != nil {
		return nil, err
	}
	defer old.release()
	if _, err := old.catchup(ctx); err != nil {
		return nil, err
	}
	now, place := time.Now(), old.tl.Name()
	res.KeptUntil = now.Add(keptFor)
	if err := t.noteExpiry(&res.KeptUntil); err != nil {
		return nil, err
	}
	for n := 1; ; n++ {
		res.KeptAs = fmt.Sprintf("%s.old-%d", place, n)
		tl, err := do(ctx, repo.Kept{Name: res.KeptAs, Attributes: repo.Attributes{
			Expires: &res.KeptUntil, Owner: old.tl.Attributes().Owner, Note: fmt.Sprintf("what %s was until %s", place, now.UTC().Format(time.RFC3339)),
		}})
		if errors.Is(err, repo.ErrExists) {
			continue
		}
		if err != nil {
			return nil, classify(err)
		}
		t.log.Info("another timeline has taken the place of a branch", "branch", place, "timeline", tl.ID(), "from", res.From, "at", res.At, "kept", res.KeptAs)
		return tl, nil
	}
}

// standing is a compute that was stopped for a while. Nobody else starts or removes it before resume or remove.
type standing struct {
	c   *compute // nil: there is none
	ran bool
}

// standDown stops the compute of a branch, if there is one. ErrBusy: clients are connected to its postgres, and force
// is not set. One that runs only for clients of the gateway, and has none now, does not count as running.
func (t *tenant) standDown(ctx context.Context, b *branch, force bool) (s standing, err error) {
	if err := t.m.sleepOn(ctx, t.id, b.tl.ID()); err != nil {
		return s, err
	}
	c, err := t.compute(b.tl.Name())
	if err != nil {
		return standing{}, nil //nolint:nilerr // there is none
	}
	if err := c.take(ctx); err != nil {
		return s, err
	}
	if c.state == stateGone {
		c.give()
		return standing{}, nil
	}
	c.findRestarted()
	s = standing{c: c, ran: c.state == stateRunning || c.state == stateCrashed && c.proc != nil}
	if err := c.standDown(ctx, force); err != nil {
		c.give()
		return standing{}, err
	}
	return s, nil
}

// standDown stops the compute's postgres and takes its mount away. The caller has the turn.
func (c *compute) standDown(ctx context.Context, force bool) error {
	if c.proc != nil && c.proc.Running() {
		if !force {
			if err := c.checkAlone(ctx); err != nil {
				return err
			}
		}
		if err := c.shutDown(ctx, "fast"); err != nil {
			return err
		}
	}
	return c.putAway(ctx, false)
}

// clientsPatience is how long a postgres may take to say who is connected.
const clientsPatience = 10 * time.Second

// clientsLinger is how long the backends of clients that have just left may take to end: a client does not wait for its own.
const clientsLinger = 2 * time.Second

// countClients counts who is connected to the compute's postgres.
func countClients(ctx context.Context, c *compute) (int, error) { return c.local().Clients(ctx) }

// checkAlone refuses a compute to whose postgres clients are connected, or of which that cannot be found out.
func (c *compute) checkAlone(ctx context.Context) error {
	asked, cancel := context.WithTimeout(ctx, clientsPatience)
	defer cancel()
	n, err := c.t.m.clients(asked, c)
	for end := time.Now().Add(clientsLinger); n > 0 && err == nil && time.Now().Before(end); n, err = c.t.m.clients(asked, c) {
		time.Sleep(clientsLinger / 40)
	}
	switch {
	case err != nil:
		return api.Errorf(api.ErrBusy, "branch %s: postgres runs on it, and does not say who is connected (--force stops it): %s", c.name, oneLine(err))
	case n > 0:
		return api.Errorf(api.ErrBusy, "branch %s: %d clients are connected to its postgres (--force disconnects them)", c.name, n)
	}
	return nil
}

// resume starts the postgres again, if one ran.
func (s standing) resume(ctx context.Context) error {
	if s.c == nil {
		return nil
	}
	defer s.c.give()
	if !s.ran {
		return nil
	}
	return s.c.run(ctx, s.c.saved, s.c.asked)
}

// remove removes the compute.
func (s standing) remove() error {
	if s.c == nil {
		return nil
	}
	defer s.c.give()
	return s.c.drop()
}
