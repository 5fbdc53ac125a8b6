package ingest

import (
	"context"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// handler says what a record does besides changing pages.
type handler struct {
	// apply adds the record's changes to the batch. It parses before it changes
	// anything, so that a record that it refuses leaves nothing behind.
	apply func(ctx context.Context, in *Ingester) error
	// alone: everything before is published first, so that apply can see it.
	alone bool
	// whole, in place of apply, does everything: the record is a batch of its own.
	whole func(ctx context.Context, in *Ingester) error
}

// handlers are those records that have effects beyond pages, by resource manager and
// operation (xlog.Record.Op() >> 4). Pages that a record changes without naming them are
// in walredo.Touches, control data in control.State.
type handlers [xlog.RmMax + 1]*[16]handler

// versions are the handlers of each major version.
var versions = pg.PerVersion[*handlers]{
	14: handlers14, 15: &handlers15, 16: &handlers15, 17: &handlers15, 18: &handlers15, 19: handlers19,
}

// with gives the handlers of a version whose resource managers in more are others than h's. h stays as it is.
func (h *handlers) with(more handlers) *handlers {
	merged := *h
	for i, rm := range more {
		if rm != nil {
			merged[i] = rm
		}
	}
	return &merged
}

// handlers14 are those of PostgreSQL 14, which copies the files of each new database.
var handlers14 = handlers15.with(handlers{
	xlog.RmDbase: {
		xlog.DbaseCreateFileCopy >> 4: {whole: copyDatabase, alone: true},
		xlog.DbaseDrop14 >> 4:         {apply: dropDatabase},
	},
})

// handlers19 are those of PostgreSQL 19, whose multixact members never wrap around.
var handlers19 = handlers15.with(handlers{
	xlog.RmMultiXact: {
		xlog.MultiXactTruncateID >> 4: {apply: truncateMultiXact19, alone: true},
	},
})

var handlers15 = handlers{
	xlog.RmXLOG: {
		xlog.XLOGParameterChange >> 4: {apply: parameterChange, alone: true},
	},
	xlog.RmXact: {
		xlog.XactCommit >> 4:         {apply: transactionEnds},
		xlog.XactAbort >> 4:          {apply: transactionEnds},
		xlog.XactCommitPrepared >> 4: {apply: transactionEnds},
		xlog.XactAbortPrepared >> 4:  {apply: transactionEnds},
		xlog.XactPrepare >> 4:        {apply: prepare},
	},
	xlog.RmSmgr: {
		xlog.SmgrCreate >> 4:   {apply: createFork},
		xlog.SmgrTruncate >> 4: {apply: truncateRelation},
	},
	xlog.RmDbase: {
		xlog.DbaseCreateFileCopy >> 4: {whole: copyDatabase, alone: true},
		xlog.DbaseCreateWALLog >> 4:   {apply: createDatabase},
		xlog.DbaseDrop >> 4:           {apply: dropDatabase},
	},
	xlog.RmTblspc: {
		xlog.TblspcCreate >> 4: {apply: createTablespace},
		xlog.TblspcDrop >> 4:   {apply: dropTablespace, alone: true},
	},
	xlog.RmRelMap: {
		xlog.RelMapUpdate >> 4: {apply: updateRelMap},
	},
	xlog.RmCLOG: {
		xlog.CLOGTruncate >> 4: {apply: truncateXact, alone: true},
	},
	xlog.RmCommitTs: {
		xlog.CommitTsTruncate >> 4: {apply: truncateCommitTs, alone: true},
	},
	xlog.RmMultiXact: {
		xlog.MultiXactTruncateID >> 4: {apply: truncateMultiXact, alone: true},
	},
}

// handlerOf finds the record's handler, an empty one if it has none.
func handlerOf(rec *xlog.Record) handler {
	if rec.RmgrID > xlog.RmMax {
		return handler{}
	}
	rm := versions.Of(rec.V)[rec.RmgrID]
	if rm == nil {
		return handler{}
	}
	return rm[rec.Op()>>4]
}
