package tenants

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sort"

	"zenith/internal/pg"
	"zenith/repo"
)

// Most pages of a branch are its ancestor's, as of the branch point, and those of two points of one timeline are
// the same but where WAL between the points has changed them. So a check of all branches reads at each point only
// what is not the same at the next one, and costs what the data costs, not what all branches would that are full
// copies.

// pointCheck is a point of a branch, below its head, at which other branches begin.
type pointCheck struct {
	lsn  pg.LSN
	snap *repo.Snapshot
	// changed are the pages that WAL has changed between this point and the next one above it. Those alone are
	// different here. nil: not known, all are checked.
	changed map[pg.BufferTag]struct{}
}

// share finds out which pages need not be checked at each head, because they are at another point that is.
func (c *checker) share(ctx context.Context) error {
	byID := make(map[repo.TimelineID]*headCheck)
	for _, h := range c.heads {
		byID[h.b.tl.ID()] = h
	}
	for _, h := range c.heads {
		if h.snap == nil {
			continue // its head cannot be read, which was reported before
		}
		tl, at := h.b.tl.Ancestor()
		parent := owner(byID, tl, at)
		// Without all of the branch's own WAL it is not known what it has changed.
		if h.all = parent == nil || h.b.tl.OwnHorizon() > h.b.tl.StartLSN(); h.all {
			continue
		}
		if err := c.addPoint(ctx, parent, at); err != nil {
			if err := c.of(ctx, h, err); err != nil {
				return err
			}
			h.all = true
		}
	}
	for _, h := range c.heads {
		slices.SortFunc(h.points, func(a, b *pointCheck) int { return cmp.Compare(b.lsn, a.lsn) })
		for _, p := range h.points {
			if p.lsn >= h.b.tl.OwnHorizon() {
				p.changed = make(map[pg.BufferTag]struct{})
			}
		}
	}
	return nil
}

// owner gives the head check of the timeline that has the WAL in front of a branch point. That may be an ancestor
// further up: a parent which itself begins at that point has no WAL in front of it. nil: it is not checked.
func owner(byID map[repo.TimelineID]*headCheck, tl *repo.Timeline, at pg.LSN) *headCheck {
	for tl != nil {
		parent, start := tl.Ancestor()
		if parent == nil || start < at {
			break
		}
		tl = parent
	}
	if tl == nil || byID[tl.ID()] == nil || byID[tl.ID()].snap == nil {
		return nil
	}
	return byID[tl.ID()]
}

// addPoint adds a point below the head to what is checked of a branch.
func (c *checker) addPoint(ctx context.Context, h *headCheck, at pg.LSN) error {
	if at == h.snap.LSN() || slices.ContainsFunc(h.points, func(p *pointCheck) bool { return p.lsn == at }) {
		return nil
	}
	snap, err := c.pin(ctx, h.b.tl, at)
	if err == nil {
		h.points = append(h.points, &pointCheck{lsn: at, snap: snap})
	}
	return err
}

// changes notes what a record, which ends at end, changes for the highest point below it. Where more would be
// noted than room has space for, all pages of the point are checked.
func (h *headCheck) changes(tag pg.BufferTag, end pg.LSN, room func() bool) {
	i := sort.Search(len(h.points), func(i int) bool { return h.points[i].lsn < end })
	if i == len(h.points) || h.points[i].changed == nil {
		return
	}
	p := h.points[i]
	if _, known := p.changed[tag]; known {
		return
	}
	if !room() {
		p.changed = nil
		return
	}
	p.changed[tag] = struct{}{}
}

// tagOrder is the order of pages in the store.
func tagOrder(a, b pg.BufferTag) int {
	return cmp.Or(cmp.Compare(a.SpcOID, b.SpcOID), cmp.Compare(a.DBOID, b.DBOID), cmp.Compare(a.RelNumber, b.RelNumber),
		cmp.Compare(a.Fork, b.Fork), cmp.Compare(a.Block, b.Block))
}

// runsOf gives what is checked of a branch's pages.
func (c *checker) runsOf(ctx context.Context, h *headCheck) (runs []pageRun, err error) {
	if h.snap == nil {
		return nil, nil
	}
	if h.all {
		runs, err = h.allRuns(ctx, h.snap)
	} else {
		runs, err = h.someRuns(ctx, h.snap, slices.Collect(maps.Keys(h.newest)))
	}
	for _, p := range h.points {
		if err != nil {
			return runs, err
		}
		var own []pageRun
		if p.changed == nil {
			own, err = h.allRuns(ctx, p.snap)
		} else {
			own, err = h.someRuns(ctx, p.snap, slices.Collect(maps.Keys(p.changed)))
		}
		runs = append(runs, own...)
	}
	return runs, err
}

// allRuns are all pages of a state.
func (h *headCheck) allRuns(ctx context.Context, snap *repo.Snapshot) (runs []pageRun, err error) {
	err = eachFork(ctx, snap, func(rf pg.RelFork, n pg.BlockNumber) error {
		for at := pg.BlockNumber(0); at < n; at += runPages {
			runs = append(runs, pageRun{h, snap, rf.Tag(at), min(runPages, n-at)})
		}
		return nil
	})
	return runs, err
}

// someRuns are those of the pages that a state has, and those that records change without naming them: of the
// visibility maps of the same relations, and of SLRUs.
func (h *headCheck) someRuns(ctx context.Context, snap *repo.Snapshot, tags []pg.BufferTag) (runs []pageRun, err error) {
	if len(tags) == 0 {
		return nil, nil
	}
	slices.SortFunc(tags, tagOrder)
	var rel pg.RelFileLocator
	var size pg.BlockNumber
	for i, tag := range tags {
		if i == 0 || tag.RelFileLocator != rel {
			rel = tag.RelFileLocator
			vm := pg.RelFork{RelFileLocator: rel, Fork: pg.VisibilityMapFork}
			if size, _, err = snap.RelSize(ctx, vm); err != nil {
				return runs, err
			}
			if size > 0 {
				runs = append(runs, pageRun{h, snap, vm.Tag(0), size})
			}
		}
		if tag.Fork == pg.VisibilityMapFork {
			continue
		}
		if i == 0 || tag.RelFork != tags[i-1].RelFork || tags[i-1].Fork == pg.VisibilityMapFork {
			if size, _, err = snap.RelSize(ctx, tag.RelFork); err != nil {
				return runs, err
			}
		}
		if tag.Block >= size {
			continue
		}
		if last := lastRun(runs); last != nil && last.first.RelFork == tag.RelFork && last.n < runPages && last.first.Block+last.n == tag.Block {
			last.n++
			continue
		}
		runs = append(runs, pageRun{h, snap, tag, 1})
	}
	for _, slru := range pg.SLRUs {
		err := snap.SLRUSegments(ctx, slru, func(segno uint32, n pg.BlockNumber) error {
			runs = append(runs, pageRun{h, snap, slru.Segment(segno).Tag(0), n})
			return nil
		})
		if err != nil {
			return runs, err
		}
	}
	return runs, nil
}

func lastRun(runs []pageRun) *pageRun {
	if len(runs) == 0 {
		return nil
	}
	return &runs[len(runs)-1]
}
