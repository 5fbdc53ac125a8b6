package walredo

import (
	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// rmgrs17 is PostgreSQL 17: it prunes, freezes and vacuums a page by one record.
var rmgrs17 = rmgrs16.with(rmgrs{
	xlog.RmXLOG:  xlogRmgr.with(ops{0xE: {name: "CHECKPOINT_REDO"}}),
	xlog.RmHeap2: heap2Rmgr17,
	xlog.RmHash:  hashRmgr.with(ops{0x8: {name: "SQUEEZE_PAGE", redo: hashSqueezePage17, untouched: block0, ownLSN: block1}}),
})

var heap2Rmgr17 = heap2Rmgr16.with(ops{
	0x1: {name: "PRUNE_ON_ACCESS", redo: heap2PruneFreeze},
	0x2: {name: "PRUNE_VACUUM_SCAN", redo: heap2PruneFreeze},
	0x3: {name: "PRUNE_VACUUM_CLEANUP", redo: heap2PruneFreeze},
})

// heap2PruneFreeze is heap_xlog_prune_freeze.
func heap2PruneFreeze(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	x, err := xlog.ParseHeapPruneFreeze(rec)
	if err != nil {
		return err
	}
	return heapPruneFreeze(page, blk, x.Flags)
}

// heapPruneFreeze does to the heap page what the block's data say.
func heapPruneFreeze(page pg.Page, blk *xlog.BlockRef, flags uint16) error {
	p, err := xlog.ParsePruneItems(blk.Data, flags)
	if err != nil {
		return err
	}
	if len(p.Redirected)+len(p.Dead)+len(p.Unused) > 0 {
		if err := pruneItems(page, &p, flags&xlog.PruneCleanupLock != 0); err != nil {
			return err
		}
	}
	return freezeTuples(page, p.Plans, p.Frozen)
}

// pruneItems is heap_page_prune_execute. Without a cleanup lock no tuple may move: VACUUM's second pass only makes dead
// line pointers unused.
func pruneItems(page pg.Page, p *xlog.PruneItems, cleanupLock bool) error {
	for i := range p.Redirected.Len() / 2 {
		if err := setLine(page, p.Redirected.At(2*i), pg.MakeItemID(int(p.Redirected.At(2*i+1)), pg.LPRedirect, 0)); err != nil {
			return err
		}
	}
	for i := range p.Dead.Len() {
		if err := setLine(page, p.Dead.At(i), pg.MakeItemID(0, pg.LPDead, 0)); err != nil {
			return err
		}
	}
	for i := range p.Unused.Len() {
		if err := setLine(page, p.Unused.At(i), 0); err != nil {
			return err
		}
	}
	if cleanupLock {
		return page.RepairFragmentation()
	}
	page.TruncateLinePointerArray()
	return nil
}

// hashSqueezePage17 is hash_xlog_squeeze_page since 17: block 1, to which tuples of the freed page go, may be there for its lock
// alone. Then it stays as it is, pd_lsn too.
func hashSqueezePage17(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	if err := hashSqueezePage(page, rec, blk); err != nil || blk.ID != 1 {
		return err
	}
	xl, err := xlog.ParseHashSqueezePage(rec)
	if err == nil && (xl.NTuples > 0 || xl.PrevIsWrite) {
		page.SetLSN(rec.EndLSN)
	}
	return err
}
