package rmgrdesc

import "zenith/internal/xlog"

// xlogDescs are xlog_desc.
var xlogDescs = descs{
	xlog.XLOGCheckpointShutdown >> 4:  checkpoint,
	xlog.XLOGCheckpointOnline >> 4:    checkpoint,
	xlog.XLOGNextOID >> 4:             nextOID,
	xlog.XLOGBackupEnd >> 4:           backupEnd,
	xlog.XLOGParameterChange >> 4:     parameterChange,
	xlog.XLOGRestorePoint >> 4:        restorePoint,
	xlog.XLOGFPWChange >> 4:           fpwChange,
	xlog.XLOGEndOfRecovery >> 4:       endOfRecovery,
	xlog.XLOGOverwriteContRecord >> 4: overwriteContRecord,
}

func checkpoint(w *writer, rec *xlog.Record) error {
	c, err := xlog.ParseCheckPoint(rec)
	return w.text(err, "redo %v; tli %d; prev tli %d; fpw %t; xid %s; oid %d; multi %d; offset %d; "+
		"oldest xid %d in DB %d; oldest multi %d in DB %d; oldest/newest commit timestamp xid: %d/%d; oldest running xid %d; %s",
		c.Redo, c.ThisTLI, c.PrevTLI, c.FullPageWrites, fullXID(c.NextXID), c.NextOID, c.NextMulti, c.NextMultiOffset,
		c.OldestXID, c.OldestXIDDB, c.OldestMulti, c.OldestMultiDB, c.OldestCommitTsXID, c.NewestCommitTsXID, c.OldestActiveXID,
		pick(rec.Op() == xlog.XLOGCheckpointShutdown, "shutdown", "online"))
}

func nextOID(w *writer, rec *xlog.Record) error {
	oid, err := xlog.ParseNextOID(rec)
	return w.text(err, "%d", oid)
}

func backupEnd(w *writer, rec *xlog.Record) error {
	start, err := xlog.ParseBackupEnd(rec)
	return w.text(err, "%s", w.lsn(start))
}

// walLevels names wal_level.
var walLevels = [...]string{"minimal", "replica", "logical"}

func parameterChange(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseParameterChange(rec)
	if err != nil {
		return err
	}
	w.printf("max_connections=%d max_worker_processes=%d max_wal_senders=%d max_prepared_xacts=%d "+
		"max_locks_per_xact=%d wal_level=%s wal_log_hints=%s track_commit_timestamp=%s",
		x.MaxConnections, x.MaxWorkerProcesses, x.MaxWALSenders, x.MaxPreparedXacts,
		x.MaxLocksPerXact, walLevels[x.WALLevel], pick(x.WALLogHints, "on", "off"), pick(x.TrackCommitTimestamp, "on", "off"))
	return nil
}

func restorePoint(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseRestorePoint(rec)
	return w.text(err, "%s", x.Name)
}

func fpwChange(w *writer, rec *xlog.Record) error {
	on, err := xlog.ParseFPWChange(rec)
	return w.text(err, "%t", on)
}

func endOfRecovery(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseEndOfRecovery(rec)
	if err != nil {
		return err
	}
	w.printf("tli %d; prev tli %d; time ", x.ThisTLI, x.PrevTLI)
	w.timestamp(x.Time)
	return nil
}

func overwriteContRecord(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseOverwriteContRecord(rec)
	if err != nil {
		return err
	}
	w.printf("lsn %s; time ", w.lsn(x.Overwritten))
	w.timestamp(x.Time)
	return nil
}
