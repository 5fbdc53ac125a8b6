package repo

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"zenith/internal/durable"
	"zenith/internal/pg"
	"zenith/internal/xlog"
	"zenith/repo/store"
)

// CreateOptions describe a timeline without an ancestor.
type CreateOptions struct {
	ID      TimelineID // zero: random
	Name    string     // the branch name
	Major   int        // of the PostgreSQL whose WAL and data it is
	TLI     pg.TLI     // PostgreSQL's timeline that its WAL is on
	History pg.History // all of them, if there are several; TLI is not used then
	SegSize int        // of its WAL segments, 1 MiB to 1 GiB
	SysID   uint64     // the cluster's system identifier
}

// CheckName says whether a branch may have that name. It must not look like a timeline's
// id or a point, and as a path it must stay where it is put: "a/b" is a name, "a/../b" is not.
// internal/api is stricter with the names of new branches; older ones may have any of these.
func CheckName(name string) error {
	bad := len(name) > 255
	for part := range strings.SplitSeq(name, "/") {
		bad = bad || part == "" || part[0] == '.'
	}
	for _, r := range name {
		bad = bad || r < ' ' || r == 0x7F || r == '@' || r == '\\' || r == '\uFFFD'
	}
	if _, err := ParseTimelineID(name); err == nil {
		bad = true
	}
	if bad || name[0] == '-' {
		return fmt.Errorf("branch name %q: %w", name, ErrInvalid)
	}
	return nil
}

// Nested reports whether one of two names is that of a directory of the other, as "a" and "a/b":
// a tree of files can have only one of them. Git refuses that too.
func Nested(a, b string) bool {
	return strings.HasPrefix(a, b+"/") || strings.HasPrefix(b, a+"/")
}

// checkFree reports an error if a branch cannot be called name because of another one. The caller
// has mu.
func (r *Repository) checkFree(name string) error {
	if r.byName[name] != nil || r.names[name] {
		return fmt.Errorf("branch %q: %w", name, ErrExists)
	}
	if _, found := r.tags[name]; found {
		return fmt.Errorf("branch %q: there is a tag of that name: %w", name, ErrExists)
	}
	for other := range r.byName {
		if Nested(name, other) {
			return fmt.Errorf("branch %q: there is a branch %q: %w", name, other, ErrExists)
		}
	}
	for other := range r.names {
		if Nested(name, other) {
			return fmt.Errorf("branch %q: a branch %q is being made: %w", name, other, ErrExists)
		}
	}
	return nil
}

// reserve takes name and id for a timeline that is being made, so that no other can have them, and
// gives it a number. A zero id becomes a random one. release undoes it.
func (r *Repository) reserve(id *TimelineID, name string) (timelineNo, error) {
	if id.IsZero() {
		*id = RandomTimelineID()
	}
	if name != id.String() {
		if err := CheckName(name); err != nil {
			return 0, err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.checkFree(name); err != nil {
		return 0, err
	}
	if _, kept := r.kept[*id]; kept {
		return 0, fmt.Errorf("timeline %v was deleted and is kept: %w", *id, ErrExists)
	}
	if r.byID[*id] != nil || r.names[id.String()] {
		return 0, fmt.Errorf("timeline %v: %w", *id, ErrExists)
	}
	r.names[name], r.names[id.String()] = true, true
	no := r.nextNo
	r.nextNo++
	return no, nil
}

// release undoes reserve, when the timeline is there or was given up.
func (r *Repository) release(id TimelineID, name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.names, name)
	delete(r.names, id.String())
}

// add makes a timeline that is complete and durable visible to callers.
func (r *Repository) add(t *Timeline) { r.enter(t, nil) }

// enter makes a timeline that is complete and durable visible to callers, and gives the one whose place it takes its
// new name.
func (r *Repository) enter(t *Timeline, over *succession) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.byID[t.info.ID], r.byName[t.Name()] = t, t
	if over != nil {
		over.old.label.Store(&over.kept)
		r.byName[over.kept.name] = over.old
	}
}

// MakeDirs makes t's directories, durably, if they are not there. A new branch has none, and costs
// nothing, until something is written on it.
func (t *Timeline) MakeDirs() error {
	for _, dir := range []string{t.WALDir(), t.WorkDir()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	if err := durable.SyncDir(t.dir()); err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(t.dir()))
}

func (t *Timeline) timelineRow(status timelineStatus) timelineRow {
	row := timelineRow{
		ID: t.info.ID.String(), Status: status, Start: rowLSN(t.info.StartLSN),
		Major: t.info.Version.Major, SegSize: t.info.SegSize, SysID: t.info.SysID,
	}
	row.setHistory(t.History())
	row.setLabel(*t.label.Load())
	if t.parent != nil {
		row.Parent = &t.parent.no
	}
	return row
}

// statusOp is the write that gives t's row another status.
func (t *Timeline) statusOp(status timelineStatus) store.Op {
	return rowOp(timelineKey(kindTimeline, t.no), t.timelineRow(status))
}

// Create begins a timeline without an ancestor, to be filled through the Bulk. Until Bulk.Commit
// the timeline cannot be found, and a crash removes it. Its WAL directory is made at once: the
// caller puts the first segments there.
func (r *Repository) Create(ctx context.Context, o CreateOptions) (*Bulk, error) {
	if !xlog.ValidSegSize(o.SegSize) {
		return nil, fmt.Errorf("wal segments of %d bytes: %w", o.SegSize, ErrInvalid)
	}
	version, err := pg.ByMajor(o.Major)
	if err != nil {
		return nil, fmt.Errorf("create %q: %w: %w", o.Name, ErrUnsupported, err)
	}
	no, err := r.reserve(&o.ID, o.Name)
	if err != nil {
		return nil, err
	}
	history := o.History
	if len(history) == 0 {
		history = pg.OnTLI(o.TLI)
	}
	info := Info{ID: o.ID, Name: o.Name, Version: version, SegSize: o.SegSize, SysID: o.SysID}
	t := newTimeline(r, no, info, history, nil, flushedRow{})
	t.label.Store(&label{name: o.Name, created: time.Now()})
	b, err := t.create(ctx)
	if err != nil {
		r.release(o.ID, o.Name)
		return nil, fmt.Errorf("create %q: %w", o.Name, err)
	}
	return b, nil
}

func (t *Timeline) create(ctx context.Context) (*Bulk, error) {
	if err := t.MakeDirs(); err != nil {
		return nil, err
	}
	if err := t.r.update(t.statusOp(statusCreating)); err != nil {
		return nil, err
	}
	if err := t.takeTurn(ctx); err != nil {
		return nil, err
	}
	return &Bulk{t: t, creating: true, out: t.bulk()}, nil
}

// NewBranch says what a branch that is made is called, and what users say of it.
type NewBranch struct {
	ID   TimelineID // zero: random
	Name string
	Attributes
}

// Branch makes a timeline whose history is parent's up to at. at must be a record boundary, as
// Resolve gives it: ErrInvalid if it is none, ErrOutOfRange if it is beyond parent's head or
// forgotten, ErrExists if the name or id is taken. A branch at the head also has the files that
// PutFile stored since. It takes constant time and space, and is durable on return.
func (r *Repository) Branch(ctx context.Context, as NewBranch, parent *Timeline, at pg.LSN) (*Timeline, error) {
	t, err := r.branchAt(ctx, as, parent, at, nil)
	if err != nil {
		return nil, fmt.Errorf("branch %q: %w", as.Name, err)
	}
	return t, nil
}

// branchAt makes a timeline that begins at at, with the files that parent has there.
func (r *Repository) branchAt(ctx context.Context, as NewBranch, parent *Timeline, at pg.LSN, over *succession) (*Timeline, error) {
	var s *Snapshot
	var err error
	if at == parent.LastLSN() {
		s, err = parent.AtHead(ctx)
	} else {
		s, err = parent.At(ctx, at)
	}
	if err == nil {
		err = s.isAt(at)
	}
	if err != nil {
		return nil, err
	}
	return r.branchFrom(ctx, as, parent, s, over, func(no timelineNo) ([]store.Op, error) { return newFiles(ctx, s, no) })
}

// branchFrom makes a timeline that begins at s. files gives the writes that store its own files
// there. over says whose place it takes; nil: nobody's.
func (r *Repository) branchFrom(ctx context.Context, as NewBranch, parent *Timeline, s *Snapshot, over *succession, files func(timelineNo) ([]store.Op, error)) (*Timeline, error) {
	unpin, err := parent.Pin(s.LSN()) // as soon as the branch is there, it pins the point itself
	if err != nil {
		return nil, err
	}
	defer unpin()
	free := as.Name // must be a free name
	if over != nil {
		free = over.kept.name
	}
	no, err := r.reserve(&as.ID, free)
	if err != nil {
		return nil, err
	}
	defer r.release(as.ID, free)
	// The parent is the ancestor that has the branch point in its own WAL. It cannot be deleted while
	// it has a child, so whoever deletes it must be kept out until the branch is there.
	parent = parent.owner(s.LSN())
	giveTurns, err := takeTurns(ctx, parent, over.predecessor())
	if err != nil {
		return nil, err
	}
	defer giveTurns()
	if err := over.check(as.Name); err != nil {
		return nil, err
	}
	if over != nil {
		as.Attributes = over.old.Attributes() // they may have changed while this waited for the turn
	}
	own, err := files(no)
	if err != nil {
		return nil, err
	}
	t, err := parent.branch(no, as, s, own, over)
	if err != nil {
		return nil, err
	}
	r.enter(t, over)
	return t, nil
}

// branch stores a timeline that begins at s, and with it, at once, the row of the one whose place it takes. The
// caller has the turn of both.
func (parent *Timeline) branch(no timelineNo, as NewBranch, s *Snapshot, files []store.Op, over *succession) (*Timeline, error) {
	info := parent.info
	info.ID, info.Name, info.Parent, info.StartLSN = as.ID, as.Name, parent.info.ID, s.LSN()
	at := flushedRow{LSN: s.LSN(), Prev: s.State().Prev, Intent: s.LSN()}
	t := newTimeline(parent.r, no, info, parent.History().Until(s.LSN()), parent, at)
	t.label.Store(&label{name: as.Name, created: time.Now(), Attributes: as.Attributes})
	ops := []store.Op{
		stampedOp(appendVersion(appendState(nil), no, s.LSN()), s.State().Encode()),
		rowOp(timelineKey(kindFlushed, no), at),
		t.statusOp(statusLive),
	}
	ops = append(ops, over.ops()...)
	if sizeOf(ops)+sizeOf(files) < store.MaxUpdate {
		return t, parent.r.update(append(files, ops...)...)
	}
	// The files are too many for one update. A crash before the last one leaves a row by which the next Open knows that
	// the timeline was never finished: its number is not given to another one, which would have these files.
	if err := parent.r.update(t.statusOp(statusCreating)); err != nil {
		return nil, err
	}
	for _, op := range files {
		if err := parent.r.store.Update([]store.Op{op}); err != nil {
			return nil, err
		}
	}
	return t, parent.r.update(ops...)
}

// sizeOf is how many bytes of an update's room ops take.
func sizeOf(ops []store.Op) (n int) {
	for _, op := range ops {
		n += len(op.Key) + len(op.Value)
	}
	return n
}

// newFiles gives the writes that make the files which PutFile stored above s.LSN() the branch's own.
func newFiles(ctx context.Context, s *Snapshot, no timelineNo) (ops []store.Op, err error) {
	if s.files[0].cap == s.point.LSN {
		return nil, nil
	}
	sights := s.files.look()
	err = eachFile(ctx, s.t.r.store, "", nil, func(c *cursor, path string) error {
		f, err := s.file(finder{c, sights}, path)
		if err == nil && f.lsn > s.point.LSN {
			ops = append(ops, stampedOp(appendVersion(appendFile(nil, path), no, s.point.LSN), encodeFile(f.content)))
		}
		return err
	})
	return ops, err
}

func errDeleted(t *Timeline) error {
	return fmt.Errorf("branch %q was deleted: %w", t.Name(), ErrNotFound)
}

// Delete removes a branch. Its name is free at once; Undelete brings it back until the first
// collection after a time. ErrBusy if it has children. It waits until no Writer is at work.
func (r *Repository) Delete(ctx context.Context, name string, until time.Time) error {
	t, err := r.ByName(name)
	if err != nil {
		return err
	}
	if err := t.takeTurn(ctx); err != nil {
		return err
	}
	defer t.giveTurn()
	if t.Name() != name { // it was renamed, or has taken another one's place, while this waited
		return fmt.Errorf("delete branch %q: %w", name, ErrNotFound)
	}
	if err := r.remove(t, until); err != nil {
		return fmt.Errorf("delete branch %q: %w", name, err)
	}
	t.dropOpen() // its WAL has what was in there
	t.wal.Close()
	return nil
}

// remove makes t a deleted branch that is kept until a time, durably. The caller has the turn, so
// nobody is making a branch of t.
func (r *Repository) remove(t *Timeline, until time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.byID {
		if c.parent == t {
			return fmt.Errorf("it has the child %q: %w", c.Name(), ErrBusy)
		}
	}
	for _, tag := range r.tags {
		if tag.t == t {
			return fmt.Errorf("it has the tag %q: %w", tag.name, ErrBusy)
		}
	}
	row := t.timelineRow(statusDeleted)
	row.Deleted, row.Until, row.Head = new(time.Now()), &until, rowLSN(t.LastLSN())
	if err := r.update(rowOp(timelineKey(kindTimeline, t.no), row)); err != nil {
		return err
	}
	delete(r.byID, t.info.ID)
	delete(r.byName, t.Name())
	r.kept[t.info.ID] = keptRow{no: t.no, row: row, parent: t.info.Parent, t: t, stored: t.StoredBytes()}
	t.flushMu.Lock()
	defer t.flushMu.Unlock()
	t.deleted = true
	return nil
}

// dropOpen gives the memory of the open window back: nobody will flush it.
func (t *Timeline) dropOpen() {
	w := t.view.Load().open()
	w.mu.Lock()
	defer w.mu.Unlock()
	t.r.mem.add(-w.size)
	w.size = 0
}

// noteGone has the next collection delete the versions of a timeline that was never finished.
func (r *Repository) noteGone(no timelineNo) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gone[no] = gone{}
}
