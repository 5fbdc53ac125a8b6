package rmgrdesc

import (
	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// xactDescs are xact_desc.
var xactDescs = descs{
	xlog.XactCommit >> 4:         xactCommit,
	xlog.XactPrepare >> 4:        xactPrepare,
	xlog.XactAbort >> 4:          xactAbort,
	xlog.XactCommitPrepared >> 4: xactCommit,
	xlog.XactAbortPrepared >> 4:  xactAbort,
	xlog.XactAssignment >> 4:     xactAssignment,
	xlog.XactInvalidations >> 4:  xactInvalidations,
}

func xactCommit(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseXactEnd(rec)
	if err != nil {
		return err
	}
	w.xactEnd(&x)
	w.stats("", x.Stats)
	w.invalidations(xlog.Invalidations{
		DBOID: x.DBOID, SpcOID: x.SpcOID, RelcacheInitFileInval: x.Info&xlog.XactUpdateRelcacheFile != 0, Msgs: x.Msgs,
	})
	if x.Info&xlog.XactApplyFeedback != 0 && !w.style.plainXact {
		w.WriteString("; apply_feedback")
	}
	if x.Info&xlog.XactForceSyncCommit != 0 {
		w.WriteString("; sync")
	}
	w.xactOrigin(&x, rec.Origin)
	return nil
}

func xactAbort(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseXactEnd(rec)
	if err != nil {
		return err
	}
	w.xactEnd(&x)
	if !w.style.plainXact {
		w.xactOrigin(&x, rec.Origin)
	}
	w.stats("", x.Stats)
	return nil
}

// xactEnd writes what commit and abort begin with.
func (w *writer) xactEnd(x *xlog.XactEnd) {
	if x.Info&xlog.XactHasTwoPhase != 0 && x.XID != 0 {
		w.printf("%d: ", x.XID)
	}
	w.timestamp(x.Time)
	w.rels("rels", x.Rels)
	w.subxacts(x.SubXIDs)
}

func (w *writer) xactOrigin(x *xlog.XactEnd, origin uint16) {
	if x.Info&xlog.XactHasOrigin != 0 {
		w.origin(origin, x.OriginLSN, x.OriginTime)
	}
}

func (w *writer) rels(label string, rels xlog.Locators) {
	if rels.Len() == 0 {
		return
	}
	w.printf("; %s:", label)
	for rel := range rels.All() {
		w.printf(" %s", w.mainPath(rel))
	}
}

func (w *writer) subxacts(xids xlog.XIDs) {
	if xids.Len() > 0 {
		w.WriteString("; subxacts:")
		w.xids(xids)
	}
}

func (w *writer) stats(label string, items xlog.StatsItems) {
	if items.Len() == 0 {
		return
	}
	w.printf("; %sdropped stats:", label)
	for i := range items.Len() {
		s := items.At(i)
		w.printf(" %d/%d/%d", s.Kind, s.DBOID, s.Object)
	}
}

func (w *writer) origin(id uint16, lsn pg.LSN, time pg.TimestampTz) {
	w.printf("; origin: node %d, lsn %s, at ", id, w.lsn(lsn))
	w.timestamp(time)
}

func xactAssignment(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseXactAssignment(rec)
	if err != nil {
		return err
	}
	w.printf("xtop %d: subxacts:", x.TopXID)
	w.xids(x.SubXIDs)
	return nil
}

func xactInvalidations(w *writer, rec *xlog.Record) error {
	msgs, err := xlog.ParseXactInvals(rec)
	if err != nil {
		return err
	}
	w.invalidations(xlog.Invalidations{Msgs: msgs})
	return nil
}

func xactPrepare(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParsePrepare(rec)
	if err != nil {
		return err
	}
	w.printf("gid %s: ", x.GID)
	w.timestamp(x.Time)
	w.rels("rels(commit)", x.CommitRels)
	w.rels("rels(abort)", x.AbortRels)
	w.stats("commit ", x.CommitStats)
	w.stats("abort ", x.AbortStats)
	w.subxacts(x.SubXIDs)
	w.invalidations(xlog.Invalidations{DBOID: x.DBOID, RelcacheInitFileInval: x.InitFileInval, Msgs: x.Msgs})
	if rec.Origin != 0 && !w.style.plainXact {
		w.origin(rec.Origin, x.OriginLSN, x.OriginTime)
	}
	return nil
}
