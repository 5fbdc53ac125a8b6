package rmgrdesc

import "zenith/internal/xlog"

// rmgrs17 is PostgreSQL 17: it has one record for pruning and freezing, and prints wal_level.
var rmgrs17 = rmgrs16.with(rmgrs{
	xlog.RmXLOG: xlogDescs.with(descs{
		xlog.XLOGCheckpointShutdown >> 4: checkpoint17,
		xlog.XLOGCheckpointOnline >> 4:   checkpoint17,
		xlog.XLOGEndOfRecovery >> 4:      endOfRecovery17,
		xlog.XLOGCheckpointRedo >> 4:     checkpointRedo,
	}),
	xlog.RmHeap2: heap2Descs16.with(descs{0x1: heapPruneFreeze, 0x2: heapPruneFreeze, 0x3: heapPruneFreeze}),
})

// rmgrs18 is PostgreSQL 18.
var rmgrs18 = rmgrs17

func checkpoint17(w *writer, rec *xlog.Record) error {
	c, err := xlog.ParseCheckPoint(rec)
	return w.text(err, "redo %v; tli %d; prev tli %d; fpw %t; wal_level %s; xid %s; oid %d; multi %d; offset %d; "+
		"oldest xid %d in DB %d; oldest multi %d in DB %d; oldest/newest commit timestamp xid: %d/%d; oldest running xid %d; %s",
		c.Redo, c.ThisTLI, c.PrevTLI, c.FullPageWrites, walLevel(c.WALLevel), fullXID(c.NextXID), c.NextOID, c.NextMulti, c.NextMultiOffset,
		c.OldestXID, c.OldestXIDDB, c.OldestMulti, c.OldestMultiDB, c.OldestCommitTsXID, c.NewestCommitTsXID, c.OldestActiveXID,
		pick(rec.Op() == xlog.XLOGCheckpointShutdown, "shutdown", "online"))
}

// walLevel names a wal_level.
func walLevel(level int32) string {
	if level < 0 || int(level) >= len(walLevels) {
		return "?"
	}
	return walLevels[level]
}

func endOfRecovery17(w *writer, rec *xlog.Record) error {
	if err := endOfRecovery(w, rec); err != nil {
		return err
	}
	x, err := xlog.ParseEndOfRecovery(rec)
	return w.text(err, "; wal_level %s", walLevel(x.WALLevel))
}

func checkpointRedo(w *writer, rec *xlog.Record) error {
	level, err := xlog.ParseCheckpointRedo(rec)
	return w.text(err, "wal_level %s", walLevel(level))
}

func heapPruneFreeze(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseHeapPruneFreeze(rec)
	if err != nil {
		return err
	}
	w.pruneHead(&x)
	return w.pruneBlock(rec, &x)
}

// pruneHead writes what the record's body says.
func (w *writer) pruneHead(x *xlog.HeapPruneFreeze) {
	if x.HasHorizon {
		w.printf("snapshotConflictHorizon: %d", x.ConflictHorizon)
	}
	w.printf(", isCatalogRel: %s", letter(x.Flags&xlog.PruneCatalogRel != 0))
}

// pruneBlock writes what the heap block's data say, if it has any.
func (w *writer) pruneBlock(rec *xlog.Record, x *xlog.HeapPruneFreeze) error {
	data, ok := blockData(rec)
	if !ok {
		return nil
	}
	p, err := xlog.ParsePruneItems(data, x.Flags)
	if err != nil {
		return err
	}
	w.pruneItems(&p)
	return nil
}

// pruneItems writes how many items of each kind there are, and which.
func (w *writer) pruneItems(p *xlog.PruneItems) {
	w.printf(", nplans: %d, nredirected: %d, ndead: %d, nunused: %d", p.Plans.Len(), p.Redirected.Len()/2, p.Dead.Len(), p.Unused.Len())
	if p.Plans.Len() > 0 {
		w.freezePlans(p.Plans, p.Frozen)
	}
	if p.Redirected.Len() > 0 {
		w.redirects("redirected", p.Redirected)
	}
	if p.Dead.Len() > 0 {
		w.offsets("dead", p.Dead)
	}
	if p.Unused.Len() > 0 {
		w.offsets("unused", p.Unused)
	}
}
