package walredo

import (
	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// heapRmgr is Heap, in access/heap/heapam.c.
var heapRmgr = rmgr{name: "Heap", mask: heapMask, ops: ops{
	0x0: clearsVM(heapInsertVM, op{name: "INSERT", initName: "INSERT+INIT", redo: heapInsert}),
	0x1: clearsVM(heapNamedVM(xlhDeleteAllVisibleCleared, vmValidBits), op{name: "DELETE", redo: heapDelete}),
	0x2: clearsVM(heapUpdateVM, op{name: "UPDATE", initName: "UPDATE+INIT", redo: heapUpdate}),
	// Logged for logical decoding; what it does to files is in Storage records.
	0x3: {name: "TRUNCATE"},
	0x4: clearsVM(heapUpdateVM, op{name: "HOT_UPDATE", initName: "HOT_UPDATE+INIT", redo: heapUpdate}),
	0x5: {name: "HEAP_CONFIRM", redo: heapConfirm},
	0x6: clearsVM(heapNamedVM(xlhLockAllFrozenCleared, vmAllFrozen), op{name: "LOCK", redo: heapLock}),
	0x7: {name: "INPLACE", redo: heapInplace},
}}

// Flags of xl_heap_insert and xl_heap_multi_insert.
const (
	xlhInsertAllVisibleCleared = 0x01
	xlhInsertAllFrozenSet      = 0x20
)

// heapInsertVM is what heap_xlog_insert does to the visibility map.
func heapInsertVM(rec *xlog.Record) (vmClears, error) {
	c := vmClears{bits: vmValidBits}
	x, err := xlog.ParseHeapInsert(rec)
	if err != nil {
		return c, err
	}
	return c, c.add(rec, 0, x.Flags&xlhInsertAllVisibleCleared != 0)
}

// heapInsert is heap_xlog_insert.
func heapInsert(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	x, err := xlog.ParseHeapInsert(rec)
	if err != nil {
		return err
	}
	if rec.InitPage() {
		page.Init(0)
	}
	h, data, err := parseXLHeapHeader(blk.Data)
	if err != nil {
		return err
	}
	tup, err := newTuple(page, h, rec.XID, pg.ItemPointer{Block: blk.Tag.Block, Offset: x.Off}, len(data))
	if err != nil {
		return err
	}
	copy(tup[sizeofHeapTupleHeader:], data)
	if err := addTuple(page, tup, x.Off); err != nil {
		return err
	}
	if x.Flags&xlhInsertAllVisibleCleared != 0 {
		page.ClearFlag(pg.PDAllVisible)
	}
	return nil
}

// Flags of xl_heap_delete.
const (
	xlhDeleteAllVisibleCleared = 0x01
	xlhDeleteIsSuper           = 0x08
	xlhDeleteIsPartitionMove   = 0x10
)

// heapNamedVM is what a record with an xl_heap_delete or an xl_heap_lock does to the visibility map, if flag is among
// its flags: bits of its block go.
func heapNamedVM(flag, bits uint8) vmFunc {
	return func(rec *xlog.Record) (vmClears, error) {
		c := vmClears{bits: bits}
		x, err := xlog.ParseHeapDelete(rec)
		if err != nil {
			return c, err
		}
		return c, c.add(rec, 0, x.Flags&flag != 0)
	}
}

// heapNamed finds the tuple that a record of that layout names, and clears its infomasks
// for the new xmax.
func heapNamed(page pg.Page, rec *xlog.Record) (x xlog.HeapDelete, tup heapTuple, err error) {
	if x, err = xlog.ParseHeapDelete(rec); err != nil {
		return x, nil, err
	}
	if tup, err = normalTuple(page, x.Off); err != nil {
		return x, nil, err
	}
	tup.setXmaxBits(x.Infobits)
	return x, tup, nil
}

// heapDelete is heap_xlog_delete.
func heapDelete(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	x, tup, err := heapNamed(page, rec)
	if err != nil {
		return err
	}
	tup.setHotUpdated(false)
	if x.Flags&xlhDeleteIsSuper != 0 {
		tup.setXmin(0)
	} else {
		tup.setXmax(x.Xmax)
	}
	tup.clearCid()
	page.SetPrunable(rec.XID)
	if x.Flags&xlhDeleteAllVisibleCleared != 0 {
		page.ClearFlag(pg.PDAllVisible)
	}
	if x.Flags&xlhDeleteIsPartitionMove != 0 {
		tup.setCtid(pg.ItemPointer{Block: pg.InvalidBlockNumber, Offset: movedPartitionsOffset})
	} else {
		tup.setCtid(pg.ItemPointer{Block: blk.Tag.Block, Offset: x.Off})
	}
	return nil
}

// heapConfirm is heap_xlog_confirm: a speculative insertion is final.
func heapConfirm(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	off, err := xlog.ParseHeapConfirm(rec)
	if err != nil {
		return err
	}
	tup, err := normalTuple(page, off)
	if err != nil {
		return err
	}
	tup.setCtid(pg.ItemPointer{Block: blk.Tag.Block, Offset: off})
	return nil
}

// heapInplace is heap_xlog_inplace: a catalog tuple's data are overwritten.
func heapInplace(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	x, err := xlog.ParseHeapInplace(rec)
	if err != nil {
		return err
	}
	tup, err := normalTuple(page, x.Off)
	if err != nil {
		return err
	}
	if len(tup)-tup.hoff() != len(blk.Data) {
		return corrupt("tuple has %d bytes of data, the record %d", len(tup)-tup.hoff(), len(blk.Data))
	}
	copy(tup[tup.hoff():], blk.Data)
	return nil
}

// heapMask is heap_mask.
func heapMask(page pg.Page, blkno pg.BlockNumber) {
	maskLSN(page)
	maskHints(page)
	maskUnused(page)
	for off := pg.FirstOffsetNumber; page.HasItem(off); off++ {
		id := page.ItemID(off)
		item, err := page.Item(off)
		if err != nil {
			continue // no storage; a damaged one is left for the comparison to find
		}
		if id.IsNormal() && len(item) >= sizeofHeapTupleHeader {
			heapMaskTuple(item, pg.ItemPointer{Block: blkno, Offset: off})
		}
		end := id.Offset() + id.Length()
		clear(page[end:min(pg.MaxAlign(end), pg.BlockSize)])
	}
}

// heapMaskTuple masks what hints and commands leave in a tuple's header.
func heapMaskTuple(tup heapTuple, self pg.ItemPointer) {
	if m := tup.infomask(); m&heapXminFrozen != heapXminFrozen {
		tup.setInfomask(m &^ heapXactMask)
	} else {
		tup.setInfomask(m &^ (heapXmaxInvalid | heapXmaxCommitted))
	}
	tup.setField3(0)
	if tup.ctid().Offset == specTokenOffset {
		tup.setCtid(self)
	}
}
