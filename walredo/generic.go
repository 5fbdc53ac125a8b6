package walredo

import (
	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// genericRmgr is Generic, in access/transam/generic_xlog.c: page differences, logged
// by extensions' index types.
var genericRmgr = rmgr{
	name: "Generic",
	ops:  ops{0x0: {name: "Generic", newOK: allBlocks, redo: genericRedo}},
	mask: genericMask,
}

// genericRedo is generic_redo. The free space of the page, of which the difference
// says nothing, is zeroed as it is on the primary.
//
// The page may be new, though stock replay does not apply a difference to such a page. An
// extension may register a new page without asking for an image (RUM does), and gets
// one only because full_page_writes is on. With full_page_writes=off the record has the
// difference between zeros and the page: computeDelta writes the whole header and line
// pointers then, since the old page's pd_lower is 0. Applied to zeros it gives the
// primary's page.
func genericRedo(page pg.Page, _ *xlog.Record, blk *xlog.BlockRef) error {
	if err := genericApply(page, blk.Data); err != nil {
		return err
	}
	lower, upper := int(page.Lower()), int(page.Upper())
	if lower > upper || upper > pg.BlockSize {
		return corrupt("difference gives a page with lower %d, upper %d", lower, upper)
	}
	clear(page[lower:upper])
	return nil
}

// genericApply is applyPageRedo.
func genericApply(page pg.Page, delta []byte) error {
	for len(delta) > 0 {
		r, rest, err := xlog.CutGenericRegion(delta)
		if err != nil {
			return err
		}
		if r.Offset+len(r.Bytes) > pg.BlockSize {
			return corrupt("piece of a page difference: %d bytes at %d", len(r.Bytes), r.Offset)
		}
		copy(page[r.Offset:], r.Bytes)
		delta = rest
	}
	return nil
}

// genericMask is generic_mask.
func genericMask(page pg.Page, _ pg.BlockNumber) {
	maskLSN(page)
	maskUnused(page)
}
