package walredo

import (
	"errors"
	"fmt"
	"testing"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// TestNoAllocs sees that a record applied costs no memory, whatever it is: decoding it,
// finding the pages that it does not name, and redoing it.
func TestNoAllocs(t *testing.T) {
	page := make(pg.Page, pg.BlockSize)
	none := func(pg.BufferTag) {}
	var rec xlog.Record
	reported := map[string]bool{}
	for _, s := range fixtureSteps(t) {
		err := xlog.Decode(s.v, s.raw, 8, 16, &rec) // makes room for its blocks
		if err != nil {
			t.Fatal(err)
		}
		allocs := testing.AllocsPerRun(3, func() {
			copy(page, s.page)
			err = errors.Join(xlog.Decode(s.v, s.raw, 8, 16, &rec), Redo(page, s.tag, &rec), Touches(&rec, none))
		})
		rm, op := Name(&rec)
		name := fmt.Sprintf("%s/%s block %d, image %v", rm, op, s.id.block, s.id.image)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if allocs > 0 && !reported[name] {
			reported[name] = true
			t.Errorf("%s: %v allocations", name, allocs)
		}
	}
}

// BenchmarkRedo is one redo of each op, page copied anew each time (some 100 ns).
func BenchmarkRedo(b *testing.B) {
	page := make(pg.Page, pg.BlockSize)
	done := map[string]bool{}
	for _, s := range fixtureSteps(b) {
		var rec xlog.Record
		if err := xlog.Decode(s.v, s.raw, 8, 16, &rec); err != nil {
			b.Fatal(err)
		}
		rm, op := Name(&rec)
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
