package rmgrdesc

import "zenith/internal/xlog"

// gistDescs are gist_desc.
var gistDescs = descs{
	0x1: gistDelete,
	0x2: gistPageReuse,
	0x3: gistPageSplit,
	0x6: gistPageDelete,
}

func gistDelete(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseGistDelete(rec)
	return w.text(err, "delete: latestRemovedXid %d, nitems: %d", x.LatestRemovedXID, x.ToDelete.Len())
}

func gistPageReuse(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseGistPageReuse(rec)
	return w.text(err, "rel %v; blk %d; latestRemovedXid %s", x.Rel, x.Block, fullXID(x.LatestRemovedXID))
}

func gistPageSplit(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseGistPageSplit(rec)
	return w.text(err, "page_split: splits to %d pages", x.NPage)
}

func gistPageDelete(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseGistPageDelete(rec)
	return w.text(err, "deleteXid %s; downlink %d", fullXID(x.DeleteXID), x.DownlinkOffset)
}
