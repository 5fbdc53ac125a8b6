package walredo

import (
	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// rmgrs14 is PostgreSQL 14: it copies the files of each new database, and pruning leaves unused line pointers at a page's end.
var rmgrs14 = rmgrs15.with(rmgrs{
	xlog.RmDbase: dbaseRmgr.with(ops{
		0x0: {name: "CREATE"},
		0x1: {name: "DROP"},
		0x2: {gone: true},
	}),
	xlog.RmHeap2: heap2Rmgr.with(ops{0x1: {name: "PRUNE", redo: heap2Prune14}}),
})

// heap2Prune14 is heap_xlog_prune of 14.
func heap2Prune14(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	if err := heapPruneLines(page, rec, blk); err != nil {
		return err
	}
	return page.RepairFragmentationOnly()
}
