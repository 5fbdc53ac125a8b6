package ingest

import (
	"context"
	"fmt"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// keptForks are the forks whose history is kept.
var keptForks = [...]pg.ForkNumber{pg.MainFork, pg.VisibilityMapFork, pg.InitFork}

// createFork is XLOG_SMGR_CREATE.
func createFork(ctx context.Context, in *Ingester) error {
	rf, err := xlog.ParseSmgrCreate(&in.rec)
	if err != nil || rf.Fork == pg.FSMFork {
		return err
	}
	if err := in.needDirectory(ctx, database{rf.SpcOID, rf.DBOID}); err != nil {
		return err
	}
	in.batch.w.Extend(rf, in.rec.EndLSN, 0)
	return nil
}

// needDirectory is TablespaceCreateDbspace: a database's directory in a tablespace is
// made for the first relation that is put there.
func (in *Ingester) needDirectory(ctx context.Context, d database) error {
	if d.spc == pg.DefaultTablespace || d.spc == pg.GlobalTablespace {
		return nil
	}
	exists, known := in.dbs[d]
	if !known {
		snap, err := in.tl.At(ctx, in.tl.LastLSN())
		if err != nil {
			return err
		}
		if exists, err = snap.HasDatabase(ctx, d.spc, d.db); err != nil {
			return err
		}
	}
	if !exists {
		in.batch.w.DBCreate(d.spc, d.db, in.rec.EndLSN)
	}
	in.dbs[d] = true
	return nil
}

// truncateRelation is XLOG_SMGR_TRUNCATE. What it does to the visibility map's last page
// is a change of that page.
func truncateRelation(_ context.Context, in *Ingester) error {
	t, err := xlog.ParseSmgrTruncate(&in.rec)
	if err != nil {
		return err
	}
	main := pg.RelFork{RelFileLocator: t.Rel}
	in.batch.w.Extend(main, in.rec.EndLSN, 0)
	if t.Flags&xlog.SmgrTruncateHeap != 0 {
		if err := in.shrink(main, t.Blocks); err != nil {
			return err
		}
	}
	if t.Flags&xlog.SmgrTruncateVM != 0 {
		vm := pg.RelFork{RelFileLocator: t.Rel, Fork: pg.VisibilityMapFork}
		return in.shrink(vm, mapBlocks(t.Blocks))
	}
	return nil
}

// heapBlocksPerMapPage is HEAPBLOCKS_PER_PAGE of visibilitymap.c: two bits for each.
const heapBlocksPerMapPage = (pg.BlockSize - pg.PageHeaderSize) * 4

// mapBlocks is how many pages of the visibility map n blocks of the heap need.
func mapBlocks(n pg.BlockNumber) pg.BlockNumber {
	return n/heapBlocksPerMapPage + min(n%heapBlocksPerMapPage, 1)
}

// shrink cuts a fork that exists to n blocks. It never makes it longer.
func (in *Ingester) shrink(rf pg.RelFork, n pg.BlockNumber) error {
	now, exists, err := in.batch.w.Size(rf)
	if err != nil {
		return fmt.Errorf("size of %v: %w", rf, err)
	}
	if exists && n < now {
		in.batch.w.RelSize(rf, in.rec.EndLSN, n)
	}
	return nil
}

// transactionEnds is xact_redo_commit and xact_redo_abort, less what they do to SLRUs:
// relations that the transaction dropped, or made in vain, go now, and so does the state
// of a prepared transaction.
func transactionEnds(_ context.Context, in *Ingester) error {
	end, err := xlog.ParseXactEnd(&in.rec)
	if err != nil {
		return err
	}
	for rel := range end.Rels.All() {
		for _, fork := range keptForks {
			in.batch.w.RelDrop(pg.RelFork{RelFileLocator: rel, Fork: fork}, in.rec.EndLSN)
		}
	}
	if end.Prepared() {
		in.batch.w.File(in.twoPhasePath(end.XID), in.rec.EndLSN, nil)
	}
	return nil
}

// prepare is PrepareRedoAdd and what the next checkpoint then writes.
func prepare(_ context.Context, in *Ingester) error {
	p, err := xlog.ParsePrepare(&in.rec)
	if err != nil {
		return err
	}
	in.batch.w.File(in.twoPhasePath(p.XID), in.rec.EndLSN, xlog.TwoPhaseFile(in.rec.MainData))
	return nil
}

// twoPhasePath is the path of a prepared transaction's state file, where the record that is
// being ingested says that xid is one.
func (in *Ingester) twoPhasePath(xid pg.TransactionID) string {
	// The record may be the first that has xid.
	next := in.state.CheckPoint.NextXID.AdvancePast(xid)
	return in.rec.V.TwoPhasePath(next.Widen(xid))
}
