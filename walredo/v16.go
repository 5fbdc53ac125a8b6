package walredo

import (
	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// rmgrs16 is PostgreSQL 16: it freezes tuples by plans, and sets bits of the visibility map whatever the LSN
// of the map's page. The other records that it has otherwise than 15 differ in a body's length alone, which is
// the parser's business.
var rmgrs16 = rmgrs15.with(rmgrs{xlog.RmHeap2: heap2Rmgr16})

var heap2Rmgr16 = heap2Rmgr.with(ops{
	0x3: {name: "FREEZE_PAGE", redo: heap2FreezePlans},
	0x4: {name: "VISIBLE", redo: heap2VisibleAlways, newOK: block0, ownLSN: block0, hintLSN: block1},
})

// heap2FreezePlans is heap_xlog_freeze_page of 16.
func heap2FreezePlans(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	x, err := xlog.ParseHeapFreezePage(rec)
	if err != nil {
		return err
	}
	plans, items, err := xlog.ParseFreezePlans(blk.Data, x.N)
	if err != nil {
		return err
	}
	return freezeTuples(page, plans, items)
}

// freezeTuples is heap_execute_freeze_tuple for the tuples of each plan. items are their numbers, as many as the
// plans say together.
func freezeTuples(page pg.Page, plans xlog.FreezePlans, items xlog.Offsets) error {
	next := 0
	for i := range plans.Len() {
		plan := plans.At(i)
		for range plan.NTuples {
			tup, err := storedTuple(page, items.At(next))
			if err != nil {
				return err
			}
			freezeTuple(tup, &plan)
			next++
		}
	}
	return nil
}

// freezeTuple is heap_execute_freeze_tuple.
func freezeTuple(tup heapTuple, plan *xlog.FreezePlan) {
	tup.setXmax(plan.Xmax)
	if plan.Flags&xlhFreezeXvac != 0 {
		tup.setField3(uint32(frozenXID))
	}
	if plan.Flags&xlhInvalidXvac != 0 {
		tup.setField3(0)
	}
	tup.setInfomask2(plan.Infomask2)
	tup.setInfomask(plan.Infomask)
}

// heap2VisibleAlways is heap_xlog_visible of 16 to 18, which does not ask whether the map's page is newer than the
// record. Among the record's flags there may be one that is no bit of the map.
func heap2VisibleAlways(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	return heapVisible(page, rec, blk, xlog.VisibleCatalogRel, true)
}
