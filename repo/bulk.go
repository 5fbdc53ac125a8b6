package repo

import (
	"context"

	"zenith/internal/pg"
)

// Bulk writes base images, sizes and files at one LSN past memory into the store, at
// full speed if they come in key order. Its methods may be called concurrently.
type Bulk struct{}

// Timeline is the timeline being filled.
func (b *Bulk) Timeline() *Timeline { return nil }

// Image stores a page. All zero pages need not be stored.
func (b *Bulk) Image(tag pg.BufferTag, lsn pg.LSN, page pg.Page) error { return errStub }

// RelSize stores a relation's size.
func (b *Bulk) RelSize(rf pg.RelFork, lsn pg.LSN, n pg.BlockNumber) error { return errStub }

// DBCreate stores a database.
func (b *Bulk) DBCreate(spc, db pg.OID, lsn pg.LSN) error { return errStub }

// File stores a file.
func (b *Bulk) File(path string, lsn pg.LSN, content []byte) error { return errStub }

// Commit stores the state, makes everything durable and publishes s.LSN and s.Prev; a
// timeline from Create now exists, from s.LSN on. All LSNs given must be in (the old
// head, s.LSN].
func (b *Bulk) Commit(ctx context.Context, s *State) error { return errStub }

// Abort drops what was written; nothing after Commit.
func (b *Bulk) Abort() {}
