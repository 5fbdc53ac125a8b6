package rmgrdesc

import "zenith/internal/xlog"

// standbyDescs are standby_desc.
var standbyDescs = descs{
	0x0: standbyLock,
	0x1: runningXacts,
	0x2: standbyInvalidations,
}

func standbyLock(w *writer, rec *xlog.Record) error {
	s, err := view(rec.MainData, "xl_standby_locks", 4)
	if err != nil {
		return err
	}
	locks, err := elements(s[4:], "xl_standby_locks", int64(s.i32(0)), 12)
	if err != nil {
		return err
	}
	for off := 0; off < len(locks); off += 12 {
		w.printf("xid %d db %d rel %d ", locks.u32(off), locks.u32(off+4), locks.u32(off+8))
	}
	return nil
}

func runningXacts(w *writer, rec *xlog.Record) error {
	const header = 24
	s, err := view(rec.MainData, "xl_running_xacts", header)
	if err != nil {
		return err
	}
	w.printf("nextXid %d latestCompletedXid %d oldestRunningXid %d", s.u32(12), s.u32(20), s.u32(16))
	if n := s.i32(0); n > 0 {
		w.printf("; %d xacts:", n)
		if err := w.u32s(s[header:], "xl_running_xacts", int64(n)); err != nil {
			return err
		}
	}
	if s.u8(8) != 0 {
		w.WriteString("; subxid ovf")
	}
	return nil
}

func standbyInvalidations(w *writer, rec *xlog.Record) error {
	const header = 16
	s, err := view(rec.MainData, "xl_invalidations", header)
	if err != nil {
		return err
	}
	msgs, err := elements(s[header:], "xl_invalidations", int64(s.i32(12)), invalMsgSize)
	if err != nil {
		return err
	}
	w.invalidations(msgs, s.u32(0), s.u32(4), s.u8(8) != 0)
	return nil
}

// invalMsgSize is sizeof(SharedInvalidationMessage).
const invalMsgSize = 16

// invalKinds are the negative ids of SharedInvalidationMessage: what is printed of
// them, with the field at which offset.
var invalKinds = map[int8]struct {
	format string
	off    int
}{
	-1: {" catalog %d", 8},
	-2: {" relcache %d", 8},
	-3: {" smgr", 0},
	-4: {" relmap db %d", 4},
	-5: {" snapshot %d", 8},
}

// invalidations is standby_desc_invalidations, which commit records need too.
func (w *writer) invalidations(msgs cstruct, db, tablespace uint32, initFile bool) {
	if len(msgs) == 0 {
		return
	}
	if initFile {
		w.printf("; relcache init file inval dbid %d tsid %d", db, tablespace)
	}
	w.WriteString("; inval msgs:")
	for off := 0; off < len(msgs); off += invalMsgSize {
		id := int8(msgs.u8(off))
		kind, known := invalKinds[id]
		switch {
		case id >= 0:
			w.printf(" catcache %d", id)
		case !known:
			w.printf(" unrecognized id %d", id)
		case kind.off == 0:
			w.WriteString(kind.format)
		default:
			w.printf(kind.format, msgs.u32(off+kind.off))
		}
	}
}
