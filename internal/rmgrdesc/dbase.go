package rmgrdesc

import "zenith/internal/xlog"

// dbaseDescs are dbase_desc.
var dbaseDescs = descs{
	xlog.DbaseCreateFileCopy >> 4: dbaseCreateFileCopy,
	xlog.DbaseCreateWALLog >> 4:   dbaseCreateWALLog,
	xlog.DbaseDrop >> 4:           dbaseDrop,
}

func dbaseCreateFileCopy(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseDbaseCreate(rec)
	return w.text(err, "copy dir %d/%d to %d/%d", x.SrcSpcOID, x.SrcDBOID, x.SpcOID, x.DBOID)
}

func dbaseCreateWALLog(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseDbaseCreate(rec)
	return w.text(err, "create dir %d/%d", x.SpcOID, x.DBOID)
}

func dbaseDrop(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseDbaseDrop(rec)
	if err != nil {
		return err
	}
	w.WriteString("dir")
	for _, spc := range x.SpcOIDs {
		w.printf(" %d/%d", spc, x.DBOID)
	}
	return nil
}
