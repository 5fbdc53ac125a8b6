package rmgrdesc

import "zenith/internal/xlog"

// multixactDescs are multixact_desc.
var multixactDescs = descs{
	xlog.MultiXactZeroOffPage >> 4: zeroPage,
	xlog.MultiXactZeroMemPage >> 4: zeroPage,
	xlog.MultiXactCreateID >> 4:    multixactCreate,
	xlog.MultiXactTruncateID >> 4:  multixactTruncate,
}

// multixactStatus names MultiXactStatus.
var multixactStatus = [...]string{"keysh", "sh", "fornokeyupd", "forupd", "nokeyupd", "upd"}

func multixactCreate(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseMultiXactCreate(rec)
	if err != nil {
		return err
	}
	w.printf("%d offset %d nmembers %d: ", x.ID, x.Offset, x.Members.Len())
	for i := range x.Members.Len() {
		m := x.Members.At(i)
		w.printf("%d (%s) ", m.XID, multixactStatus[m.Status])
	}
	return nil
}

func multixactTruncate(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseMultiXactTruncate(rec)
	if rec.V.MultiOffsetSize == 8 {
		return w.text(err, "oldestMulti %d, oldestOffset %d", x.EndID, x.EndMember)
	}
	return w.text(err, "offsets [%d, %d), members [%d, %d)", x.StartID, x.EndID, x.StartMember, x.EndMember)
}
