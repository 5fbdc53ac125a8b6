package fusefs

import (
	"context"

	"zenith/internal/pg"
)

// Branch is what a working tree needs of the branch whose head it shows: a place for WAL and
// configuration, and somebody to tell. Its methods are called from many goroutines at once,
// while a process waits for its write, fsync or close; so they must not touch the mount.
type Branch interface {
	// Version is the PostgreSQL whose data directory the branch's head is. It never changes.
	Version() *pg.Version
	// WALDir is the directory with the branch's segment files. pg_wal shows some of them, and
	// what a server writes there is written to them.
	WALDir() string
	// HoldWAL is called once, before the mount is there, with a function that reports whether a
	// server on the mount may have a segment in its pg_wal. Until the mount has ended, the
	// branch must neither remove nor replace a segment of which it says so. The function does
	// not block.
	HoldWAL(held func(segment string) bool)
	// PlainWAL makes sure that a segment of WALDir is a plain file, whatever form the branch
	// keeps it in. It is called after HoldWAL for each segment that pg_wal shows at first. An
	// error fails the mount.
	PlainWAL(segment string) error
	// Throttle is called before an fsync of WAL, and may block while the branch has much WAL to
	// ingest: that slows the server down. It returns when ctx ends. It is not called where
	// pg_wal is bound into the mount.
	Throttle(ctx context.Context)
	// SegmentSynced is called when a segment is durable, before the fsync of it returns, so it
	// must be quick. end is where the furthest write to it ended, in bytes from its beginning.
	// Where pg_wal is bound, it is called soon after a write, and the segment need not be durable.
	SegmentSynced(segment string, end int64)
	// PutFile stores a configuration file, durably; nil content means that the file is gone. path
	// is relative to the data directory. An error fails the close, fsync, rename or unlink that
	// PutFile is called for.
	PutFile(ctx context.Context, path string, content []byte) error
	// Stopped is called when the mount has gone, if postgres was stopped cleanly on it, by the
	// shutdown checkpoint at checkpoint, before what was written to relations is thrown away. If
	// the branch cannot rebuild some pages, it gets them from written, adds them to its WAL, and
	// behind them another shutdown checkpoint, which it returns; nil: nothing was added. An error
	// means that pages may be lost. Nothing on the mount may be used any more but written.
	Stopped(ctx context.Context, checkpoint pg.LSN, written WrittenPages) (*pg.CheckPoint, error)
}

// WrittenPages reads a page of a relation as postgres has left it on a mount. ok is false if
// postgres did not write the page: then it is the base's, or is not there.
type WrittenPages func(tag pg.BufferTag, page pg.Page) (ok bool, err error)
