package pg_test

import (
	"testing"

	"zenith/internal/pg"
)

// BenchmarkRepairFragmentation prunes a page as pgbench makes them: 61 tuples of which some
// were updated, the old ones gone.
func BenchmarkRepairFragmentation(b *testing.B) {
	page := make(pg.Page, pg.BlockSize)
	page.Init(0)
	tuple := make([]byte, 121)
	for range 61 {
		if _, err := page.AddItem(tuple, 0, pg.AddIsHeap); err != nil {
			b.Fatal(err)
		}
	}
	for off := pg.OffsetNumber(3); off < 60; off += 11 {
		page.SetItemID(off, pg.MakeItemID(int(off)+1, pg.LPRedirect, 0))
	}
	work := make(pg.Page, pg.BlockSize)
	for b.Loop() {
		copy(work, page)
		if err := work.RepairFragmentation(); err != nil {
			b.Fatal(err)
		}
	}
}
