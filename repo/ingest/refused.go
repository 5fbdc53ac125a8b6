package ingest

import (
	"cmp"
	"maps"
	"slices"

	"zenith/internal/pg"
)

// Refused lists pages that records of extensions' resource managers have changed, which redo does
// not know, in the order of their files: those of the WAL that this Ingester has taken in, without
// those that were settled. Some may have got an image since, or be gone.
func (in *Ingester) Refused() []pg.BufferTag {
	return slices.SortedFunc(maps.Keys(in.refused), func(a, b pg.BufferTag) int {
		return cmp.Or(cmp.Compare(a.SpcOID, b.SpcOID), cmp.Compare(a.DBOID, b.DBOID), cmp.Compare(a.RelNumber, b.RelNumber),
			cmp.Compare(a.Fork, b.Fork), cmp.Compare(a.Block, b.Block))
	})
}

// Settle takes a page off the list of Refused: it can be rebuilt again, or is gone.
func (in *Ingester) Settle(tag pg.BufferTag) { delete(in.refused, tag) }
