package rmgrdesc

import "zenith/internal/xlog"

// replOriginDescs are replorigin_desc.
var replOriginDescs = descs{
	xlog.ReplOriginSet >> 4:  replOriginSet,
	xlog.ReplOriginDrop >> 4: replOriginDrop,
}

func replOriginSet(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseReplOriginSet(rec)
	return w.text(err, "set %d; lsn %s; force: %s", x.Node, w.lsn(x.RemoteLSN), pick(x.Force, "1", "0"))
}

func replOriginDrop(w *writer, rec *xlog.Record) error {
	node, err := xlog.ParseReplOriginDrop(rec)
	return w.text(err, "drop %d", node)
}
