package rmgrdesc

import "zenith/internal/xlog"

// brinDescs are brin_desc.
var brinDescs = descs{
	0x0: brinCreateIndex,
	0x1: brinInsert,
	0x2: brinUpdate,
	0x3: brinSamePageUpdate,
	0x4: brinRevmapExtend,
	0x5: brinDesummarize,
}

func brinCreateIndex(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseBrinCreateIndex(rec)
	return w.text(err, "v%d pagesPerRange %d", x.Version, x.PagesPerRange)
}

func brinInsert(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseBrinInsert(rec)
	return w.text(err, "heapBlk %d pagesPerRange %d offnum %d", x.HeapBlock, x.PagesPerRange, x.Off)
}

func brinUpdate(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseBrinUpdate(rec)
	return w.text(err, "heapBlk %d pagesPerRange %d old offnum %d, new offnum %d",
		x.Insert.HeapBlock, x.Insert.PagesPerRange, x.OldOff, x.Insert.Off)
}

func brinSamePageUpdate(w *writer, rec *xlog.Record) error {
	off, err := xlog.ParseBrinSamePageUpdate(rec)
	return w.text(err, "offnum %d", off)
}

func brinRevmapExtend(w *writer, rec *xlog.Record) error {
	target, err := xlog.ParseBrinRevmapExtend(rec)
	return w.text(err, "targetBlk %d", target)
}

func brinDesummarize(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseBrinDesummarize(rec)
	return w.text(err, "pagesPerRange %d, heapBlk %d, page offset %d", x.PagesPerRange, x.HeapBlock, x.Off)
}
