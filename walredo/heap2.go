package walredo

import (
	"encoding/binary"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// heap2Rmgr is Heap2, in access/heap/heapam.c: the ops for which Heap has no room.
var heap2Rmgr = rmgr{name: "Heap2", mask: heapMask, ops: ops{
	// A file of logical decoding, pg_logical/mappings; no page.
	0x0: {name: "REWRITE"},
	0x1: {name: "PRUNE", redo: heap2Prune},
	0x2: {name: "VACUUM", redo: heap2Vacuum},
	0x3: {name: "FREEZE_PAGE", redo: heap2FreezePage},
	// Block 0 is the visibility map's page, block 1 the heap's.
	0x4: {name: "VISIBLE", redo: heap2Visible, newOK: block0, ownLSN: block0, hintLSN: block1},
	0x5: clearsVM(heap2MultiInsertVM, op{name: "MULTI_INSERT", initName: "MULTI_INSERT+INIT", redo: heap2MultiInsert}),
	0x6: clearsVM(heapNamedVM(xlhLockAllFrozenCleared, vmAllFrozen), op{name: "LOCK_UPDATED", redo: heap2LockUpdated}),
	// For logical decoding only.
	0x7: {name: "NEW_CID"},
}}

// heap2Prune is heap_xlog_prune with heap_page_prune_execute: line pointers become
// redirects, dead or unused, and the space is closed up. The block's data are pairs
// (from, to), then the dead, then the unused.
func heap2Prune(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	if err := heapPruneLines(page, rec, blk); err != nil {
		return err
	}
	return page.RepairFragmentation()
}

// heapPruneLines changes the line pointers.
func heapPruneLines(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	x, err := xlog.ParseHeapPrune(rec)
	if err != nil {
		return err
	}
	items := xlog.Offsets(blk.Data)
	if 2*x.NRedirected+x.NDead > items.Len() {
		return corrupt("prune of %d redirects and %d dead with %d offsets", x.NRedirected, x.NDead, items.Len())
	}
	for i := range x.NRedirected {
		from, to := items.At(2*i), items.At(2*i+1)
		if err := setLine(page, from, pg.MakeItemID(int(to), pg.LPRedirect, 0)); err != nil {
			return err
		}
	}
	for i := 2 * x.NRedirected; i < items.Len(); i++ {
		id := pg.ItemID(0)
		if i < 2*x.NRedirected+x.NDead {
			id = pg.MakeItemID(0, pg.LPDead, 0)
		}
		if err := setLine(page, items.At(i), id); err != nil {
			return err
		}
	}
	return nil
}

// setLine changes a line pointer that the page must have.
func setLine(page pg.Page, off pg.OffsetNumber, id pg.ItemID) error {
	if !page.HasItem(off) {
		return corrupt("line pointer %d of a page with %d", off, page.MaxOffset())
	}
	page.SetItemID(off, id)
	return nil
}

// heap2Vacuum is heap_xlog_vacuum: dead line pointers become unused.
func heap2Vacuum(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	n, err := xlog.ParseHeapVacuum(rec)
	if err != nil {
		return err
	}
	items, _, err := xlog.CutOffsets(blk.Data, n)
	if err != nil {
		return err
	}
	for i := range n {
		if err := setLine(page, items.At(i), 0); err != nil {
			return err
		}
	}
	page.TruncateLinePointerArray()
	return nil
}

// Flags of xl_heap_freeze_tuple.
const (
	xlhFreezeXvac  = 0x02
	xlhInvalidXvac = 0x04
)

const sizeofXLHeapFreezeTuple = 12

// heap2FreezePage is heap_xlog_freeze_page. The block's data are xl_heap_freeze_tuples:
//
//	xmax u32 | offset u16 | infomask2 u16 | infomask u16 | frzflags u8 | pad
func heap2FreezePage(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	x, err := xlog.ParseHeapFreezePage(rec)
	if err != nil {
		return err
	}
	if len(blk.Data) < x.N*sizeofXLHeapFreezeTuple {
		return corrupt("freeze of %d tuples with %d bytes of plans", x.N, len(blk.Data))
	}
	for i := range x.N {
		plan := blk.Data[i*sizeofXLHeapFreezeTuple:]
		tup, err := storedTuple(page, pg.OffsetNumber(binary.LittleEndian.Uint16(plan[4:])))
		if err != nil {
			return err
		}
		tup.setXmax(pg.TransactionID(binary.LittleEndian.Uint32(plan)))
		if plan[10]&xlhFreezeXvac != 0 {
			tup.setField3(uint32(frozenXID))
		}
		if plan[10]&xlhInvalidXvac != 0 {
			tup.setField3(0)
		}
		tup.setInfomask2(binary.LittleEndian.Uint16(plan[6:]))
		tup.setInfomask(binary.LittleEndian.Uint16(plan[8:]))
	}
	return nil
}

// heap2Visible is heap_xlog_visible up to 15.
func heap2Visible(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	// The one place where stock's result depends on pd_lsn even from a consistent base.
	return heapVisible(page, rec, blk, 0, rec.EndLSN > page.LSN())
}

// heapVisible gives the heap page its flag, and the map its bits if set says so. Beside bits of the map, the
// record may have the flags more.
func heapVisible(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef, more uint8, set bool) error {
	if blk.ID == 1 {
		page.SetFlag(pg.PDAllVisible)
		return nil
	}
	x, err := xlog.ParseHeapVisible(rec)
	if err != nil {
		return err
	}
	heap := rec.Block(1)
	if heap == nil || x.Flags&^(vmValidBits|more) != 0 || vmTag(heap.Tag.RelFileLocator, heap.Tag.Block) != blk.Tag {
		return corrupt("visible with flags %#x does not fit its blocks", x.Flags)
	}
	if err := vmInit(page); err != nil {
		return err
	}
	if set {
		vmSet(page, heap.Tag.Block, x.Flags&vmValidBits, rec.EndLSN)
	}
	return nil
}

// heap2MultiInsertVM is what heap_xlog_multi_insert does to the visibility map.
func heap2MultiInsertVM(rec *xlog.Record) (vmClears, error) {
	c := vmClears{bits: vmValidBits}
	x, err := xlog.ParseHeapMultiInsert(rec)
	if err != nil {
		return c, err
	}
	return c, c.add(rec, 0, x.Flags&xlhInsertAllVisibleCleared != 0)
}

// heap2MultiInsert is heap_xlog_multi_insert. The block's data are tuples, each an
// xl_multi_insert_tuple (datalen u16 and an xl_heap_header) on an even offset and
// its data.
func heap2MultiInsert(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	x, err := xlog.ParseHeapMultiInsert(rec)
	if err != nil {
		return err
	}
	if rec.InitPage() {
		page.Init(0)
	}
	at := 0
	for i := range x.NTuples {
		off := pg.FirstOffsetNumber + pg.OffsetNumber(i)
		if x.Items != nil {
			off = x.Items.At(i)
		}
		if at, err = heapMultiInsertOne(page, rec, blk, at, off); err != nil {
			return err
		}
	}
	if at != len(blk.Data) {
		return corrupt("%d tuples of a multi insert end at %d of %d bytes", x.NTuples, at, len(blk.Data))
	}
	if x.Flags&xlhInsertAllVisibleCleared != 0 {
		page.ClearFlag(pg.PDAllVisible)
	}
	if x.Flags&xlhInsertAllFrozenSet != 0 {
		page.SetFlag(pg.PDAllVisible)
	}
	return nil
}

// heapMultiInsertOne adds the tuple that lies behind at in the block's data, and
// gives the place behind it.
func heapMultiInsertOne(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef, at int, off pg.OffsetNumber) (int, error) {
	at = (at + 1) &^ 1
	if at+2 > len(blk.Data) {
		return 0, corrupt("multi insert is cut off")
	}
	size := int(binary.LittleEndian.Uint16(blk.Data[at:]))
	h, data, err := parseXLHeapHeader(blk.Data[at+2:])
	if err != nil {
		return 0, err
	}
	if size > len(data) {
		return 0, corrupt("tuple of %d bytes in a multi insert with %d left", size, len(data))
	}
	tup, err := newTuple(page, h, rec.XID, pg.ItemPointer{Block: blk.Tag.Block, Offset: off}, size)
	if err != nil {
		return 0, err
	}
	copy(tup[sizeofHeapTupleHeader:], data[:size])
	return at + 2 + sizeofXLHeapHeader + size, addTuple(page, tup, off)
}
