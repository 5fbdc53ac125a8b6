package xlog

import (
	"fmt"

	"zenith/internal/pg"
)

// The operations of RM_XLOG (catalog/pg_control.h).
const (
	XLOGCheckpointShutdown  = 0x00
	XLOGCheckpointOnline    = 0x10
	XLOGNoop                = 0x20
	XLOGNextOID             = 0x30
	XLOGSwitch              = 0x40
	XLOGBackupEnd           = 0x50
	XLOGParameterChange     = 0x60
	XLOGRestorePoint        = 0x70
	XLOGFPWChange           = 0x80
	XLOGEndOfRecovery       = 0x90
	XLOGFPIForHint          = 0xA0
	XLOGFPI                 = 0xB0
	XLOGAssignLSN           = 0xC0 // since 19: takes up room, no more
	XLOGOverwriteContRecord = 0xD0
	XLOGCheckpointRedo      = 0xE0 // since 17: where the redo of an online checkpoint starts
	XLOGLogicalDecoding     = 0xF0 // since 19: XLOG_LOGICAL_DECODING_STATUS_CHANGE
)

// IsCheckpoint reports whether the record is a checkpoint, and if so whether that of a
// shutdown.
func (r *Record) IsCheckpoint() (shutdown, ok bool) {
	if r.RmgrID != RmXLOG || r.Op() != XLOGCheckpointShutdown && r.Op() != XLOGCheckpointOnline {
		return false, false
	}
	return r.Op() == XLOGCheckpointShutdown, true
}

// ParseCheckPoint reads the body of a CHECKPOINT_SHUTDOWN or CHECKPOINT_ONLINE record.
func ParseCheckPoint(rec *Record) (pg.CheckPoint, error) {
	cp, err := rec.V.ParseCheckPoint(rec.MainData)
	if err != nil {
		return cp, fmt.Errorf("%v: %w", err, ErrCorrupt)
	}
	return cp, nil
}

// ParseCheckpointRedo reads the body of a CHECKPOINT_REDO record: the wal_level there.
func ParseCheckpointRedo(rec *Record) (walLevel int32, err error) {
	f := fields{in: rec.MainData}
	return f.i32(), f.end("wal_level")
}

// ParseLogicalDecoding reads the body of a LOGICAL_DECODING_STATUS_CHANGE record: whether WAL has what logical decoding
// needs from now on.
func ParseLogicalDecoding(rec *Record) (on bool, err error) {
	f := fields{in: rec.MainData}
	return f.flag(), f.end("logical decoding status")
}

// ParseNextOID reads the body of a NEXTOID record.
func ParseNextOID(rec *Record) (pg.OID, error) {
	f := fields{in: rec.MainData}
	return f.oid(), f.done("next oid")
}

// ParseBackupEnd reads the body of a BACKUP_END record: the backup's start.
func ParseBackupEnd(rec *Record) (pg.LSN, error) {
	f := fields{in: rec.MainData}
	return f.lsn(), f.done("backup start")
}

// ParseFPWChange reads the body of an FPW_CHANGE record.
func ParseFPWChange(rec *Record) (fullPageWrites bool, err error) {
	f := fields{in: rec.MainData}
	return f.flag(), f.done("full_page_writes")
}

// ParseParameterChange reads xl_parameter_change.
func ParseParameterChange(rec *Record) (pg.ControlSettings, error) {
	f := fields{in: rec.MainData}
	s := pg.ControlSettings{
		MaxConnections:     f.i32(),
		MaxWorkerProcesses: f.i32(),
		MaxWALSenders:      f.i32(),
		MaxPreparedXacts:   f.i32(),
		MaxLocksPerXact:    f.i32(),
		WALLevel:           f.i32(),
	}
	s.WALLogHints, s.TrackCommitTimestamp = f.flag(), f.flag()
	if s.WALLevel < pg.WALLevelMinimal || s.WALLevel > pg.WALLevelLogical {
		return s, fmt.Errorf("xl_parameter_change: wal_level %d: %w", s.WALLevel, ErrCorrupt)
	}
	return s, f.done("xl_parameter_change")
}

// RestorePoint is xl_restore_point.
type RestorePoint struct {
	Time pg.TimestampTz
	Name string
}

// ParseRestorePoint reads the body of a RESTORE_POINT record.
func ParseRestorePoint(rec *Record) (RestorePoint, error) {
	f := fields{in: rec.MainData}
	p := RestorePoint{Time: f.time(), Name: string(f.cstring())}
	return p, f.done("xl_restore_point")
}

// EndOfRecovery is xl_end_of_recovery.
type EndOfRecovery struct {
	Time             pg.TimestampTz
	ThisTLI, PrevTLI pg.TLI
	WALLevel         int32 // 0 if the version does not log it
}

// ParseEndOfRecovery reads the body of an END_OF_RECOVERY record.
func ParseEndOfRecovery(rec *Record) (EndOfRecovery, error) {
	f := fields{in: rec.MainData}
	e := EndOfRecovery{Time: f.time(), ThisTLI: pg.TLI(f.u32()), PrevTLI: pg.TLI(f.u32())}
	if rec.V.LogsWALLevel() {
		e.WALLevel = f.i32()
		f.skip(4)
	}
	return e, f.end("xl_end_of_recovery")
}

// OverwriteContRecord is xl_overwrite_contrecord.
type OverwriteContRecord struct {
	Overwritten pg.LSN // start of the record that was never completed
	Time        pg.TimestampTz
}

// ParseOverwriteContRecord reads the body of an OVERWRITE_CONTRECORD record.
func ParseOverwriteContRecord(rec *Record) (OverwriteContRecord, error) {
	f := fields{in: rec.MainData}
	o := OverwriteContRecord{Overwritten: f.lsn(), Time: f.time()}
	return o, f.done("xl_overwrite_contrecord")
}
