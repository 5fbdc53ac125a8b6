package repo

import (
	"context"
	"errors"
	"time"

	"zenith/internal/pg"
)

var errStub = errors.New("not written yet")

// Timeline is one line of WAL with the history of its pages. All methods are safe for
// concurrent use; there is one Writer at a time.
type Timeline struct{}

// Info is what never changes about a timeline.
type Info struct {
	ID       TimelineID
	Name     string
	Parent   TimelineID // zero if it has no ancestor
	StartLSN pg.LSN     // the first LSN that can be read; for a branch: the branch point
	TLI      pg.TLI
	SegSize  int
	SysID    uint64
}

// Point is a record boundary and the state there.
type Point struct {
	LSN   pg.LSN
	State *State // shared: do not change
}

// ID, Name and Info say who it is.
func (t *Timeline) ID() TimelineID { return TimelineID{} }

// Name is the branch name.
func (t *Timeline) Name() string { return "" }

// Info gives what never changes about t.
func (t *Timeline) Info() Info { return Info{} }

// Ancestor gives the timeline that t was branched from and the LSN, or nil.
func (t *Timeline) Ancestor() (*Timeline, pg.LSN) { return nil, 0 }

// StartLSN is the first LSN that can be read on t itself. A branch reads older
// LSNs of its ancestors too: see FirstLSN.
func (t *Timeline) StartLSN() pg.LSN { return 0 }

// FirstLSN is the first LSN that can be read through t, its ancestors included.
func (t *Timeline) FirstLSN() pg.LSN { return 0 }

// LastLSN is the published head: the end of the last record whose effects can be read.
func (t *Timeline) LastLSN() pg.LSN { return 0 }

// PrevLSN is the start of the record that ends at LastLSN. Head gives both as one pair.
func (t *Timeline) Head() (last, prev pg.LSN) { return 0, 0 }

// WaitLSN waits until LastLSN is at or beyond lsn.
func (t *Timeline) WaitLSN(ctx context.Context, lsn pg.LSN) error { return errStub }

// Resolve finds the last record boundary at or below lsn, and the state there.
// ErrOutOfRange before FirstLSN and beyond LastLSN.
func (t *Timeline) Resolve(ctx context.Context, lsn pg.LSN) (Point, error) {
	return Point{}, errStub
}

// FindTime finds the end of the last commit at or before when. ErrOutOfRange if the
// history begins later; the head if it ends earlier.
func (t *Timeline) FindTime(ctx context.Context, when time.Time) (Point, error) {
	return Point{}, errStub
}

// At gives the immutable snapshot at Resolve(lsn).
func (t *Timeline) At(ctx context.Context, lsn pg.LSN) (*Snapshot, error) { return nil, errStub }

// AtHead gives the snapshot at LastLSN that, unlike At(LastLSN), sees files put by
// PutFile since: what a writable mount starts from.
func (t *Timeline) AtHead(ctx context.Context) (*Snapshot, error) { return nil, errStub }

// PutFile stores a file that WAL does not describe, as configuration: nil content
// removes it. It is stored just above LastLSN, so that no view that could have been
// seen changes; AtHead sees it at once. It is durable on return.
func (t *Timeline) PutFile(ctx context.Context, path string, content []byte) error { return errStub }

// Flush writes what is in memory to the store and waits for it.
func (t *Timeline) Flush(ctx context.Context) error { return errStub }

// Begin starts a batch of changes. It waits while too much is unflushed. ErrBusy if
// there is a Writer already.
func (t *Timeline) Begin(ctx context.Context) (*Writer, error) { return nil, errStub }

// Bulk starts a batch that goes past memory right into the store; it flushes t first.
// It is for what is too big for a Writer, as a copy of a database.
func (t *Timeline) Bulk(ctx context.Context) (*Bulk, error) { return nil, errStub }

// WAL reads t's WAL: own segments at and above StartLSN, the ancestors' below.
func (t *Timeline) WAL() *WAL { return nil }

// WALDir is the directory of t's own segments.
func (t *Timeline) WALDir() string { return "" }

// WorkDir is a directory for the working tree of t's writable mount.
func (t *Timeline) WorkDir() string { return "" }

// SegmentPath is the path of t's own segment that holds lsn, present or not.
func (t *Timeline) SegmentPath(lsn pg.LSN) string { return "" }
