package repo

import (
	"context"

	"zenith/internal/pg"
)

// Snapshot is the state of everything at one LSN of a timeline. It never changes, needs
// no Close, and is safe for concurrent use.
type Snapshot struct{}

// Timeline is the timeline that s is a state of.
func (s *Snapshot) Timeline() *Timeline { return nil }

// LSN is s's record boundary.
func (s *Snapshot) LSN() pg.LSN { return 0 }

// State is the control data at LSN. Shared: do not change it.
func (s *Snapshot) State() *State { return nil }

// ReadPage rebuilds tag into dst, with its checksum if the cluster has them. ErrNotFound
// if the relation or the block does not exist.
func (s *Snapshot) ReadPage(ctx context.Context, tag pg.BufferTag, dst pg.Page) error { return errStub }

// ReadPages rebuilds n consecutive blocks into dst (n pages long); cheaper than one by one.
func (s *Snapshot) ReadPages(ctx context.Context, first pg.BufferTag, n int, dst []byte) error {
	return errStub
}

// RelSize gives a fork's size in blocks and whether it exists.
func (s *Snapshot) RelSize(ctx context.Context, rf pg.RelFork) (n pg.BlockNumber, exists bool, err error) {
	return 0, false, errStub
}

// Relations calls fn with each existing fork in a database directory (db 0: global), in
// order, until fn returns an error.
func (s *Snapshot) Relations(ctx context.Context, spc, db pg.OID, fn func(rf pg.RelFork, n pg.BlockNumber) error) error {
	return errStub
}

// SLRUSegments calls fn with each existing segment of an SLRU and its length in pages.
func (s *Snapshot) SLRUSegments(ctx context.Context, slru pg.SLRU, fn func(segno uint32, n pg.BlockNumber) error) error {
	return errStub
}

// Databases calls fn with each database directory: tablespace and database.
func (s *Snapshot) Databases(ctx context.Context, fn func(spc, db pg.OID) error) error {
	return errStub
}

// HasDatabase says whether that database directory exists.
func (s *Snapshot) HasDatabase(ctx context.Context, spc, db pg.OID) (bool, error) {
	return false, errStub
}

// ReadFile gives a file's content: ErrNotFound if there is none. Shared: do not change it.
func (s *Snapshot) ReadFile(ctx context.Context, path string) ([]byte, error) { return nil, errStub }

// Files calls fn with each file whose path begins with prefix, in order.
func (s *Snapshot) Files(ctx context.Context, prefix string, fn func(path string, size int) error) error {
	return errStub
}
