package repo

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"zenith/internal/pg"
	"zenith/repo/store"
)

// A branch name is a place, and timelines come and go there: a timeline is never rewound. What a reset or a restore
// puts into the place is another timeline, and what was there is kept under another name, with all that
// began on it. Both rows are written by one update of the store, so after a crash at any point one of the two is in
// the place, and none is lost.

// Kept says as what the timeline is kept whose place another one takes.
type Kept struct {
	Name string
	Attributes
}

// succession is the timeline whose place another one takes, and the label that it gets. A nil one is none.
type succession struct {
	old  *Timeline
	kept label
}

func succeed(old *Timeline, kept Kept) *succession {
	l := *old.label.Load()
	l.was, l.name, l.Attributes = l.name, kept.Name, kept.Attributes
	return &succession{old, l}
}

func (s *succession) predecessor() *Timeline {
	if s == nil {
		return nil
	}
	return s.old
}

// check makes sure that the old timeline is still in the place. The caller has its turn, so it stays there.
func (s *succession) check(place string) error {
	if s != nil && s.old.Name() != place {
		return fmt.Errorf("another timeline is called %q by now: %w", place, ErrBusy)
	}
	return nil
}

// ops is the write that gives the old timeline its new label.
func (s *succession) ops() []store.Op {
	if s == nil {
		return nil
	}
	row := s.old.timelineRow(statusLive)
	row.setLabel(s.kept)
	return []store.Op{rowOp(timelineKey(kindTimeline, s.old.no), row)}
}

// Replace makes a branch of parent at at, as Branch does, which takes the place of old: its name and what users say
// of it. old is kept as kept says. ErrExists if that name is taken, ErrBusy if old lost its place meanwhile.
func (r *Repository) Replace(ctx context.Context, old *Timeline, kept Kept, parent *Timeline, at pg.LSN) (*Timeline, error) {
	over := succeed(old, kept)
	t, err := r.branchAt(ctx, NewBranch{Name: over.kept.was, Attributes: old.Attributes()}, parent, at, over)
	if err != nil {
		return nil, fmt.Errorf("replace branch %q: %w", over.kept.was, err)
	}
	return t, nil
}

// Promote has t take the place of old: its name and what users say of it. old is kept as kept says; t's own name is
// free then. ErrExists if kept's name is taken.
func (r *Repository) Promote(ctx context.Context, t, old *Timeline, kept Kept) error {
	giveTurns, err := takeTurns(ctx, t, old)
	if err != nil {
		return err
	}
	defer giveTurns()
	if err := CheckName(kept.Name); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.checkFree(kept.Name); err != nil {
		return err
	}
	over, free := succeed(old, kept), t.Name()
	next := *t.label.Load()
	next.name, next.Attributes = over.kept.was, old.Attributes()
	row := t.timelineRow(statusLive)
	row.setLabel(next)
	if err := r.update(append(over.ops(), rowOp(timelineKey(kindTimeline, t.no), row))...); err != nil {
		return fmt.Errorf("promote branch %q: %w", free, err)
	}
	delete(r.byName, free)
	t.label.Store(&next)
	old.label.Store(&over.kept)
	r.byName[next.name], r.byName[over.kept.name] = t, old
	return nil
}

// takeTurns takes the turns of timelines, each once, in the order of their numbers: two callers that want the same ones
// do not wait for each other. nil is no timeline.
func takeTurns(ctx context.Context, ts ...*Timeline) (give func(), err error) {
	ts = slices.DeleteFunc(ts, func(t *Timeline) bool { return t == nil })
	slices.SortFunc(ts, func(a, b *Timeline) int { return cmp.Compare(a.no, b.no) })
	ts = slices.Compact(ts)
	taken := ts[:0:0]
	give = func() {
		for _, t := range taken {
			t.giveTurn()
		}
	}
	for _, t := range ts {
		if err := t.takeTurn(ctx); err != nil {
			give()
			return nil, err
		}
		taken = append(taken, t)
	}
	return give, nil
}
