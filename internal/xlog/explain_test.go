package xlog_test

import (
	"fmt"
	"strings"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// explain parses a record that is about no page and gives what pg_waldump's description
// of it must contain.
func explain(rec *xlog.Record) ([]string, error) {
	if rec.RmgrID == xlog.RmXact {
		return explainXact(rec)
	}
	if f := explainers[[2]uint8{uint8(rec.RmgrID), rec.Op()}]; f != nil {
		s, err := f(rec)
		return []string{s}, err
	}
	return nil, nil
}

var explainers = map[[2]uint8]func(rec *xlog.Record) (string, error){
	{uint8(xlog.RmXLOG), xlog.XLOGCheckpointShutdown}: explainCheckpoint,
	{uint8(xlog.RmXLOG), xlog.XLOGCheckpointOnline}:   explainCheckpoint,
	{uint8(xlog.RmXLOG), xlog.XLOGNextOID}: func(rec *xlog.Record) (string, error) {
		oid, err := xlog.ParseNextOID(rec)
		return fmt.Sprint(oid), err
	},
	{uint8(xlog.RmXLOG), xlog.XLOGFPWChange}: func(rec *xlog.Record) (string, error) {
		on, err := xlog.ParseFPWChange(rec)
		return fmt.Sprint(on), err
	},
	{uint8(xlog.RmXLOG), xlog.XLOGRestorePoint}: func(rec *xlog.Record) (string, error) {
		p, err := xlog.ParseRestorePoint(rec)
		return p.Name, err
	},
	{uint8(xlog.RmXLOG), xlog.XLOGParameterChange}: func(rec *xlog.Record) (string, error) {
		s, err := xlog.ParseParameterChange(rec)
		return fmt.Sprintf("max_connections=%d max_worker_processes=%d max_wal_senders=%d max_prepared_xacts=%d max_locks_per_xact=%d wal_level=%s wal_log_hints=%s track_commit_timestamp=%s",
			s.MaxConnections, s.MaxWorkerProcesses, s.MaxWALSenders, s.MaxPreparedXacts, s.MaxLocksPerXact,
			nth(uint32(s.WALLevel), "minimal", "replica", "logical"), onOff(s.WALLogHints), onOff(s.TrackCommitTimestamp)), err
	},
	{uint8(xlog.RmXLOG), xlog.XLOGOverwriteContRecord}: func(rec *xlog.Record) (string, error) {
		o, err := xlog.ParseOverwriteContRecord(rec)
		return fmt.Sprintf("lsn %v; time %s", o.Overwritten, o.Time.Time().Format("2006-01-02 15:04:05")), err
	},
	{uint8(xlog.RmSmgr), xlog.SmgrCreate}: func(rec *xlog.Record) (string, error) {
		rf, err := xlog.ParseSmgrCreate(rec)
		return pg.V15.RelPath(rf, 0), err
	},
	{uint8(xlog.RmSmgr), xlog.SmgrTruncate}: func(rec *xlog.Record) (string, error) {
		t, err := xlog.ParseSmgrTruncate(rec)
		return fmt.Sprintf("%s to %d blocks flags %d", pg.V15.RelPath(pg.RelFork{RelFileLocator: t.Rel}, 0), t.Blocks, t.Flags), err
	},
	{uint8(xlog.RmCLOG), xlog.CLOGZeroPage}:         explainZeroPage,
	{uint8(xlog.RmCommitTs), xlog.CommitTsZeroPage}: explainZeroPage,
	{uint8(xlog.RmDbase), xlog.DbaseCreateFileCopy}: func(rec *xlog.Record) (string, error) {
		c, err := xlog.ParseDbaseCreate(rec)
		return fmt.Sprintf("copy dir %d/%d to %d/%d", c.SrcSpcOID, c.SrcDBOID, c.SpcOID, c.DBOID), err
	},
	{uint8(xlog.RmDbase), xlog.DbaseCreateWALLog}: func(rec *xlog.Record) (string, error) {
		c, err := xlog.ParseDbaseCreate(rec)
		return fmt.Sprintf("create dir %d/%d", c.SpcOID, c.DBOID), err
	},
	{uint8(xlog.RmDbase), xlog.DbaseDrop}: func(rec *xlog.Record) (string, error) {
		d, err := xlog.ParseDbaseDrop(rec)
		s := "dir"
		for _, spc := range d.SpcOIDs {
			s += fmt.Sprintf(" %d/%d", spc, d.DBOID)
		}
		return s, err
	},
	{uint8(xlog.RmTblspc), xlog.TblspcCreate}: func(rec *xlog.Record) (string, error) {
		c, err := xlog.ParseTblspcCreate(rec)
		return fmt.Sprintf("%d %q", c.SpcOID, c.Path), err
	},
	{uint8(xlog.RmTblspc), xlog.TblspcDrop}: func(rec *xlog.Record) (string, error) {
		oid, err := xlog.ParseTblspcDrop(rec)
		return fmt.Sprint(oid), err
	},
	{uint8(xlog.RmMultiXact), xlog.MultiXactCreateID}: func(rec *xlog.Record) (string, error) {
		c, err := xlog.ParseMultiXactCreate(rec)
		s := fmt.Sprintf("%d offset %d nmembers %d:", c.ID, c.Offset, len(c.Members))
		for _, m := range c.Members {
			s += fmt.Sprintf(" %d (%s)", m.XID, nth(m.Status, "keysh", "sh", "fornokeyupd", "forupd", "nokeyupd", "upd"))
		}
		return s, err
	},
	{uint8(xlog.RmRelMap), xlog.RelMapUpdate}: func(rec *xlog.Record) (string, error) {
		u, err := xlog.ParseRelMapUpdate(rec)
		return fmt.Sprintf("database %d tablespace %d size %d", u.DBOID, u.SpcOID, len(u.Data)), err
	},
	{uint8(xlog.RmReplOrigin), xlog.ReplOriginSet}: func(rec *xlog.Record) (string, error) {
		s, err := xlog.ParseReplOriginSet(rec)
		return fmt.Sprintf("set %d; lsn %v; force: %d", s.Node, s.RemoteLSN, map[bool]int{true: 1}[s.Force]), err
	},
	{uint8(xlog.RmReplOrigin), xlog.ReplOriginDrop}: func(rec *xlog.Record) (string, error) {
		node, err := xlog.ParseReplOriginDrop(rec)
		return fmt.Sprintf("drop %d", node), err
	},
	{uint8(xlog.RmStandby), xlog.StandbyRunningXacts}: func(rec *xlog.Record) (string, error) {
		x, err := xlog.ParseRunningXacts(rec)
		s := fmt.Sprintf("nextXid %d latestCompletedXid %d oldestRunningXid %d", x.NextXID, x.LatestCompleted, x.OldestRunning)
		if x.XIDs.Len() > 0 {
			s += fmt.Sprintf("; %d xacts:%s", x.XIDs.Len(), xidList(x.XIDs))
		}
		return s, err
	},
}

func nth(i uint32, names ...string) string {
	if int(i) < len(names) {
		return names[i]
	}
	return "?"
}

func onOff(v bool) string {
	if v {
		return "on"
	}
	return "off"
}

func explainZeroPage(rec *xlog.Record) (string, error) {
	page, err := xlog.ParseZeroPage(rec)
	return fmt.Sprint(page), err
}

func explainCheckpoint(rec *xlog.Record) (string, error) {
	c, err := xlog.ParseCheckPoint(rec)
	kind := "online"
	if shutdown, ok := rec.IsCheckpoint(); ok && shutdown {
		kind = "shutdown"
	}
	return fmt.Sprintf("redo %v; tli %d; prev tli %d; fpw %v; xid %d:%d; oid %d; multi %d; offset %d; oldest xid %d in DB %d; oldest multi %d in DB %d; oldest/newest commit timestamp xid: %d/%d; oldest running xid %d; %s",
		c.Redo, c.ThisTLI, c.PrevTLI, c.FullPageWrites, c.NextXID.Epoch(), c.NextXID.XID(), c.NextOID, c.NextMulti, c.NextMultiOffset,
		c.OldestXID, c.OldestXIDDB, c.OldestMulti, c.OldestMultiDB, c.OldestCommitTsXID, c.NewestCommitTsXID, c.OldestActiveXID, kind), err
}

func xidList(xids xlog.XIDs) string {
	var b strings.Builder
	for x := range xids.All() {
		fmt.Fprintf(&b, " %d", x)
	}
	return b.String()
}

func relList(rels xlog.Locators) string {
	var b strings.Builder
	for r := range rels.All() {
		b.WriteString(" " + pg.V15.RelPath(pg.RelFork{RelFileLocator: r}, 0))
	}
	return b.String()
}

// explainXact does the same for transactions.
func explainXact(rec *xlog.Record) ([]string, error) {
	var s []string
	list := func(label, items string) {
		if items != "" {
			s = append(s, "; "+label+":"+items)
		}
	}
	const timeFormat = "2006-01-02 15:04:05"
	switch rec.Op() {
	case xlog.XactPrepare:
		p, err := xlog.ParsePrepare(rec)
		s = append(s, "gid "+p.GID+": "+p.Time.Time().Format(timeFormat))
		list("rels(commit)", relList(p.CommitRels))
		list("rels(abort)", relList(p.AbortRels))
		list("subxacts", xidList(p.SubXIDs))
		return s, err
	case xlog.XactCommit, xlog.XactAbort, xlog.XactCommitPrepared, xlog.XactAbortPrepared:
		e, err := xlog.ParseXactEnd(rec)
		if e.Prepared() {
			s = append(s, fmt.Sprintf("%d: ", e.XID))
		}
		s = append(s, e.Time.Time().Format(timeFormat))
		list("rels", relList(e.Rels))
		list("subxacts", xidList(e.SubXIDs))
		if e.Info&xlog.XactHasOrigin != 0 {
			s = append(s, fmt.Sprintf("origin: node %d, lsn %v, at %s", rec.Origin, e.OriginLSN, e.OriginTime.Time().Format(timeFormat)))
		}
		return s, err
	}
	return nil, nil
}
