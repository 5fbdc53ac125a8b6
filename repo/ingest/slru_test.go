package ingest

import (
	"testing"

	"zenith/internal/pg"
)

// TestBefore checks the order of SLRU pages, around the wrap too, against the rules in
// slru.c: two pages that are half the range apart have no order, neither comes first.
func TestBefore(t *testing.T) {
	const xacts = pg.XactsPerPage
	last := uint32(1<<32/xacts - 1)
	half := uint32(1 << 31 / xacts)
	for _, c := range []struct {
		a, b uint32
		want bool
	}{
		{0, 1, true},
		{1, 0, false},
		{1, 1, false},
		{last, 0, true},
		{0, last, false},
		{0, half - 1, true},
		{0, half, false},
		{half, 0, false},
		{0, half + 1, false},
		{half + 1, 0, true},
	} {
		if got := before(c.a, c.b, xacts, uint32(pg.FirstNormalTransactionID)); got != c.want {
			t.Errorf("before(%d, %d): got %v, want %v", c.a, c.b, got, c.want)
		}
	}
}

func TestMapBlocks(t *testing.T) {
	for _, c := range []struct{ heap, want pg.BlockNumber }{{0, 0}, {1, 1}, {32672, 1}, {32673, 2}, {1 << 31, 65729}} {
		if got := mapBlocks(c.heap); got != c.want {
			t.Errorf("mapBlocks(%d): got %d, want %d", c.heap, got, c.want)
		}
	}
}
