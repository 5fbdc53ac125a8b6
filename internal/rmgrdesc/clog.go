package rmgrdesc

import "zenith/internal/xlog"

// clogDescs are clog_desc.
var clogDescs = descs{
	xlog.CLOGZeroPage >> 4: clogZeroPage,
	xlog.CLOGTruncate >> 4: clogTruncate,
}

func clogZeroPage(w *writer, rec *xlog.Record) error {
	pageno, err := xlog.ParseZeroPage(rec)
	return w.text(err, "page %d", int32(pageno))
}

func clogTruncate(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseCLOGTruncate(rec)
	return w.text(err, "page %d; oldestXact %d", int32(x.Page), x.OldestXID)
}

// commitTsDescs are commit_ts_desc.
var commitTsDescs = descs{
	xlog.CommitTsZeroPage >> 4: zeroPage,
	xlog.CommitTsTruncate >> 4: commitTsTruncate,
}

// zeroPage is for CommitTs and MultiXact.
func zeroPage(w *writer, rec *xlog.Record) error {
	pageno, err := xlog.ParseZeroPage(rec)
	return w.text(err, "%d", int32(pageno))
}

func commitTsTruncate(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseCommitTsTruncate(rec)
	return w.text(err, "pageno %d, oldestXid %d", int32(x.Page), x.OldestXID)
}
