package repo

import (
	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// Writer collects what records change, in LSN order, and publishes it all at once.
// It is for one goroutine. Errors are kept: the first one is Commit's.
type Writer struct{}

// Page says that rec changes tag. The bytes of rec are copied; call it for one record
// after the other.
func (w *Writer) Page(tag pg.BufferTag, rec *xlog.Record) {}

// Image sets tag to page as of lsn. The page is copied.
func (w *Writer) Image(tag pg.BufferTag, lsn pg.LSN, page pg.Page) {}

// Size is rf's size in blocks at this point of the batch, and whether it exists.
func (w *Writer) Size(rf pg.RelFork) (n pg.BlockNumber, exists bool, err error) {
	return 0, false, errStub
}

// Extend makes rf at least n blocks long as of lsn, and creates it if need be.
func (w *Writer) Extend(rf pg.RelFork, lsn pg.LSN, n pg.BlockNumber) {}

// RelSize sets rf's size as of lsn, and creates it if need be. Blocks that are cut off
// come back as zeros if rf grows again.
func (w *Writer) RelSize(rf pg.RelFork, lsn pg.LSN, n pg.BlockNumber) {}

// RelDrop removes rf as of lsn; nothing if it does not exist.
func (w *Writer) RelDrop(rf pg.RelFork, lsn pg.LSN) {}

// DBCreate makes a database in a tablespace, as of lsn. (global has none.)
func (w *Writer) DBCreate(spc, db pg.OID, lsn pg.LSN) {}

// DBDrop removes a database from a tablespace, with all its relations. Files below its
// directory are the caller's to remove.
func (w *Writer) DBDrop(spc, db pg.OID, lsn pg.LSN) {}

// File sets a file's content as of lsn; nil removes it.
func (w *Writer) File(path string, lsn pg.LSN, content []byte) {}

// State stores the state at s.LSN. Resolve walks the WAL from the nearest, so store one
// every 256 KiB of WAL or so. The state is copied.
func (w *Writer) State(s *State) {}

// Commit publishes the batch: LastLSN becomes upTo, a record boundary, and prev the
// start of the record that ends there. All of it becomes visible or none. The WAL up
// to upTo must be durable.
func (w *Writer) Commit(upTo, prev pg.LSN) error { return errStub }

// Abort drops the batch; nothing after Commit.
func (w *Writer) Abort() {}
