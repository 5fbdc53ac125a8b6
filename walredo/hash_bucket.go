package walredo

import (
	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// Here are the hash records that change the tuples of buckets; hash_pages.go has
// those that give and take pages.

// hashInsert is hash_xlog_insert: block 0 gets the tuple, block 1 is the metapage.
func hashInsert(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	if blk.ID != 0 {
		return hashCountTuples(page, 1)
	}
	off, err := xlog.ParseHashInsert(rec)
	if err != nil {
		return err
	}
	return addItem(page, blk.Data, off)
}

// hashCountTuples adds n to the metapage's number of tuples.
func hashCountTuples(page pg.Page, n float64) error {
	m, err := hashPageMeta(page)
	if err != nil {
		return err
	}
	m.setNTuples(m.nTuples() + n)
	return nil
}

// hashMovePageContents is hash_xlog_move_page_contents: block 1 gets tuples that
// block 2 loses.
func hashMovePageContents(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	xl, err := xlog.ParseHashMovePageContents(rec)
	if err != nil {
		return err
	}
	if blk.ID == 1 {
		return hashAddTuples(page, blk.Data, xl.NTuples)
	}
	return indexMultiDelete(page, xlog.Offsets(blk.Data))
}

// hashAddTuples adds n tuples: data is their item numbers, then the tuples.
func hashAddTuples(page pg.Page, data []byte, n int) error {
	if n == 0 {
		return nil
	}
	offs, data, err := xlog.CutOffsets(data, n)
	if err != nil {
		return err
	}
	for i := range n {
		size, err := indexTupleSize(data)
		if err != nil {
			return err
		}
		size = pg.MaxAlign(size)
		if size > len(data) {
			return corrupt("tuple of %d bytes in %d", size, len(data))
		}
		if err := addItem(page, data[:size], offs.At(i)); err != nil {
			return err
		}
		data = data[size:]
	}
	if len(data) != 0 {
		return corrupt("%d bytes behind %d tuples", len(data), n)
	}
	return nil
}

// hashDelete is hash_xlog_delete, of block 1.
func hashDelete(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	xl, err := xlog.ParseHashDelete(rec)
	if err != nil {
		return err
	}
	return hashDeleteTuples(page, xlog.Offsets(blk.Data), xl.ClearDeadMarking)
}

func hashDeleteTuples(page pg.Page, items xlog.Offsets, clearDeadMarking bool) error {
	o, err := hashPageOpaque(page)
	if err != nil {
		return err
	}
	if clearDeadMarking {
		o.clearFlags(lhHasDeadTuples)
	}
	return indexMultiDelete(page, items)
}

// hashVacuumOnePage is hash_xlog_vacuum_one_page: block 0 loses its dead tuples,
// block 1 is the metapage.
func hashVacuumOnePage(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	xl, err := xlog.ParseHashVacuumOnePage(rec)
	if err != nil {
		return err
	}
	if blk.ID != 0 {
		return hashCountTuples(page, -float64(xl.NTuples))
	}
	return hashDeleteTuples(page, xl.Items, true)
}

// hashUpdateMetaPage is hash_xlog_update_meta_page.
func hashUpdateMetaPage(page pg.Page, rec *xlog.Record, _ *xlog.BlockRef) error {
	n, err := xlog.ParseHashUpdateMetaPage(rec)
	if err != nil {
		return err
	}
	m, err := hashPageMeta(page)
	if err != nil {
		return err
	}
	m.setNTuples(n)
	return nil
}

// hashSplitCleanup is hash_xlog_split_cleanup.
func hashSplitCleanup(page pg.Page, _ *xlog.Record, _ *xlog.BlockRef) error {
	o, err := hashPageOpaque(page)
	if err != nil {
		return err
	}
	o.clearFlags(lhNeedsSplitCleanup)
	return nil
}
