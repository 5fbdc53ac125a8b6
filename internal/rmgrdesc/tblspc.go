package rmgrdesc

import "zenith/internal/xlog"

// tblspcDescs are tblspc_desc.
var tblspcDescs = descs{
	xlog.TblspcCreate >> 4: tblspcCreate,
	xlog.TblspcDrop >> 4:   tblspcDrop,
}

func tblspcCreate(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseTblspcCreate(rec)
	return w.text(err, "%d \"%s\"", x.SpcOID, x.Path)
}

func tblspcDrop(w *writer, rec *xlog.Record) error {
	spc, err := xlog.ParseTblspcDrop(rec)
	return w.text(err, "%d", spc)
}
