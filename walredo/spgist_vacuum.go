package walredo

import (
	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// spgVacuumLeaf is spgRedoVacuumLeaf.
func spgVacuumLeaf(page pg.Page, rec *xlog.Record, _ *xlog.BlockRef) error {
	x, err := xlog.ParseSpgVacuumLeaf(rec)
	if err != nil {
		return err
	}
	data := spgData{rest: x.Rest}
	var (
		toDead              = data.offsets(x.NDead)
		toPlaceholder       = data.offsets(x.NPlaceholder)
		moveSrc, moveDest   = data.offsets(x.NMove), data.offsets(x.NMove)
		chainSrc, chainDest = data.offsets(x.NChain), data.offsets(x.NChain)
	)
	if data.err != nil {
		return data.err
	}
	if err := spgMultiDelete(page, toDead, spgDeadLeafTuple, spgDeadLeafTuple); err != nil {
		return err
	}
	if err := spgMultiDelete(page, toPlaceholder, spgPlaceholderTuple, spgPlaceholderTuple); err != nil {
		return err
	}
	// A tuple moves to the head of its chain by exchanging line pointers with the
	// dead one there, which goes thereafter.
	for i := range moveSrc.Len() {
		src, dest := moveSrc.At(i), moveDest.At(i)
		if !page.HasItem(src) || !page.HasItem(dest) {
			return corrupt("move item %d to %d of a page with %d", src, dest, page.MaxOffset())
		}
		srcID, destID := page.ItemID(src), page.ItemID(dest)
		page.SetItemID(src, destID)
		page.SetItemID(dest, srcID)
	}
	if err := spgMultiDelete(page, moveSrc, spgPlaceholderTuple, spgPlaceholderTuple); err != nil {
		return err
	}
	for i := range chainSrc.Len() {
		if err := spgSetNextOffset(page, chainSrc.At(i), chainDest.At(i)); err != nil {
			return err
		}
	}
	return nil
}

// spgVacuumRoot is spgRedoVacuumRoot: items of a root that is a leaf go.
func spgVacuumRoot(page pg.Page, rec *xlog.Record, _ *xlog.BlockRef) error {
	toDelete, err := xlog.ParseSpgVacuumRoot(rec)
	if err != nil {
		return err
	}
	return indexMultiDelete(page, toDelete)
}

// spgVacuumRedirect is spgRedoVacuumRedirect: redirections that no scan needs any
// more become placeholders, and placeholders at the page's end go.
func spgVacuumRedirect(page pg.Page, rec *xlog.Record, _ *xlog.BlockRef) error {
	x, err := xlog.ParseSpgVacuumRedirect(rec)
	if err != nil {
		return err
	}
	o, err := spgOpaque(page)
	if err != nil {
		return err
	}
	for i := range x.ToPlaceholder.Len() {
		tuple, err := page.Item(x.ToPlaceholder.At(i))
		if err != nil {
			return err
		}
		if len(tuple) < spgDeadTupleSize {
			return corrupt("dead tuple of %d bytes", len(tuple))
		}
		tuple[0] |= spgPlaceholder // from redirect; xid stays
		spgInvalidPointer.Put(tuple[6:])
	}
	o.addRedirections(-x.ToPlaceholder.Len())
	o.addPlaceholders(x.ToPlaceholder.Len())
	if x.FirstPlaceholder == 0 {
		return nil
	}
	return spgDropPlaceholders(page, o, x.FirstPlaceholder)
}

// spgDropPlaceholders removes the items from first to the last.
func spgDropPlaceholders(page pg.Page, o spgPageOpaque, first pg.OffsetNumber) error {
	var buf [pg.MaxIndexTuplesPerPage]pg.OffsetNumber
	last := page.MaxOffset()
	if first > last || int(last) > len(buf) {
		return corrupt("drop placeholders from %d on a page with %d items", first, last)
	}
	n := 0
	for off := first; off <= last; off++ {
		buf[n] = off
		n++
	}
	o.addPlaceholders(-n)
	return page.IndexMultiDelete(buf[:n])
}
