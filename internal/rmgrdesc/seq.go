package rmgrdesc

import "zenith/internal/xlog"

// seqDescs are seq_desc.
var seqDescs = descs{0x0: seqLog}

func seqLog(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseSeq(rec)
	return w.text(err, "rel %v", x.Rel)
}
