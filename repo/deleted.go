package repo

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"zenith/internal/pg"
)

// A branch that was deleted is kept for a while: its row says until when. Its versions and its
// directory with the WAL stay, what it needs of its ancestors is pinned as by a live branch, and its
// name is free. Undelete brings it back; the first collection after that time makes it gone. That
// is one write to the row; what a crash leaves behind that, Open and the next collection remove.

// Deleted is a branch that was deleted and can be brought back.
type Deleted struct {
	ID     TimelineID
	Name   string
	Parent TimelineID // zero if it has no ancestor
	Start  pg.LSN
	At     time.Time // when it was deleted
	Until  time.Time // it is kept until then, at least
	Head   pg.LSN    // where its WAL ended; 0: an earlier build deleted it, which did not note that
	Bytes  int64     // as Timeline.StoredBytes gave them
}

// keptRow is the row of a branch that was deleted and is kept.
type keptRow struct {
	no     timelineNo
	row    timelineRow
	parent TimelineID
	stored int64     // bytes of its versions
	t      *Timeline // as which it was deleted; nil: that was before Open
	read   *Timeline // as which a check reads it; nil: none does
}

// isKept reports whether the row is of a deleted branch that is kept.
func (row *timelineRow) isKept() bool { return row.Status == statusDeleted && row.Until != nil }

// Deleted lists the branches that were deleted and are kept, the last one first.
func (r *Repository) Deleted() []Deleted {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var list []Deleted
	for id, k := range r.kept {
		list = append(list, Deleted{ID: id, Name: k.row.Name, Parent: k.parent, Start: pg.LSN(k.row.Start), At: *k.row.Deleted, Until: *k.row.Until, Head: pg.LSN(k.row.Head), Bytes: k.stored})
	}
	slices.SortFunc(list, func(a, b Deleted) int { return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.Name, b.Name)) })
	return list
}

// ReadDeleted opens the deleted branches that are kept, for a check: their heads are what was flushed. Until
// release is called they are neither brought back nor made gone, and a second ReadDeleted fails with ErrBusy.
// Nobody may write to them. failed tells of each one that cannot be opened.
func (r *Repository) ReadDeleted() (list []*Timeline, failed []error, release func(), err error) {
	r.pinMu.Lock()
	defer r.pinMu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.readsDeleted {
		return nil, nil, nil, fmt.Errorf("read deleted branches: a check does that already: %w", ErrBusy)
	}
	byNo := make(map[timelineNo]*Timeline)
	for _, t := range r.byID {
		byNo[t.no] = t
	}
	opened := make(map[timelineNo]*Timeline)
	kept := slices.SortedFunc(maps.Values(r.kept), func(a, b keptRow) int { return cmp.Compare(a.no, b.no) })
	for _, k := range kept { // ancestors come first
		t, err := r.loadTimeline(k.no, k.row, byNo)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		byNo[k.no], opened[k.no], list = t, t, append(list, t)
	}
	if err := r.loadPins(opened); err != nil {
		return nil, nil, nil, err
	}
	for _, t := range list {
		k := r.kept[t.info.ID]
		k.read = t
		r.kept[t.info.ID] = k
	}
	r.readsDeleted = true
	return list, failed, sync.OnceFunc(func() { r.releaseDeleted(list) }), nil
}

// releaseDeleted undoes ReadDeleted.
func (r *Repository) releaseDeleted(list []*Timeline) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.readsDeleted = false
	for _, t := range list {
		k := r.kept[t.info.ID]
		k.read = nil
		r.kept[t.info.ID] = k
		t.dropOpen()
		t.wal.Close()
	}
}

// Undelete brings a deleted branch back, under another name if that is not "". As after a crash, its
// LastLSN is what was flushed: the WAL behind it has to be ingested again. ErrNotFound if it is not
// kept any more, ErrExists if the name is taken, ErrBusy if its ancestor was deleted too, or a check reads it.
func (r *Repository) Undelete(ctx context.Context, id TimelineID, name string) (*Timeline, error) {
	select { // a collection deletes what is not kept
	case <-r.collecting:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-r.closing:
		return nil, ErrClosed
	}
	defer func() { r.collecting <- struct{}{} }()
	r.mu.RLock()
	old := r.kept[id].t
	r.mu.RUnlock()
	if old != nil { // a flush that had begun when it was deleted has to end; later ones do nothing
		old.flushing.Lock()
		defer old.flushing.Unlock()
	}
	r.pinMu.Lock()
	defer r.pinMu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	k, ok := r.kept[id]
	if !ok {
		return nil, fmt.Errorf("undelete timeline %v: %w", id, ErrNotFound)
	}
	if k.read != nil {
		return nil, fmt.Errorf("undelete %q: a check reads it (try again when that has ended): %w", k.row.Name, ErrBusy)
	}
	row := k.row
	row.Name, row.Status, row.Deleted, row.Until, row.Head = cmp.Or(name, row.Name), statusLive, nil, nil, 0
	if row.Expires != nil && !time.Now().Before(*row.Expires) {
		row.Expires = nil // else it would be deleted again at once
	}
	if err := CheckName(row.Name); row.Name != row.ID && err != nil {
		return nil, err
	}
	if err := r.checkFree(row.Name); err != nil {
		return nil, err
	}
	byNo := make(map[timelineNo]*Timeline)
	for _, t := range r.byID {
		byNo[t.no] = t
	}
	if row.Parent != nil && byNo[*row.Parent] == nil {
		return nil, fmt.Errorf("undelete %q: its ancestor was deleted too: %w", row.Name, ErrBusy)
	}
	t, err := r.loadTimeline(k.no, row, byNo)
	if err == nil {
		err = r.loadPins(map[timelineNo]*Timeline{k.no: t})
	}
	if err == nil {
		err = r.update(rowOp(timelineKey(kindTimeline, k.no), row))
	}
	if err != nil {
		return nil, fmt.Errorf("undelete %q: %w", row.Name, err)
	}
	delete(r.kept, id)
	r.byID[id], r.byName[row.Name] = t, t
	return t, nil
}

// expire makes those of the deleted branches gone that need not be kept any more: whose time is over,
// or that were deleted before a certain time. One from which a branch begins stays, also from which
// a deleted one does that stays. It gives their ids.
func (r *Repository) expire(before time.Time) ([]TimelineID, error) {
	var all []TimelineID
	for now := time.Now(); ; {
		gone, err := r.expireOne(now, before)
		if err != nil || gone == nil {
			return all, err
		}
		all = append(all, *gone)
		if err := os.RemoveAll(filepath.Join(r.timelinesDir(), gone.String())); err != nil {
			return all, err
		}
	}
}

// expireOne makes one deleted branch gone, durably, and gives its id; nil if all others stay.
func (r *Repository) expireOne(now, before time.Time) (*TimelineID, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	needed := make(map[timelineNo]bool)
	for _, t := range r.byID {
		if t.parent != nil {
			needed[t.parent.no] = true
		}
	}
	for k := range maps.Values(r.kept) {
		if k.row.Parent != nil {
			needed[*k.row.Parent] = true
		}
	}
	for id, k := range r.kept {
		if needed[k.no] || k.read != nil || now.Before(*k.row.Until) && !k.row.Deleted.Before(before) {
			continue
		}
		row := k.row
		row.Until = nil
		if err := r.update(rowOp(timelineKey(kindTimeline, k.no), row)); err != nil {
			return nil, fmt.Errorf("forget the deleted branch %q: %w", row.Name, err)
		}
		delete(r.kept, id)
		r.gone[k.no] = gone{beforeOpen: k.t == nil}
		return &id, nil
	}
	return nil, nil
}
