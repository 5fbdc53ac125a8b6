package tenants

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"zenith/internal/api"
	"zenith/internal/pg"
	"zenith/repo"
)

// checker verifies a tenant: the WAL of branches, the store, and every page of the branches' heads. Each of
// these steps uses all processors.
type checker struct {
	p     api.Progress
	heads []*headCheck
	empty map[emptyPoint]*repo.Snapshot // the states of branches without anything of their own

	newest     atomic.Int64 // entries of all heads' newest, and of their points' changed
	behind     int          // deleted branches that begin where their deleted ancestor's WAL is not in the index
	uncompared atomic.Int64 // records of pages that are not in newest, since that is full
	pages      atomic.Int64
	wal        atomic.Int64
	found      atomic.Int64

	releases []func() // of the points that are checked

	mu   sync.Mutex                 // held while tell runs
	tell func(problem string) error // the caller's
}

// headCheck is a branch that is checked at its head.
type headCheck struct {
	b       *branch // of a branch that was deleted, or is empty, it has the timeline only
	empty   bool    // nothing was ever written on it
	deleted bool    // its head is what was flushed before it was deleted, and its WAL goes on up to wal
	wal     pg.LSN
	snap    *repo.Snapshot // nil: the head cannot be read
	points  []*pointCheck  // below the head, where branches begin that are checked; the highest first
	// all says that every page of the head is checked. Else only those that the branch's own WAL has changed:
	// the others are its ancestor's as of the branch point, and checked there.
	all bool
	// newest says, for pages, the end of the last record of the branch's WAL that changed
	// them: the index must have it.
	newest map[pg.BufferTag]pg.LSN
}

// maxNewest bounds the entries of all newest maps together; an entry takes about 64 bytes. Of pages for which
// there is no room only the chains of versions are checked, not whether the newest version is there.
const maxNewest = 1 << 20

// unchecked says what a check does not look at.
func (c *checker) unchecked() string {
	list := []string{
		"states below the heads, but where a branch begins",
		"the contents of kept files (unlogged tables, sequences, statistics), which have no checksums",
		"WAL below the horizons, which only replication slots keep",
	}
	if n := c.uncompared.Load(); n > 0 {
		list = append(list, fmt.Sprintf("whether the index has the newest of %d records: there are too many changed pages to remember", n))
	}
	if c.behind > 0 {
		list = append(list, fmt.Sprintf("the pages of %d deleted branches, whose deleted ancestor has to be brought back first", c.behind))
	}
	return strings.Join(list, "; ")
}

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
	c := &checker{p: p, tell: found, empty: map[emptyPoint]*repo.Snapshot{}}
	defer c.release()
	for _, tl := range timelines {
		defer tl.Hold()() // no collection changes what is being checked
		if err := c.head(ctx, t, tl); err != nil {
			return api.CheckResult{}, err
		}
	}
	if name == "" {
		release, err := c.deletedHeads(ctx, t)
		if err != nil {
			return api.CheckResult{}, classify(err)
		}
		defer release()
	}
	for _, step := range []func(context.Context) error{
		func(ctx context.Context) error { return c.checkFiles(ctx, t) },
		c.share,
		c.checkWAL,
		func(ctx context.Context) error { return t.repo.Verify(ctx, c.problem, p) },
		c.checkPages,
	} {
		if err := step(ctx); err != nil {
			return api.CheckResult{}, classify(err)
		}
	}
	return api.CheckResult{
		Branches: int64(len(c.heads)), Pages: c.pages.Load(), WALBytes: c.wal.Load(), Problems: c.found.Load(),
		Unchecked: c.unchecked(),
	}, nil
}

// problem passes a problem to the caller of Check. An error that it returns ends the check.
func (c *checker) problem(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.found.Add(1)
	return c.tell(err.Error())
}

// of is problem for a problem of a branch, which it names. Nothing is damaged where reads fail because the branch
// was deleted meanwhile, or because ctx has ended, whose error it is then.
func (c *checker) of(ctx context.Context, h *headCheck, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if h.isGone() {
		return nil
	}
	kind := "branch"
	if h.deleted {
		kind = "deleted branch"
	}
	return c.problem(fmt.Errorf("%s %s: %w", kind, h.b.tl.Name(), err))
}

// head adds the head of a branch to what is checked. A head that cannot be read is reported as a problem.
func (c *checker) head(ctx context.Context, t *tenant, tl *repo.Timeline) error {
	if _, err := os.Stat(tl.WALDir()); errors.Is(err, fs.ErrNotExist) {
		return c.emptyHead(ctx, t, tl)
	}
	b, err := t.branch(tl)
	if errors.Is(err, api.ErrNotFound) {
		return nil // it was deleted just now
	}
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
	return c.add(ctx, &headCheck{b: b, newest: make(map[pg.BufferTag]pg.LSN)})
}

// emptyHead adds the head of a branch on which nothing was ever written: it has no files of its own, and is the state of
// its ancestor that all branches are which begin at the same point. So one of them is looked at, and there may be
// thousands.
func (c *checker) emptyHead(ctx context.Context, t *tenant, tl *repo.Timeline) error {
	h := &headCheck{b: &branch{t: t, tl: tl}, empty: true, newest: make(map[pg.BufferTag]pg.LSN)}
	parent, at := tl.Ancestor()
	if parent == nil || at != tl.LastLSN() {
		return c.add(ctx, h)
	}
	point := emptyPoint{parent.ID(), at}
	if h.snap = c.empty[point]; h.snap != nil {
		c.heads = append(c.heads, h)
		return nil
	}
	err := c.add(ctx, h)
	c.empty[point] = h.snap
	return err
}

// emptyPoint is where a branch begins.
type emptyPoint struct {
	parent repo.TimelineID
	at     pg.LSN
}

// add adds a head.
func (c *checker) add(ctx context.Context, h *headCheck) (err error) {
	c.heads = append(c.heads, h)
	if h.snap, err = c.pin(ctx, h.b.tl, h.b.tl.LastLSN()); err != nil {
		h.snap = nil
		if h.deleted && errors.Is(err, repo.ErrBusy) {
			c.behind++
			return nil
		}
		return c.of(ctx, h, err)
	}
	return nil
}

// pin gives the state of a timeline at a point, which is kept until the check ends: below a horizon a point is
// kept for a branch that begins there, and that may be deleted meanwhile.
func (c *checker) pin(ctx context.Context, tl *repo.Timeline, at pg.LSN) (*repo.Snapshot, error) {
	release, err := tl.Pin(at)
	if err != nil {
		return nil, err
	}
	c.releases = append(c.releases, release)
	return tl.At(ctx, at)
}

func (c *checker) release() {
	for _, release := range c.releases {
		release()
	}
}

// isGone reports whether the branch was deleted after the check had begun.
func (h *headCheck) isGone() bool {
	return !h.deleted && !slices.Contains(h.b.t.repo.Timelines(), h.b.tl)
}

// deletedHeads adds the heads of the branches that were deleted and can be brought back, which they cannot until
// release is called.
func (c *checker) deletedHeads(ctx context.Context, t *tenant) (release func(), err error) {
	list, failed, release, err := t.repo.ReadDeleted()
	if err != nil {
		return nil, err
	}
	for _, err := range failed {
		if err := c.problem(err); err != nil {
			release()
			return nil, err
		}
	}
	ends := make(map[repo.TimelineID]pg.LSN)
	for _, d := range t.repo.Deleted() {
		ends[d.ID] = d.Head
	}
	for _, tl := range list {
		h := &headCheck{b: &branch{t: t, tl: tl}, deleted: true, wal: ends[tl.ID()], newest: make(map[pg.BufferTag]pg.LSN)}
		if err := c.add(ctx, h); err != nil {
			release()
			return nil, err
		}
	}
	return release, nil
}

// pageRun is a run of consecutive blocks of a fork, which one goroutine verifies.
type pageRun struct {
	h     *headCheck
	snap  *repo.Snapshot // the head, or a point below it
	first pg.BufferTag
	n     pg.BlockNumber
}

// runPages is how many pages one goroutine verifies at a time.
const runPages = 1024

func (c *checker) checkPages(ctx context.Context) error {
	var runs []pageRun
	var total int64
	for _, h := range c.heads {
		own, err := c.runsOf(ctx, h)
		if err != nil {
			if err := c.of(ctx, h, err); err != nil {
				return err
			}
		}
		for _, r := range own {
			runs = append(runs, r)
			total += int64(r.n) * pg.BlockSize
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

// eachFork calls fn with all relations of a state, SLRU segments too.
func eachFork(ctx context.Context, snap *repo.Snapshot, fn func(rf pg.RelFork, n pg.BlockNumber) error) error {
	err := snap.Databases(ctx, func(spc, db pg.OID) error { return snap.Relations(ctx, spc, db, fn) })
	if err != nil {
		return err
	}
	if err := snap.Relations(ctx, pg.GlobalTablespace, 0, fn); err != nil {
		return err
	}
	for _, slru := range pg.SLRUs {
		err := snap.SLRUSegments(ctx, slru, func(segno uint32, n pg.BlockNumber) error { return fn(slru.Segment(segno), n) })
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) checkRun(ctx context.Context, r pageRun, total int64) error {
	var ended error
	err := r.snap.VerifyPages(ctx, r.first, r.n, func(p *repo.PageCheck) error {
		done := c.pages.Add(1)
		if done%256 == 0 {
			c.p("check pages", done*pg.BlockSize, total)
		}
		check := pageIsSound
		if r.snap == r.h.snap {
			check = r.h.page
		}
		if err := check(p); err != nil {
			ended = c.of(ctx, r.h, err)
		}
		return ended
	})
	if err != nil && ended == nil {
		return c.of(ctx, r.h, err)
	}
	return ended
}

// page gives what is wrong with a page, nil if nothing is.
func (h *headCheck) page(p *repo.PageCheck) error {
	if p.Err != nil {
		return p.Err
	}
	if last := h.newest[p.Tag]; last > p.LSN && last > p.Cut {
		return fmt.Errorf("%v: the record up to %v is not in the index, which ends at %v: %w", p.Tag, last, p.LSN, repo.ErrCorrupt)
	}
	return pageIsSound(p)
}

// pageIsSound gives what is wrong with a page by itself, without looking at WAL; nil if nothing is.
func pageIsSound(p *repo.PageCheck) error {
	if p.Err != nil || p.Tag.IsSLRU() || p.Page.IsNew() {
		return p.Err
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
