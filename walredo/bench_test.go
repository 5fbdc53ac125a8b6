package walredo

import (
	"fmt"
	"testing"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// allocating lists the resource managers that may allocate, and why.
var allocating = map[xlog.RmgrID]string{
	xlog.RmSPGist: "rare, and its state escapes",
	xlog.RmGin:    "posting lists are repacked",
}

// TestNoAllocs sees that redo of any op costs no allocation.
func TestNoAllocs(t *testing.T) {
	page := make(pg.Page, pg.BlockSize)
	var rec xlog.Record
	reported := map[string]bool{}
	for _, s := range fixtureSteps(t) {
		if err := xlog.Decode(s.raw, 8, 16, &rec); err != nil {
			t.Fatal(err)
		}
		if rec.RmgrID == xlog.RmXact {
			if end, err := xlog.ParseXactEnd(&rec); err == nil && len(end.SubXIDs)+len(end.Rels)+len(end.GID) > 0 {
				continue // their lists are slices
			}
		}
		var err error
		allocs := testing.AllocsPerRun(5, func() {
			copy(page, s.page)
			err = Redo(page, s.tag, &rec)
		})
		rm, op := Name(rec.RmgrID, rec.Info)
		name := fmt.Sprintf("%s/%s block %d, image %v", rm, op, s.id.block, s.id.image)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if allocs > 0 && !reported[name] && allocating[rec.RmgrID] == "" {
			reported[name] = true
			t.Errorf("%s: %v allocations", name, allocs)
		}
	}
	none := func(pg.BufferTag) {}
	for _, s := range fixtureSteps(t) {
		if err := xlog.Decode(s.raw, 8, 16, &rec); err != nil {
			t.Fatal(err)
		}
		if rec.RmgrID == xlog.RmXact {
			continue
		}
		if allocs := testing.AllocsPerRun(5, func() { _ = Touches(&rec, none) }); allocs > 0 {
			t.Errorf("Touches of %s: %v allocations", describe(&rec), allocs)
		}
	}
}

// BenchmarkRedo is one redo of each op, page copied anew each time (some 100 ns).
func BenchmarkRedo(b *testing.B) {
	page := make(pg.Page, pg.BlockSize)
	done := map[string]bool{}
	for _, s := range fixtureSteps(b) {
		var rec xlog.Record
		if err := xlog.Decode(s.raw, 8, 16, &rec); err != nil {
			b.Fatal(err)
		}
		rm, op := Name(rec.RmgrID, rec.Info)
		name := fmt.Sprintf("%s/%s/%d", rm, op, s.id.block)
		if s.id.image || done[name] {
			continue
		}
		done[name] = true
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				copy(page, s.page)
				if err := Redo(page, s.tag, &rec); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
