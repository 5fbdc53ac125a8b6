package api

import (
	"context"
	"io"

	"zenith/internal/pg"
)

// ReplicationService serves branches to the clients of PostgreSQL's physical replication:
// pg_receivewal, pg_basebackup, standbys.
type ReplicationService interface {
	// Replicate opens a branch for a replication client. Empty strings mean the default
	// tenant and its main branch. While it is open the branch cannot be deleted.
	Replicate(ctx context.Context, tenant, branch string) (ReplicationSource, error)
}

// ReplicationSource is a branch as a replication client sees it.
type ReplicationSource interface {
	io.Closer
	// Version is the PostgreSQL whose data and WAL the branch has. It never changes.
	Version() *pg.Version
	// System describes the branch. Its head holds every commit that was acknowledged before the call.
	System(ctx context.Context) (ReplicationSystem, error)
	// Head is the end of WAL that may be sent: durable, complete records.
	Head() pg.LSN
	// WaitLSN waits until Head is at or beyond lsn.
	WaitLSN(ctx context.Context, lsn pg.LSN) error
	// ReadWAL reads WAL from at on, fewer bytes than asked for perhaps. io.EOF: it is not there.
	ReadWAL(p []byte, at pg.LSN) (int, error)
	// BaseBackup begins a base backup as of the head.
	BaseBackup(ctx context.Context, o BackupOptions) (Backup, error)
	// History says on which of PostgreSQL's timelines the WAL is. It grows when the server that the branch follows
	// is replaced by one that was promoted, before Head moves on.
	History() pg.History
	// TimelineHistory gives the history file of one of PostgreSQL's timelines: ErrNotFound if the branch has none.
	TimelineHistory(ctx context.Context, tli pg.TLI) ([]byte, error)
	// Slots are the branch's replication slots.
	Slots() SlotService
}

// ReplicationSystem is what a replication client asks of a server before it begins.
type ReplicationSystem struct {
	SystemID
	SegSize  int
	Settings []Setting // that SHOW knows, beside those of every branch
}

// SlotService keeps the physical replication slots of a branch. WAL from a slot's restart
// LSN on is kept.
type SlotService interface {
	// Create makes a slot: ErrExists if there is one. reserve keeps WAL from the last
	// checkpoint on at once; without, that begins with the first stream. A temporary one is
	// not kept on disk, and belongs to the connection that made it, which drops it.
	Create(name string, temporary, reserve bool) error
	// Drop removes it: ErrNotFound if there is none, ErrBusy while somebody streams. own: the caller means a temporary
	// slot that it made, and a permanent one is ErrNotFound; else a temporary one is another's, and ErrBusy.
	Drop(name string, own bool) error
	// Get gives where a slot keeps WAL from, 0 if it does not yet: ErrNotFound.
	Get(name string) (restart pg.LSN, err error)
	// Acquire takes it for a stream: ErrNotFound, ErrBusy. own is as for Drop.
	Acquire(name string, own bool) error
	// Advance says up to where the stream has got WAL and has it safe.
	Advance(name string, flushed pg.LSN) error
	// Release undoes Acquire.
	Release(name string) error
}
