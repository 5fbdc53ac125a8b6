package walredo

import (
	"strconv"
	"testing"

	"zenith/internal/pg"
	"zenith/internal/pgtest"
	"zenith/internal/xlog"
)

// TestVersions sees that each version has all of PostgreSQL's own resource managers.
func TestVersions(t *testing.T) {
	pgtest.EachVersion(t, func(v *pg.Version) bool { return versions.Of(v) != nil })
	for _, v := range pg.Versions {
		for rm := range xlog.RmMax + 1 {
			if rmgrOf(v, rm) == nil {
				t.Errorf("%v has no resource manager %d", v, rm)
			}
		}
	}
}

// TestOverlay makes a version out of another one: what the new one does not mention is as
// it was, and the old one does not change.
func TestOverlay(t *testing.T) {
	mask := func(pg.Page, pg.BlockNumber) {}
	heap := &rmgr{name: "Heap", mask: mask, ops: ops{0x0: {name: "INSERT", initName: "INSERT+INIT"}, 0x1: {name: "DELETE"}}}
	heap2 := &rmgr{name: "Heap2", ops: ops{0x0: {name: "REWRITE"}, 0x1: {name: "PRUNE", newOK: block0}}}
	old := rmgrs{xlog.RmHeap: heap, xlog.RmHeap2: heap2}

	newer := old.with(rmgrs{
		xlog.RmHeap2: heap2.with(ops{0x1: {name: "PRUNE_ON_ACCESS"}, 0x2: {name: "PRUNE_VACUUM_SCAN", ownLSN: block1}}),
		xlog.RmSeq:   {name: "Sequence"},
	})

	if newer[xlog.RmHeap] != heap || newer[xlog.RmSeq] == nil {
		t.Errorf("the new version has Heap %v, Sequence %v", newer[xlog.RmHeap], newer[xlog.RmSeq])
	}
	got := newer[xlog.RmHeap2]
	want := ops{0x0: {name: "REWRITE"}, 0x1: {name: "PRUNE_ON_ACCESS"}, 0x2: {name: "PRUNE_VACUUM_SCAN", ownLSN: block1}}
	if got.name != "Heap2" || !sameOps(got.ops, want) {
		t.Errorf("the new version's Heap2 is %+v", got)
	}
	if more := heap.with(ops{}); more == heap || more.name != "Heap" || more.mask == nil || !sameOps(more.ops, heap.ops) {
		t.Errorf("with nothing in it the overlay gives %+v", more)
	}
	if old[xlog.RmSeq] != nil || old[xlog.RmHeap2] != heap2 ||
		!sameOps(heap2.ops, ops{0x0: {name: "REWRITE"}, 0x1: {name: "PRUNE", newOK: block0}}) {
		t.Errorf("the old version has changed: %+v, its Heap2 %+v", old, heap2)
	}
}

// sameOps compares what is not a function.
func sameOps(a, b ops) bool {
	for i := range a {
		x, y := &a[i], &b[i]
		if x.name != y.name || x.initName != y.initName || x.newOK != y.newOK || x.ownLSN != y.ownLSN {
			return false
		}
	}
	return true
}

// TestDroppedStatistics sees that the fixtures have subtransactions that were rolled back and dropped statistics: an item has another
// size in each of three groups of versions, and in the first of them there are none.
func TestDroppedStatistics(t *testing.T) {
	for _, v := range pg.Versions {
		f := fixture{name: "xact", server: strconv.Itoa(v.Major)}
		aborts, dropped := 0, 0
		eachRecord(t, f.wal(t).Reader(), func(rec *xlog.Record) bool {
			if rec.RmgrID != xlog.RmXact || rec.Op() != xlog.XactAbort {
				return true
			}
			end, err := xlog.ParseXactEnd(rec)
			if err != nil {
				t.Errorf("%v: %s\n\t%v", v, describe(rec), err)
			}
			aborts++
			dropped += end.Stats.Len()
			return true
		})
		if aborts == 0 || (dropped > 0) != (v.StatsItemSize > 0) {
			t.Errorf("%v: %d transactions were rolled back, and dropped %d statistics", v, aborts, dropped)
		}
	}
}
