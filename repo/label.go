package repo

import (
	"context"
	"fmt"
	"time"
)

// Attributes are what users say of a branch. They go with the name: a timeline that takes the place of another one
// gets them (succession.go).
type Attributes struct {
	Expires   *time.Time // from when on nobody needs it; nil: it does not expire
	Protected *bool      // whether it may be deleted, renamed or reset; nil: nobody has said
	Owner     string
	Note      string
}

// label is what a timeline's row says of its branch. It is not changed, but replaced.
type label struct {
	name    string
	was     string    // the name that it had before another timeline took its place; "": none did
	created time.Time // zero: an earlier build has made it, which did not note that
	Attributes
}

func (r *timelineRow) label() label {
	l := label{name: r.Name, was: r.Was, Attributes: Attributes{r.Expires, r.Protected, r.Owner, r.Note}}
	if r.Created != nil {
		l.created = *r.Created
	}
	return l
}

func (r *timelineRow) setLabel(l label) {
	r.Name, r.Was, r.Created = l.name, l.was, nil
	r.Expires, r.Protected, r.Owner, r.Note = l.Expires, l.Protected, l.Owner, l.Note
	if !l.created.IsZero() {
		r.Created = &l.created
	}
}

// Attributes are what users say of t's branch now.
func (t *Timeline) Attributes() Attributes { return t.label.Load().Attributes }

// Created is when t was made; zero if an earlier build has made it.
func (t *Timeline) Created() time.Time { return t.label.Load().created }

// Was is the name that t had before another timeline took its place, "" if none did.
func (t *Timeline) Was() string { return t.label.Load().was }

// SetAttributes changes what users say of t's branch, durably, as change says; its error is SetAttributes'.
func (r *Repository) SetAttributes(ctx context.Context, t *Timeline, change func(*Attributes) error) error {
	return r.relabel(ctx, t, func(l *label) error { return change(&l.Attributes) })
}

// Rename gives t another branch name, durably. ErrExists if another branch has it. The name may be t's id: then t is
// there for its descendants only.
func (r *Repository) Rename(ctx context.Context, t *Timeline, name string) error {
	if name != t.info.ID.String() {
		if err := CheckName(name); err != nil {
			return err
		}
	}
	return r.relabel(ctx, t, func(l *label) error {
		l.name = name
		return nil
	})
}

// relabel replaces t's label, durably.
func (r *Repository) relabel(ctx context.Context, t *Timeline, change func(*label) error) error {
	if err := t.takeTurn(ctx); err != nil {
		return err
	}
	defer t.giveTurn()
	r.mu.Lock()
	defer r.mu.Unlock()
	old := t.label.Load()
	next := *old
	if err := change(&next); err != nil {
		return err
	}
	if next.name != old.name {
		delete(r.byName, old.name) // its own name is no obstacle: dev may become dev/1
		err := r.checkFree(next.name)
		r.byName[old.name] = t
		if err != nil {
			return err
		}
	}
	row := t.timelineRow(statusLive)
	row.setLabel(next)
	if err := r.update(rowOp(timelineKey(kindTimeline, t.no), row)); err != nil {
		return fmt.Errorf("change branch %q: %w", old.name, err)
	}
	delete(r.byName, old.name)
	t.label.Store(&next)
	r.byName[next.name] = t
	return nil
}
