package rmgrdesc

import "zenith/internal/xlog"

// xlogDescs are xlog_desc.
var xlogDescs = descs{
	0x0: checkpoint("shutdown"),
	0x1: checkpoint("online"),
	0x3: fixed("next oid", 4, "%d", u32(0)),
	0x5: fixed("backup start", 8, "%v", lsn(0)),
	0x6: parameterChange,
	0x7: fixed("xl_restore_point", 72, "%s", text(8)),
	0x8: fixed("full_page_writes", 1, "%s", choice(0, "true", "false")),
	0x9: endOfRecovery,
	0xD: overwriteContrecord,
}

// checkpoint makes the description of a CheckPoint.
func checkpoint(kind string) descFunc {
	return fixed("CheckPoint", 84, "redo %v; tli %d; prev tli %d; fpw %s; xid %s; oid %d; multi %d; offset %d; "+
		"oldest xid %d in DB %d; oldest multi %d in DB %d; oldest/newest commit timestamp xid: %d/%d; oldest running xid %d; "+kind,
		lsn(0), u32(8), u32(12), choice(16, "true", "false"), fullXid(24), u32(32), u32(36), u32(40),
		u32(44), u32(48), u32(52), u32(56), u32(72), u32(76), u32(80))
}

// walLevels names wal_level.
var walLevels = [...]string{"minimal", "replica", "logical"}

func walLevel(off int) field {
	return func(s cstruct) any {
		if n := s.u32(off); n < uint32(len(walLevels)) {
			return walLevels[n]
		}
		return "?"
	}
}

func parameterChange(w *writer, rec *xlog.Record) error {
	return w.fields(rec.MainData, "xl_parameter_change", 26,
		"max_connections=%d max_worker_processes=%d max_wal_senders=%d max_prepared_xacts=%d "+
			"max_locks_per_xact=%d wal_level=%s wal_log_hints=%s track_commit_timestamp=%s",
		[]field{i32(0), i32(4), i32(8), i32(12), i32(16), walLevel(20), choice(24, "on", "off"), choice(25, "on", "off")})
}

func endOfRecovery(w *writer, rec *xlog.Record) error {
	s, err := view(rec.MainData, "xl_end_of_recovery", 16)
	if err != nil {
		return err
	}
	w.printf("tli %d; prev tli %d; time ", s.u32(8), s.u32(12))
	w.timestamp(int64(s.u64(0)))
	return nil
}

func overwriteContrecord(w *writer, rec *xlog.Record) error {
	s, err := view(rec.MainData, "xl_overwrite_contrecord", 16)
	if err != nil {
		return err
	}
	w.printf("lsn %v; time ", lsn(0)(s))
	w.timestamp(int64(s.u64(8)))
	return nil
}
