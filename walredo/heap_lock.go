package walredo

import (
	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// xlhLockAllFrozenCleared is XLH_LOCK_ALL_FROZEN_CLEARED: a locked tuple is still visible to
// all, but not frozen.
const xlhLockAllFrozenCleared = 0x01

// heapLock is heap_xlog_lock.
func heapLock(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	x, tup, err := heapNamed(page, rec)
	if err != nil {
		return err
	}
	if tup.xmaxLockedOnly() {
		tup.setHotUpdated(false)
		tup.setCtid(pg.ItemPointer{Block: blk.Tag.Block, Offset: x.Off})
	}
	tup.setXmax(x.Xmax)
	tup.clearCid()
	return nil
}

// heap2LockUpdated is heap_xlog_lock_updated: a lock that follows an update chain.
func heap2LockUpdated(page pg.Page, rec *xlog.Record, _ *xlog.BlockRef) error {
	x, tup, err := heapNamed(page, rec)
	if err != nil {
		return err
	}
	tup.setXmax(x.Xmax)
	return nil
}
