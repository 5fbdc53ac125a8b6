package repo

import (
	"context"
	"log/slog"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// RedoFunc brings page, which is tag as it was before rec, to what it is after rec.
// walredo.Redo is one. It must be pure: repo calls it from many goroutines.
type RedoFunc func(page pg.Page, tag pg.BufferTag, rec *xlog.Record) error

// Options are Open's.
type Options struct {
	Dir    string       // the tenant's directory: holds store/ and timelines/
	Redo   RedoFunc     // required
	Log    *slog.Logger // default: discards
	Memory *Memory      // shared by the repositories of a process; default: one of its own
	Store  Store        // default: badger in Dir/store. Open owns it from then on
}

// Repository is the history of one tenant: its timelines, and every version of
// every page in them. It is safe for concurrent use.
type Repository struct{}

// Open opens the repository in o.Dir, making it if it is not there. Timelines whose
// creation or deletion was cut short by a crash are gone.
func Open(o Options) (*Repository, error) { return nil, errStub }

// Close seals and flushes what is open, and waits for it. Snapshots and timelines
// must not be used any more.
func (r *Repository) Close() error { return errStub }

// Timelines lists the timelines, in the order in which they were created.
func (r *Repository) Timelines() []*Timeline { return nil }

// Timeline finds a timeline by its id: ErrNotFound if there is none.
func (r *Repository) Timeline(id TimelineID) (*Timeline, error) { return nil, errStub }

// ByName finds a timeline by its branch name: ErrNotFound if there is none.
func (r *Repository) ByName(name string) (*Timeline, error) { return nil, errStub }

// CreateOptions describe a timeline without an ancestor.
type CreateOptions struct {
	ID      TimelineID // zero: random
	Name    string     // the branch name
	TLI     pg.TLI     // PostgreSQL's timeline in its WAL's page headers
	SegSize int        // of its WAL segments, 1 MiB to 1 GiB
	SysID   uint64     // the cluster's system identifier
}

// Create begins a timeline without an ancestor, to be filled through the Bulk. It
// does not exist for others, nor after a crash, until Bulk.Commit; its WAL directory
// does, for the import to put the first segments into.
func (r *Repository) Create(ctx context.Context, o CreateOptions) (*Bulk, error) {
	return nil, errStub
}

// Branch makes a timeline whose history is parent's up to at, a record boundary
// (Resolve gives one) not beyond parent's head. It takes constant time and space and
// is durable on return. The zero id means a random one.
func (r *Repository) Branch(ctx context.Context, id TimelineID, name string, parent *Timeline, at pg.LSN) (*Timeline, error) {
	return nil, errStub
}

// Delete removes a branch: its name at once, its data lazily. ErrBusy if it has
// children or a writer.
func (r *Repository) Delete(ctx context.Context, name string) error { return errStub }
