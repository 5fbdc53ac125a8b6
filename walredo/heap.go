package walredo

import (
	"encoding/binary"

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

// xlHeapInsert is xl_heap_insert.
type xlHeapInsert struct {
	off   pg.OffsetNumber
	flags uint8
}

func parseXLHeapInsert(b []byte) (xlHeapInsert, error) {
	if len(b) < 3 {
		return xlHeapInsert{}, corrupt("xl_heap_insert is %d bytes, want 3", len(b))
	}
	return xlHeapInsert{off: pg.OffsetNumber(binary.LittleEndian.Uint16(b)), flags: b[2]}, nil
}

// heapInsertVM is what heap_xlog_insert does to the visibility map.
func heapInsertVM(rec *xlog.Record) (vmClears, error) {
	c := vmClears{bits: vmValidBits}
	x, err := parseXLHeapInsert(rec.MainData)
	if err != nil {
		return c, err
	}
	return c, c.add(rec, 0, x.flags&xlhInsertAllVisibleCleared != 0)
}

// heapInsert is heap_xlog_insert.
func heapInsert(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	x, err := parseXLHeapInsert(rec.MainData)
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
	tup, err := newTuple(page, h, rec.XID, pg.ItemPointer{Block: blk.Tag.Block, Offset: x.off}, len(data))
	if err != nil {
		return err
	}
	copy(tup[sizeofHeapTupleHeader:], data)
	if err := addTuple(page, tup, x.off); err != nil {
		return err
	}
	if x.flags&xlhInsertAllVisibleCleared != 0 {
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

// xlHeapDelete is xl_heap_delete; xl_heap_lock and xl_heap_lock_updated have the
// same layout.
type xlHeapDelete struct {
	xmax     pg.TransactionID
	off      pg.OffsetNumber
	infobits uint8
	flags    uint8
}

func parseXLHeapDelete(b []byte) (xlHeapDelete, error) {
	if len(b) < 8 {
		return xlHeapDelete{}, corrupt("xl_heap_delete or lock is %d bytes, want 8", len(b))
	}
	return xlHeapDelete{
		xmax:     pg.TransactionID(binary.LittleEndian.Uint32(b)),
		off:      pg.OffsetNumber(binary.LittleEndian.Uint16(b[4:])),
		infobits: b[6],
		flags:    b[7],
	}, nil
}

// heapNamedVM is what a record of that layout does to the visibility map, if flag is among
// its flags: bits of its block go.
func heapNamedVM(flag, bits uint8) vmFunc {
	return func(rec *xlog.Record) (vmClears, error) {
		c := vmClears{bits: bits}
		x, err := parseXLHeapDelete(rec.MainData)
		if err != nil {
			return c, err
		}
		return c, c.add(rec, 0, x.flags&flag != 0)
	}
}

// heapNamed finds the tuple that a record of that layout names, and clears its infomasks
// for the new xmax.
func heapNamed(page pg.Page, rec *xlog.Record) (x xlHeapDelete, tup heapTuple, err error) {
	if x, err = parseXLHeapDelete(rec.MainData); err != nil {
		return x, nil, err
	}
	if tup, err = normalTuple(page, x.off); err != nil {
		return x, nil, err
	}
	tup.setXmaxBits(x.infobits)
	return x, tup, nil
}

// heapDelete is heap_xlog_delete.
func heapDelete(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	x, tup, err := heapNamed(page, rec)
	if err != nil {
		return err
	}
	tup.setHotUpdated(false)
	if x.flags&xlhDeleteIsSuper != 0 {
		tup.setXmin(0)
	} else {
		tup.setXmax(x.xmax)
	}
	tup.clearCid()
	page.SetPrunable(rec.XID)
	if x.flags&xlhDeleteAllVisibleCleared != 0 {
		page.ClearFlag(pg.PDAllVisible)
	}
	if x.flags&xlhDeleteIsPartitionMove != 0 {
		tup.setCtid(pg.ItemPointer{Block: pg.InvalidBlockNumber, Offset: movedPartitionsOffset})
	} else {
		tup.setCtid(pg.ItemPointer{Block: blk.Tag.Block, Offset: x.off})
	}
	return nil
}

// parseOffset reads xl_heap_confirm or xl_heap_inplace: one offset number.
func parseOffset(b []byte) (pg.OffsetNumber, error) {
	if len(b) < 2 {
		return 0, corrupt("offset number is %d bytes, want 2", len(b))
	}
	return pg.OffsetNumber(binary.LittleEndian.Uint16(b)), nil
}

// heapConfirm is heap_xlog_confirm: a speculative insertion is final.
func heapConfirm(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	off, err := parseOffset(rec.MainData)
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
	off, err := parseOffset(rec.MainData)
	if err != nil {
		return err
	}
	tup, err := normalTuple(page, off)
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
