package walredo

import (
	"encoding/binary"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// spgVacuumLeaf is spgRedoVacuumLeaf.
func spgVacuumLeaf(page pg.Page, rec *xlog.Record, _ *xlog.BlockRef) error {
	h, data, err := spgHeader(rec, "spgxlogVacuumLeaf", 16)
	if err != nil {
		return err
	}
	var (
		toDead              = data.offsets(int(binary.LittleEndian.Uint16(h)))
		toPlaceholder       = data.offsets(int(binary.LittleEndian.Uint16(h[2:])))
		nMove               = int(binary.LittleEndian.Uint16(h[4:]))
		moveSrc, moveDest   = data.offsets(nMove), data.offsets(nMove)
		nChain              = int(binary.LittleEndian.Uint16(h[6:]))
		chainSrc, chainDest = data.offsets(nChain), data.offsets(nChain)
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
	for i := range moveSrc.len() {
		src, dest := moveSrc.at(i), moveDest.at(i)
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
	for i := range chainSrc.len() {
		if err := spgSetNextOffset(page, chainSrc.at(i), chainDest.at(i)); err != nil {
			return err
		}
	}
	return nil
}

// spgVacuumRoot is spgRedoVacuumRoot: items of a root that is a leaf go.
func spgVacuumRoot(page pg.Page, rec *xlog.Record, _ *xlog.BlockRef) error {
	h, data, err := spgHeader(rec, "spgxlogVacuumRoot", 12)
	if err != nil {
		return err
	}
	toDelete := data.offsets(int(binary.LittleEndian.Uint16(h)))
	if data.err != nil {
		return data.err
	}
	return indexMultiDelete(page, toDelete)
}

// spgVacuumRedirect is spgRedoVacuumRedirect: redirections that no scan needs any
// more become placeholders, and placeholders at the page's end go.
func spgVacuumRedirect(page pg.Page, rec *xlog.Record, _ *xlog.BlockRef) error {
	h, data, err := spgHeader(rec, "spgxlogVacuumRedirect", 8)
	if err != nil {
		return err
	}
	toPlaceholder := data.offsets(int(binary.LittleEndian.Uint16(h)))
	firstPlaceholder := pg.OffsetNumber(binary.LittleEndian.Uint16(h[2:]))
	if data.err != nil {
		return data.err
	}
	o, err := spgOpaque(page)
	if err != nil {
		return err
	}
	for i := range toPlaceholder.len() {
		tuple, err := page.Item(toPlaceholder.at(i))
		if err != nil {
			return err
		}
		if len(tuple) < spgDeadTupleSize {
			return corrupt("dead tuple of %d bytes", len(tuple))
		}
		tuple[0] |= spgPlaceholder // from redirect; xid stays
		spgInvalidPointer.Put(tuple[6:])
	}
	o.addRedirections(-toPlaceholder.len())
	o.addPlaceholders(toPlaceholder.len())
	if firstPlaceholder == 0 {
		return nil
	}
	return spgDropPlaceholders(page, o, firstPlaceholder)
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
