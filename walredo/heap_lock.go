package walredo

import (
	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// xlhLockAllFrozenCleared is XLH_LOCK_ALL_FROZEN_CLEARED.
const xlhLockAllFrozenCleared = 0x01

// heapLockVM is what heap_xlog_lock and heap_xlog_lock_updated do to the visibility
// map: a locked tuple is still visible to all, but not frozen.
func heapLockVM(rec *xlog.Record) (vmClears, error) {
	c := vmClears{bits: vmAllFrozen}
	x, err := parseXLHeapDelete(rec.MainData)
	if err != nil {
		return c, err
	}
	return c, c.add(rec, 0, x.flags&xlhLockAllFrozenCleared != 0)
}

// heapLock is heap_xlog_lock.
func heapLock(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	x, err := parseXLHeapDelete(rec.MainData)
	if err != nil {
		return err
	}
	tup, err := normalTuple(page, x.off)
	if err != nil {
		return err
	}
	tup.setXmaxBits(x.infobits)
	if tup.xmaxLockedOnly() {
		tup.setHotUpdated(false)
		tup.setCtid(pg.ItemPointer{Block: blk.Tag.Block, Offset: x.off})
	}
	tup.setXmax(x.xmax)
	tup.clearCid()
	return nil
}

// heap2LockUpdated is heap_xlog_lock_updated: a lock that follows an update chain.
func heap2LockUpdated(page pg.Page, rec *xlog.Record, _ *xlog.BlockRef) error {
	x, err := parseXLHeapDelete(rec.MainData)
	if err != nil {
		return err
	}
	tup, err := normalTuple(page, x.off)
	if err != nil {
		return err
	}
	tup.setXmaxBits(x.infobits)
	tup.setXmax(x.xmax)
	return nil
}
