package rmgrdesc

import "zenith/internal/xlog"

// multixactDescs are multixact_desc.
var multixactDescs = descs{
	0x0: fixed("page number", 4, "%d", i32(0)),
	0x1: fixed("page number", 4, "%d", i32(0)),
	0x2: multixactCreate,
	0x3: fixed("xl_multixact_truncate", 20, "offsets [%d, %d), members [%d, %d)", u32(4), u32(8), u32(12), u32(16)),
}

// multixactStatus names MultiXactStatus.
var multixactStatus = [...]string{"keysh", "sh", "fornokeyupd", "forupd", "nokeyupd", "upd"}

func multixactCreate(w *writer, rec *xlog.Record) error {
	const header = 12
	s, err := view(rec.MainData, "xl_multixact_create", header)
	if err != nil {
		return err
	}
	w.printf("%d offset %d nmembers %d: ", s.u32(0), s.u32(4), s.i32(8))
	members, err := elements(s[header:], "xl_multixact_create", int64(s.i32(8)), 8)
	if err != nil {
		return err
	}
	for off := 0; off < len(members); off += 8 {
		status := "unk"
		if n := members.u32(off + 4); n < uint32(len(multixactStatus)) {
			status = multixactStatus[n]
		}
		w.printf("%d (%s) ", members.u32(off), status)
	}
	return nil
}
