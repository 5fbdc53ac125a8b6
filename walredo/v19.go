package walredo

import (
	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// rmgrs19 is PostgreSQL 19: a heap record sets bits of the visibility map, too, and changes no page of it that it does not
// register; an insertion marks its page as one to be pruned.
var rmgrs19 = rmgrs18.with(rmgrs{
	xlog.RmXLOG: rmgrs18[xlog.RmXLOG].with(ops{
		0xC: {name: "ASSIGN_LSN"}, // takes up room in the WAL, no more
		0xF: {name: "LOGICAL_DECODING_STATUS_CHANGE"},
	}),
	xlog.RmHeap:  heapRmgr19,
	xlog.RmHeap2: heap2Rmgr19,
	xlog.RmGist:  gistRmgr.with(ops{0x7: {gone: true}}), // ASSIGN_LSN
})

var heapRmgr19 = heapRmgr.with(ops{
	0x0: {name: "INSERT", initName: "INSERT+INIT", redo: heapInsert19, vm: heapInsertVM},
	0x1: {name: "DELETE", redo: heapDelete, vm: heapNamedVM(xlhDeleteAllVisibleCleared, vmValidBits)},
	0x2: {name: "UPDATE", initName: "UPDATE+INIT", redo: heapUpdate19, vm: heapUpdateVM},
	0x4: {name: "HOT_UPDATE", initName: "HOT_UPDATE+INIT", redo: heapUpdate19, vm: heapUpdateVM},
	0x6: {name: "LOCK", redo: heapLock, vm: heapNamedVM(xlhLockAllFrozenCleared, vmAllFrozen)},
})

// In heap2Rmgr19, block 0 is the heap's and block 1 the visibility map's page.
var heap2Rmgr19 = heap2Rmgr17.with(ops{
	0x1: prune19("PRUNE_ON_ACCESS"),
	0x2: prune19("PRUNE_VACUUM_SCAN"),
	0x3: prune19("PRUNE_VACUUM_CLEANUP"),
	0x4: {gone: true}, // VISIBLE
	0x5: {name: "MULTI_INSERT", initName: "MULTI_INSERT+INIT", redo: heap2MultiInsert19, newOK: block1, ownLSN: block1},
	0x6: {name: "LOCK_UPDATED", redo: heap2LockUpdated, vm: heapNamedVM(xlhLockAllFrozenCleared, vmAllFrozen)},
})

// heapInsert19 is heap_xlog_insert of 19.
func heapInsert19(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	if err := heapInsert(page, rec, blk); err != nil {
		return err
	}
	h, _, err := parseXLHeapHeader(blk.Data)
	if err == nil && rec.XID >= pg.FirstNormalTransactionID && h.infomask&heapXminFrozen != heapXminFrozen {
		page.SetPrunable(rec.XID)
	}
	return err
}

// heapUpdate19 is heap_xlog_update of 19.
func heapUpdate19(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	if err := heapUpdate(page, rec, blk); err != nil {
		return err
	}
	page.SetPrunable(rec.XID) // the new tuple's page, as the old one's always was
	return nil
}

// heap2MultiInsert19 is heap_xlog_multi_insert of 19.
func heap2MultiInsert19(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	x, err := xlog.ParseHeapMultiInsert(rec)
	if err != nil {
		return err
	}
	frozen := x.Flags&xlhInsertAllFrozenSet != 0
	switch {
	case blk.ID == 1 && frozen:
		return vmSetHeapBlock(page, rec, blk, vmValidBits)
	case blk.ID == 1:
		return vmFunc(heap2MultiInsertVM).redoBlock(page, rec, blk)
	}
	if err := heap2MultiInsert(page, rec, blk); err != nil {
		return err
	}
	if frozen {
		page.SetPruneXid(0)
	} else {
		page.SetPrunable(rec.XID)
	}
	return nil
}

// prune19 is an op of pruning. Where the record does no more to the heap page than mark it, pd_lsn moves in clusters alone
// that log hints.
func prune19(name string) op {
	return op{name: name, redo: heap2PruneFreeze19, newOK: block1, ownLSN: block1, hintLSN: block0, hint: pruneMarksOnly}
}

func pruneMarksOnly(rec *xlog.Record) bool {
	x, err := xlog.ParseHeapPruneFreeze(rec)
	return err == nil && !x.ChangesItems()
}

// heap2PruneFreeze19 is heap_xlog_prune_freeze of 19.
func heap2PruneFreeze19(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	x, err := xlog.ParseHeapPruneFreeze(rec)
	if err != nil {
		return err
	}
	bits := x.VMBits()
	if blk.ID == 1 {
		return vmSetHeapBlock(page, rec, blk, bits)
	}
	if err := heapPruneFreeze(page, blk, x.Flags); err != nil {
		return err
	}
	if bits != 0 {
		page.SetFlag(pg.PDAllVisible)
		page.SetPruneXid(0)
	}
	return nil
}

// vmSetHeapBlock sets bits of block 0, a heap page, in the visibility map's page blk. pd_lsn moves whether or not the bits
// were set before.
func vmSetHeapBlock(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef, bits uint8) error {
	heap := rec.Block(0)
	if heap == nil || bits == 0 || vmTag(heap.Tag.RelFileLocator, heap.Tag.Block) != blk.Tag {
		return corrupt("bits %#x of the visibility map do not fit the record's blocks", bits)
	}
	if err := vmInit(page); err != nil {
		return err
	}
	at, shift := vmPos(heap.Tag.Block)
	page[at] |= bits << shift
	page.SetLSN(rec.EndLSN)
	return nil
}
