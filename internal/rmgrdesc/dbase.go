package rmgrdesc

import "zenith/internal/xlog"

// dbaseDescs are dbase_desc.
var dbaseDescs = descs{
	0x0: fixed("xl_dbase_create_file_copy_rec", 16, "copy dir %d/%d to %d/%d", u32(12), u32(8), u32(4), u32(0)),
	0x1: fixed("xl_dbase_create_wal_log_rec", 8, "create dir %d/%d", u32(4), u32(0)),
	0x2: dbaseDrop,
}

func dbaseDrop(w *writer, rec *xlog.Record) error {
	const header = 8
	s, err := view(rec.MainData, "xl_dbase_drop_rec", header)
	if err != nil {
		return err
	}
	w.WriteString("dir")
	spaces, err := elements(s[header:], "xl_dbase_drop_rec", int64(s.i32(4)), 4)
	if err != nil {
		return err
	}
	for off := 0; off < len(spaces); off += 4 {
		w.printf(" %d/%d", spaces.u32(off), s.u32(0))
	}
	return nil
}
