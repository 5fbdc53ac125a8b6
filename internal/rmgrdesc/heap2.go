package rmgrdesc

import "zenith/internal/xlog"

// heap2Descs are heap2_desc.
var heap2Descs = descs{
	0x1: heapPrune,
	0x2: heapVacuum,
	0x3: heapFreezePage,
	0x4: heapVisible,
	0x5: heapMultiInsert,
	0x6: heapLockUpdated,
	0x7: heapNewCID,
}

func heapPrune(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseHeapPrune(rec)
	return w.text(err, "latestRemovedXid %d nredirected %d ndead %d", x.LatestRemovedXID, x.NRedirected, x.NDead)
}

func heapVacuum(w *writer, rec *xlog.Record) error {
	n, err := xlog.ParseHeapVacuum(rec)
	return w.text(err, "nunused %d", n)
}

func heapFreezePage(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseHeapFreezePage(rec)
	return w.text(err, "cutoff xid %d ntuples %d", x.CutoffXID, x.N)
}

func heapVisible(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseHeapVisible(rec)
	return w.text(err, "cutoff xid %d flags 0x%02X", x.CutoffXID, x.Flags)
}

func heapMultiInsert(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseHeapMultiInsert(rec)
	return w.text(err, "%d tuples flags 0x%02X", x.NTuples, x.Flags)
}

func heapLockUpdated(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseHeapDelete(rec)
	return w.text(err, "off %d: xmax %d: flags 0x%02X %s", x.Off, x.Xmax, x.Flags, infobits(x.Infobits))
}

func heapNewCID(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseHeapNewCID(rec)
	return w.text(err, "rel %v; tid %d/%d; cmin: %d, cmax: %d, combo: %d",
		x.Rel, x.TID.Block, x.TID.Offset, x.Cmin, x.Cmax, x.ComboCID)
}
