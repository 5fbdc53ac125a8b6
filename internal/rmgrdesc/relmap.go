package rmgrdesc

import "zenith/internal/xlog"

// relmapDescs are relmap_desc.
var relmapDescs = descs{xlog.RelMapUpdate >> 4: relmapUpdate}

func relmapUpdate(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseRelMapUpdate(rec)
	return w.text(err, "database %d tablespace %d size %d", x.DBOID, x.SpcOID, len(x.Data))
}
