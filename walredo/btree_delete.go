package walredo

import (
	"fmt"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// btreeDelete is btree_xlog_delete.
func btreeDelete(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	xl, err := xlog.ParseBtreeDelete(rec)
	if err != nil {
		return err
	}
	return btDeleteItems(page, blk.Data, xl.BtreeVacuum)
}

// btreeVacuum is btree_xlog_vacuum.
func btreeVacuum(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	xl, err := xlog.ParseBtreeVacuum(rec)
	if err != nil {
		return err
	}
	return btDeleteItems(page, blk.Data, xl)
}

// btDeleteItems is what both do to the page. data is the numbers of the items to
// delete, those of the items to update, then an xl_btree_update for each of these.
func btDeleteItems(page pg.Page, data []byte, xl xlog.BtreeVacuum) error {
	o, err := btOpaque(page)
	if err != nil {
		return err
	}
	deleted, rest, err := xlog.CutOffsets(data, xl.NDeleted)
	if err != nil {
		return err
	}
	updated, rest, err := xlog.CutOffsets(rest, xl.NUpdated)
	if err != nil {
		return err
	}
	if err := btUpdateItems(page, updated, rest); err != nil {
		return err
	}
	if err := indexMultiDelete(page, deleted); err != nil {
		return err
	}
	o.clearFlags(btpHasGarbage)
	return nil
}

// btUpdateItems is btree_xlog_updates: it takes TIDs out of the posting lists of the
// items. data has, per item, the number of TIDs (xl_btree_update), then which.
func btUpdateItems(page pg.Page, updated xlog.Offsets, data []byte) error {
	for i := range updated.Len() {
		deleted, rest, err := xlog.CutBtreeUpdate(data)
		if err != nil {
			return fmt.Errorf("update %d of %d posting lists: %w", i, updated.Len(), err)
		}
		data = rest
		if err := btUpdatePosting(page, updated.At(i), deleted); err != nil {
			return err
		}
	}
	return nil
}

// btUpdatePosting is _bt_update_posting: the item without the deleted TIDs of its
// posting list, which are ascending indexes into it.
func btUpdatePosting(page pg.Page, off pg.OffsetNumber, deleted xlog.Offsets) error {
	t, err := btItem(page, off)
	if err != nil {
		return err
	}
	if !t.isPosting() {
		return corrupt("item %d has no posting list to update", off)
	}
	var tids, tuple [btMaxTupleSize]byte
	all := t.heapTIDs()
	if len(all) > len(tids) || deleted.Len() >= t.nPosting() {
		return corrupt("update deletes %d of the %d tids of item %d", deleted.Len(), t.nPosting(), off)
	}
	kept, d := 0, 0
	for i := range t.nPosting() {
		if d < deleted.Len() && int(deleted.At(d)) == i {
			d++
			continue
		}
		kept += copy(tids[kept:], all[i*pg.ItemPointerSize:(i+1)*pg.ItemPointerSize])
	}
	if d != deleted.Len() {
		return corrupt("update of item %d deletes tids that its posting list does not have", off)
	}
	smaller, err := btFormPosting(tuple[:], t, tids[:kept])
	if err != nil {
		return err
	}
	return page.IndexTupleOverwrite(off, smaller)
}
