package rmgrdesc

import (
	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// rmgrs19 is PostgreSQL 19: it sets bits of the visibility map in other records, and its lines about Gin and Hash say more.
var rmgrs19 = rmgrs18.with(rmgrs{
	xlog.RmXLOG: rmgrs18[xlog.RmXLOG].with(descs{
		xlog.XLOGCheckpointShutdown >> 4: checkpoint19,
		xlog.XLOGCheckpointOnline >> 4:   checkpoint19,
		xlog.XLOGLogicalDecoding >> 4:    logicalDecoding,
	}),
	xlog.RmHeap2: rmgrs18[xlog.RmHeap2].with(descs{
		0x1: heapPruneFreeze19, 0x2: heapPruneFreeze19, 0x3: heapPruneFreeze19,
		0x4: gone, // VISIBLE
		0x5: heapMultiInsert19,
	}),
	xlog.RmGin:  ginDescs.with(descs{0x3: ginSplit19, 0x6: ginUpdateMetaPage19, 0x7: ginInsertListPage19}),
	xlog.RmHash: rmgrs18[xlog.RmHash].with(descs{0x0: hashInitMetaPage19, 0x4: hashSplitAllocatePage19, 0x8: hashSqueezePage19}),
})

func checkpoint19(w *writer, rec *xlog.Record) error {
	c, err := xlog.ParseCheckPoint(rec)
	return w.text(err, "redo %s; tli %d; prev tli %d; fpw %t; wal_level %s; logical decoding %t; xid %s; oid %d; multi %d; offset %d; "+
		"oldest xid %d in DB %d; oldest multi %d in DB %d; oldest/newest commit timestamp xid: %d/%d; oldest running xid %d; %s",
		w.lsn(c.Redo), c.ThisTLI, c.PrevTLI, c.FullPageWrites, walLevel(c.WALLevel), c.LogicalDecoding, fullXID(c.NextXID), c.NextOID,
		c.NextMulti, c.NextMultiOffset, c.OldestXID, c.OldestXIDDB, c.OldestMulti, c.OldestMultiDB, c.OldestCommitTsXID,
		c.NewestCommitTsXID, c.OldestActiveXID, pick(rec.Op() == xlog.XLOGCheckpointShutdown, "shutdown", "online"))
}

func logicalDecoding(w *writer, rec *xlog.Record) error {
	on, err := xlog.ParseLogicalDecoding(rec)
	return w.text(err, "%t", on)
}

func heapPruneFreeze19(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseHeapPruneFreeze(rec)
	if err != nil {
		return err
	}
	w.pruneHead(&x)
	if bits := x.VMBits(); bits != 0 {
		w.printf(", vm_flags: 0x%02X", bits)
	}
	return w.pruneBlock(rec, &x)
}

func heapMultiInsert19(w *writer, rec *xlog.Record) error {
	const allFrozenSet, vmBits = 0x20, 0x03 // XLH_INSERT_ALL_FROZEN_SET; all visible and all frozen
	x, err := xlog.ParseHeapMultiInsert(rec)
	if err != nil {
		return err
	}
	w.printf("ntuples: %d, flags: 0x%02X", x.NTuples, x.Flags)
	if x.Flags&allFrozenSet != 0 {
		w.printf(", vm_flags: 0x%02X", vmBits)
	}
	if _, ok := blockData(rec); ok && !rec.InitPage() {
		w.offsets("offsets", x.Items)
	}
	return nil
}

// block writes a block's number behind name, if there is one.
func (w *writer) block(name string, b pg.BlockNumber) {
	if b != pg.InvalidBlockNumber {
		w.printf(" %s: %d", name, b)
	}
}

func ginSplit19(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseGinSplit(rec)
	if err != nil {
		return err
	}
	w.printf("isrootsplit: %s isdata: %s isleaf: %s", letter(x.IsRootSplit()), letter(x.IsData()), letter(x.IsLeaf()))
	if x.LeftChild != pg.InvalidBlockNumber {
		w.printf(" children: %d/%d", x.LeftChild, x.RightChild)
	}
	return nil
}

func ginUpdateMetaPage19(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseGinUpdateMeta(rec)
	if err != nil {
		return err
	}
	w.printf("ntuples: %d", x.NTuples)
	w.block("prevTail", x.PrevTail)
	w.block("newRightlink", x.NewRightLink)
	return nil
}

func ginInsertListPage19(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseGinInsertListPage(rec)
	if err != nil {
		return err
	}
	w.printf("ntuples: %d", x.NTuples)
	w.block("rightlink", x.RightLink)
	return nil
}

func hashInitMetaPage19(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseHashInitMetaPage(rec)
	return w.text(err, "num_tuples %s, procid %d, fillfactor %d", double(x.NTuples), x.ProcID, x.FillFactor)
}

func hashSplitAllocatePage19(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseHashSplitAllocatePage(rec)
	return w.text(err, "new_bucket %d, old_bucket_flag %d, new_bucket_flag %d, meta_page_masks_updated %s, issplitpoint_changed %s",
		x.NewBucket, x.OldFlag, x.NewFlag, letter(x.UpdateMasks), letter(x.UpdateSplitpoint))
}

func hashSqueezePage19(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseHashSqueezePage(rec)
	return w.text(err, "prevblkno %d, nextblkno %d, ntups %d, is_primary %s, is_previous %s",
		x.Prev, x.Next, x.NTuples, letter(x.IsPrimary), letter(x.PrevIsWrite))
}
