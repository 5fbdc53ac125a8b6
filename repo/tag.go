package repo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"zenith/internal/pg"
	"zenith/repo/store"
)

// Tag is a name for a point, which is kept as long as the tag is there.
type Tag struct {
	Name     string
	Timeline *Timeline // that has the point in its own WAL
	LSN      pg.LSN
	Created  time.Time
}

// tag is a tag in memory.
type tag struct {
	name string
	t    *Timeline
	row  tagRow
}

// tagRow stores a tag.
type tagRow struct {
	Timeline timelineNo
	LSN      rowLSN
	Created  time.Time
}

// AddTag names the point of t at at, durably. at must be a record boundary, as Resolve gives it. ErrExists if
// a branch or a tag has that name. A timeline with a tag cannot be deleted.
func (r *Repository) AddTag(ctx context.Context, name string, t *Timeline, at pg.LSN) (Tag, error) {
	if err := CheckName(name); err != nil {
		return Tag{}, err
	}
	unpin, err := t.Pin(at) // the tag pins the point itself as soon as it is there
	if err != nil {
		return Tag{}, err
	}
	defer unpin()
	t = t.owner(at)
	if err := t.takeTurn(ctx); err != nil { // nobody deletes it meanwhile
		return Tag{}, err
	}
	defer t.giveTurn()
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.checkFree(name); err != nil {
		return Tag{}, err
	}
	new := tag{name, t, tagRow{Timeline: t.no, LSN: rowLSN(at), Created: time.Now()}}
	if err := r.update(rowOp(tagKey(name), new.row)); err != nil {
		return Tag{}, fmt.Errorf("store tag %q: %w", name, err)
	}
	r.tags[name] = new
	return new.public(), nil
}

// RemoveTag removes a tag, durably. ErrNotFound if there is none of that name.
func (r *Repository) RemoveTag(name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, found := r.tags[name]; !found {
		return fmt.Errorf("tag %q: %w", name, ErrNotFound)
	}
	if err := r.update(store.Op{Key: tagKey(name)}); err != nil {
		return fmt.Errorf("remove tag %q: %w", name, err)
	}
	delete(r.tags, name)
	return nil
}

// TagByName finds a tag: ErrNotFound if there is none of that name.
func (r *Repository) TagByName(name string) (Tag, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if t, found := r.tags[name]; found {
		return t.public(), nil
	}
	return Tag{}, fmt.Errorf("tag %q: %w", name, ErrNotFound)
}

// Tags lists the tags by their names.
func (r *Repository) Tags() []Tag {
	r.mu.RLock()
	defer r.mu.RUnlock()
	list := make([]Tag, 0, len(r.tags))
	for _, t := range r.tags {
		list = append(list, t.public())
	}
	slices.SortFunc(list, func(a, b Tag) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

func (t tag) public() Tag { return Tag{t.name, t.t, pg.LSN(t.row.LSN), t.row.Created} }

// loadTags reads the tags. byNo has the live timelines.
func (r *Repository) loadTags(byNo map[timelineNo]*Timeline) error {
	return eachRow(r.store, kindTag, func(key []byte, decode func(any) error) error {
		name := string(key[1:])
		var row tagRow
		if err := errors.Join(decode(&row), CheckName(name)); err != nil {
			return fmt.Errorf("tag %q: %w", name, err)
		}
		t := byNo[row.Timeline]
		if t == nil {
			return fmt.Errorf("tag %q: its timeline %d is not there: %w", name, row.Timeline, ErrCorrupt)
		}
		r.tags[name] = tag{name, t, row}
		return nil
	})
}
