package tenants

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"zenith/internal/api"
	"zenith/internal/pg"
	"zenith/repo"
)

// checker verifies a tenant: the WAL of branches, the store, and every page of the
// branches' heads. Each is done on all processors.
type checker struct {
	p     api.Progress
	heads []*headCheck

	newest atomic.Int64 // entries of all heads' newest
	pages  atomic.Int64
	wal    atomic.Int64
	found  atomic.Int64

	mu   sync.Mutex // held while tell runs
	tell func(problem string) error
}

// headCheck is a branch that is checked at its head.
type headCheck struct {
	b    *branch
	snap *repo.Snapshot
	// newest says, for pages, the end of the last record of the branch's WAL that changed
	// them: the index must have it.
	newest map[pg.BufferTag]pg.LSN
}

// maxNewest bounds the entries of all newest maps, which are about 64 bytes each. Of what
// pages are beyond, only the chains are checked.
const maxNewest = 1 << 20

// Check verifies one branch, or all of the tenant if name is "", and in either case the
// whole store.
func (m *Manager) Check(ctx context.Context, tenant, name string, found func(string) error, p api.Progress) (api.CheckResult, error) {
	t, release, err := m.tenant(ctx, tenant)
	if err != nil {
		return api.CheckResult{}, err
	}
	defer release()
	timelines := t.repo.Timelines()
	if name != "" {
		b, err := t.lookup(name)
		if err != nil {
			return api.CheckResult{}, err
		}
		timelines = []*repo.Timeline{b.tl}
	}
	c := &checker{p: p, tell: found}
	for _, tl := range timelines {
		defer tl.Hold()() // what is checked stays as it is
		if err := c.head(ctx, t, tl); err != nil {
			return api.CheckResult{}, err
		}
	}
	for _, step := range []func(context.Context) error{
		c.checkWAL,
		func(ctx context.Context) error { return t.repo.Verify(ctx, c.problem, p) },
		c.checkPages,
	} {
		if err := step(ctx); err != nil {
			return api.CheckResult{}, classify(err)
		}
	}
	return api.CheckResult{
		Branches: int64(len(timelines)), Pages: c.pages.Load(), WALBytes: c.wal.Load(), Problems: c.found.Load(),
	}, nil
}

// problem tells one. What it returns ends the check.
func (c *checker) problem(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.found.Add(1)
	return c.tell(err.Error())
}

// of is problem for one that a branch has, unless the check has ended.
func (c *checker) of(ctx context.Context, b *branch, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return c.problem(fmt.Errorf("branch %s: %w", b.tl.Name(), err))
}

// head takes the head of a branch to be checked, if it can be had.
func (c *checker) head(ctx context.Context, t *tenant, tl *repo.Timeline) error {
	b, err := t.branch(tl)
	if err != nil {
		return err
	}
	if _, err := b.catchup(ctx); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := c.problem(err); err != nil {
			return err
		}
	}
	h := &headCheck{b: b, newest: make(map[pg.BufferTag]pg.LSN)}
	c.heads = append(c.heads, h)
	if h.snap, err = tl.At(ctx, tl.LastLSN()); err != nil {
		h.snap = nil
		return c.of(ctx, b, err)
	}
	return nil
}

// pageRun is a stretch of a fork.
type pageRun struct {
	h     *headCheck
	first pg.BufferTag
	n     pg.BlockNumber
}

// runPages is how many pages one goroutine verifies at a time.
const runPages = 1024

func (c *checker) checkPages(ctx context.Context) error {
	var runs []pageRun
	var total int64
	for _, h := range c.heads {
		if h.snap == nil {
			continue
		}
		err := h.eachFork(ctx, func(rf pg.RelFork, n pg.BlockNumber) error {
			for at := pg.BlockNumber(0); at < n; at += runPages {
				runs = append(runs, pageRun{h, rf.Tag(at), min(runPages, n-at)})
			}
			total += int64(n) * pg.BlockSize
			return nil
		})
		if err != nil {
			if err := c.of(ctx, h.b, err); err != nil {
				return err
			}
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, r := range runs {
		if ctx.Err() != nil {
			break
		}
		g.Go(func() error { return c.checkRun(ctx, r, total) })
	}
	return g.Wait()
}

// eachFork calls fn with all relations, SLRU segments too.
func (h *headCheck) eachFork(ctx context.Context, fn func(rf pg.RelFork, n pg.BlockNumber) error) error {
	err := h.snap.Databases(ctx, func(spc, db pg.OID) error { return h.snap.Relations(ctx, spc, db, fn) })
	if err != nil {
		return err
	}
	if err := h.snap.Relations(ctx, pg.GlobalTablespace, 0, fn); err != nil {
		return err
	}
	for _, slru := range pg.SLRUs {
		err := h.snap.SLRUSegments(ctx, slru, func(segno uint32, n pg.BlockNumber) error { return fn(slru.Segment(segno), n) })
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) checkRun(ctx context.Context, r pageRun, total int64) error {
	var ended error
	err := r.h.snap.VerifyPages(ctx, r.first, r.n, func(p *repo.PageCheck) error {
		done := c.pages.Add(1)
		if done%256 == 0 {
			c.p("check pages", done*pg.BlockSize, total)
		}
		if err := r.h.page(p); err != nil {
			ended = c.of(ctx, r.h.b, err)
		}
		return ended
	})
	if err != nil && ended == nil {
		return c.of(ctx, r.h.b, err)
	}
	return ended
}

// page says what is wrong with a page.
func (h *headCheck) page(p *repo.PageCheck) error {
	if p.Err != nil {
		return p.Err
	}
	if last := h.newest[p.Tag]; last > p.LSN && last > p.Cut {
		return fmt.Errorf("%v: the record up to %v is not in the index, which ends at %v: %w", p.Tag, last, p.LSN, repo.ErrCorrupt)
	}
	if p.Tag.IsSLRU() || p.Page.IsNew() {
		return nil
	}
	return checkHeader(p.Page, p.Tag)
}

// checkHeader finds a page that postgres would refuse (PageIsVerified).
func checkHeader(page pg.Page, tag pg.BufferTag) error {
	if lower, upper, special := page.Lower(), page.Upper(), page.Special(); lower < pg.PageHeaderSize ||
		lower > upper || upper > special || special > pg.BlockSize || special%8 != 0 {
		return fmt.Errorf("%v: page header has lower %d, upper %d, special %d: %w", tag, lower, upper, special, repo.ErrCorrupt)
	}
	return nil
}
