package rmgrdesc

import (
	"strings"

	"zenith/internal/xlog"
)

// heapDescs16 are heap_desc since 16.
var heapDescs16 = descs{
	0x0: heapInsert16,
	0x1: heapNamed16,
	0x2: heapUpdate16,
	0x3: heapTruncate16,
	0x4: heapUpdate16,
	0x5: heapConfirm16,
	0x6: heapNamed16,
	0x7: heapInplace16,
}

// heap2Descs16 are heap2_desc of 16.
var heap2Descs16 = heap2Descs.with(descs{
	0x1: heapPrune16,
	0x2: heapVacuum16,
	0x3: heapFreezePage16,
	0x4: heapVisible16,
	0x5: heapMultiInsert16,
	0x6: heapNamed16,
	0x7: heapNewCID16,
})

func heapInsert16(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseHeapInsert(rec)
	return w.text(err, "off: %d, flags: 0x%02X", x.Off, x.Flags)
}

// heapNamed16 is for DELETE, LOCK and LOCK_UPDATED.
func heapNamed16(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseHeapDelete(rec)
	return w.text(err, "xmax: %d, off: %d, infobits: [%s], flags: 0x%02X", x.Xmax, x.Off, infobitsList(x.Infobits), x.Flags)
}

func heapUpdate16(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseHeapUpdate(rec)
	return w.text(err, "old_xmax: %d, old_off: %d, old_infobits: [%s], flags: 0x%02X, new_xmax: %d, new_off: %d",
		x.OldXmax, x.OldOff, infobitsList(x.OldInfobits), x.Flags, x.NewXmax, x.NewOff)
}

func heapTruncate16(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseHeapTruncate(rec)
	if err != nil {
		return err
	}
	var flags []string
	if x.Flags&xlog.HeapTruncateCascade != 0 {
		flags = append(flags, "CASCADE")
	}
	if x.Flags&xlog.HeapTruncateRestartSeqs != 0 {
		flags = append(flags, "RESTART_SEQS")
	}
	w.printf("flags: [%s], nrelids: %d", strings.Join(flags, ", "), x.RelIDs.Len())
	w.array("relids", x.RelIDs.Len(), func(i int) { w.printf("%d", x.RelIDs.At(i)) })
	return nil
}

func heapConfirm16(w *writer, rec *xlog.Record) error {
	off, err := xlog.ParseHeapConfirm(rec)
	return w.text(err, "off: %d", off)
}

func heapInplace16(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseHeapInplace(rec)
	if err != nil {
		return err
	}
	w.printf("off: %d", x.Off)
	w.invalidations(x.Invals)
	return nil
}

// infobitsList gives the XLHL_ bits with commas between.
func infobitsList(bits uint8) string {
	return strings.ReplaceAll(strings.TrimSuffix(infobits(bits), " "), " ", ", ")
}

// blockData gives the data of the record's block 0, and whether it has any.
func blockData(rec *xlog.Record) ([]byte, bool) {
	blk := rec.Block(0)
	if blk == nil {
		return nil, false
	}
	return blk.Data, blk.HasData
}

func heapPrune16(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseHeapPrune(rec)
	if err != nil {
		return err
	}
	w.printf("snapshotConflictHorizon: %d, nredirected: %d, ndead: %d", x.LatestRemovedXID, x.NRedirected, x.NDead)
	data, ok := blockData(rec)
	if !ok {
		return nil
	}
	redirected, rest, err := xlog.CutOffsets(data, 2*x.NRedirected)
	if err != nil {
		return err
	}
	dead, rest, err := xlog.CutOffsets(rest, x.NDead)
	if err != nil {
		return err
	}
	unused := xlog.Offsets(rest)
	w.printf(", nunused: %d", unused.Len())
	w.redirects("redirected", redirected)
	w.offsets("dead", dead)
	w.offsets("unused", unused)
	return nil
}

func heapVacuum16(w *writer, rec *xlog.Record) error {
	n, err := xlog.ParseHeapVacuum(rec)
	if err != nil {
		return err
	}
	w.printf("nunused: %d", n)
	data, ok := blockData(rec)
	if !ok {
		return nil
	}
	unused, _, err := xlog.CutOffsets(data, n)
	if err != nil {
		return err
	}
	w.offsets("unused", unused)
	return nil
}

func heapFreezePage16(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseHeapFreezePage(rec)
	if err != nil {
		return err
	}
	w.printf("snapshotConflictHorizon: %d, nplans: %d", x.CutoffXID, x.N)
	data, ok := blockData(rec)
	if !ok {
		return nil
	}
	plans, items, err := xlog.ParseFreezePlans(data, x.N)
	if err != nil {
		return err
	}
	w.freezePlans(plans, items)
	return nil
}

// freezePlans writes plans, each with its part of items, the numbers of its tuples.
func (w *writer) freezePlans(plans xlog.FreezePlans, items xlog.Offsets) {
	w.array("plans", plans.Len(), func(i int) {
		p := plans.At(i)
		w.printf("{ xmax: %d, infomask: %d, infomask2: %d, ntuples: %d", p.Xmax, p.Infomask, p.Infomask2, p.NTuples)
		mine, rest, err := xlog.CutOffsets(items, p.NTuples)
		if err != nil {
			panic(err) // whoever parsed the plans has counted the items
		}
		items = xlog.Offsets(rest)
		w.offsets("offsets", mine)
		w.WriteString(" }")
	})
}

func heapVisible16(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseHeapVisible(rec)
	return w.text(err, "snapshotConflictHorizon: %d, flags: 0x%02X", x.CutoffXID, x.Flags)
}

func heapMultiInsert16(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseHeapMultiInsert(rec)
	if err != nil {
		return err
	}
	w.printf("ntuples: %d, flags: 0x%02X", x.NTuples, x.Flags)
	if _, ok := blockData(rec); ok && !rec.InitPage() {
		w.offsets("offsets", x.Items)
	}
	return nil
}

func heapNewCID16(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseHeapNewCID(rec)
	return w.text(err, "rel: %v, tid: %d/%d, cmin: %d, cmax: %d, combo: %d",
		x.Rel, x.TID.Block, x.TID.Offset, x.Cmin, x.Cmax, x.ComboCID)
}
