package tenants

import (
	"context"
	"errors"
	"fmt"
	"io"

	"zenith/internal/pg"
	"zenith/internal/xlog"
	"zenith/repo"
	"zenith/repo/pageserver"
)

// checker verifies branches: it reads every page of their heads and all of their WAL.
type checker struct {
	ctx    context.Context
	found  func(problem string) error
	p      pageserver.Progress
	result pageserver.CheckResult
}

// Check verifies one branch, or all of the tenant if name is "".
func (m *Manager) Check(ctx context.Context, tenant, name string, found func(string) error, p pageserver.Progress) (pageserver.CheckResult, error) {
	t, err := m.tenant(ctx, tenant)
	if err != nil {
		return pageserver.CheckResult{}, err
	}
	timelines := t.repo.Timelines()
	if name != "" {
		b, err := t.lookup(name)
		if err != nil {
			return pageserver.CheckResult{}, err
		}
		timelines = []*repo.Timeline{b.tl}
	}
	c := &checker{ctx: ctx, found: found, p: p}
	for _, tl := range timelines {
		b, err := t.branch(tl)
		if err == nil {
			err = c.branch(b)
		}
		if err != nil {
			return c.result, err
		}
	}
	return c.result, nil
}

// problem tells one, if there is one. What ends the check is returned.
func (c *checker) problem(b *branch, err error) error {
	if err == nil {
		return nil
	}
	if c.ctx.Err() != nil {
		return c.ctx.Err()
	}
	c.result.Problems++
	return c.found(fmt.Sprintf("branch %s: %v", b.tl.Name(), err))
}

func (c *checker) branch(b *branch) error {
	c.result.Branches++
	_, err := b.catchup(c.ctx)
	if err := c.problem(b, err); err != nil {
		return err
	}
	if err := c.problem(b, c.wal(b)); err != nil {
		return err
	}
	snap, err := b.tl.At(c.ctx, b.tl.LastLSN())
	if err != nil {
		return c.problem(b, err)
	}
	err = snap.Databases(c.ctx, func(spc, db pg.OID) error { return c.relations(b, snap, spc, db) })
	if err == nil {
		err = c.relations(b, snap, pg.GlobalTablespace, 0)
	}
	if err == nil {
		err = c.slrus(b, snap)
	}
	return c.problem(b, err)
}

// wal reads the branch's own WAL: every record follows the one before.
func (c *checker) wal(b *branch) error {
	info := b.tl.Info()
	r := xlog.NewReader(b.tl.WAL(), xlog.Config{SegSize: info.SegSize, SysID: info.SysID}, info.StartLSN)
	head := b.tl.LastLSN()
	var rec xlog.Record
	for r.EndLSN() < head {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		err := r.Next(&rec)
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("wal ends at %v, before the head %v: %w", r.EndLSN(), head, r.EndReason())
		}
		if err != nil {
			return err
		}
		c.result.WALBytes += int64(rec.EndLSN - rec.StartLSN)
	}
	return nil
}

func (c *checker) relations(b *branch, snap *repo.Snapshot, spc, db pg.OID) error {
	return snap.Relations(c.ctx, spc, db, func(rf pg.RelFork, n pg.BlockNumber) error { return c.fork(b, snap, rf, n) })
}

func (c *checker) slrus(b *branch, snap *repo.Snapshot) error {
	for _, slru := range pg.SLRUs {
		err := snap.SLRUSegments(c.ctx, slru, func(segno uint32, n pg.BlockNumber) error {
			return c.fork(b, snap, slru.Segment(segno), n)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// fork rebuilds every page of a fork.
func (c *checker) fork(b *branch, snap *repo.Snapshot, rf pg.RelFork, n pg.BlockNumber) error {
	page := make(pg.Page, pg.BlockSize)
	for blkno := range n {
		tag := rf.Tag(blkno)
		err := snap.ReadPage(c.ctx, tag, page)
		if err == nil && !rf.IsSLRU() {
			err = checkHeader(page, tag)
		}
		if err := c.problem(b, err); err != nil {
			return err
		}
		c.result.Pages++
		if c.result.Pages%1024 == 0 {
			c.p("check", c.result.Pages*pg.BlockSize, 0)
		}
	}
	return nil
}

// checkHeader finds a page that postgres would refuse (PageIsVerified).
func checkHeader(page pg.Page, tag pg.BufferTag) error {
	if page.IsNew() {
		return nil
	}
	if lower, upper, special := page.Lower(), page.Upper(), page.Special(); lower < pg.PageHeaderSize ||
		lower > upper || upper > special || special > pg.BlockSize || special%8 != 0 {
		return fmt.Errorf("%v: page header has lower %d, upper %d, special %d: %w", tag, lower, upper, special, repo.ErrCorrupt)
	}
	return nil
}
