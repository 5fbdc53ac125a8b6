package walredo

import (
	"encoding/binary"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// btreeInsert is btree_xlog_insert without a posting list split: block 0 gets the
// tuple, 1 is the child whose split the insertion completes, 2 the metapage.
func btreeInsert(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	switch blk.ID {
	case 0:
		off, err := xlog.ParseBtreeInsert(rec)
		if err != nil {
			return err
		}
		return addItem(page, blk.Data, off)
	case 1:
		return btClearIncompleteSplit(page)
	default:
		return btRestoreMeta(page, blk)
	}
}

// btreeInsertPost is btree_xlog_insert with a posting list split. The block's data
// is the place in the posting list, then the tuple as it came to the primary; the
// posting list is the tuple before the new one.
func btreeInsertPost(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	off, err := xlog.ParseBtreeInsert(rec)
	if err != nil {
		return err
	}
	if len(blk.Data) < 2 {
		return corrupt("posting split data is %d bytes", len(blk.Data))
	}
	postingOff := int(binary.LittleEndian.Uint16(blk.Data))
	posting, err := btItem(page, off-1)
	if err != nil {
		return err
	}
	var buf [btMaxTupleSize]byte
	newItem, err := btCopyTuple(buf[:], blk.Data[2:])
	if err != nil {
		return err
	}
	if err := btSwapPosting(newItem, posting, postingOff); err != nil {
		return err
	}
	return addItem(page, newItem, off)
}

// btRestorePage is _bt_restore_page: data is the upper part of a page, the tuple of
// the highest item number first. They are added in reverse, item 1 first.
func btRestorePage(page pg.Page, data []byte) error {
	if len(data) > pg.BlockSize {
		return corrupt("%d bytes of tuples for one page", len(data))
	}
	var starts [pg.MaxIndexTuplesPerPage + 1]uint16
	n := 0
	for at := 0; at < len(data); n++ {
		size, err := indexTupleSize(data[at:])
		if err != nil {
			return err
		}
		if n == pg.MaxIndexTuplesPerPage {
			return corrupt("more than %d tuples for one page", n)
		}
		starts[n] = uint16(at)
		if at += pg.MaxAlign(size); at > len(data) {
			return corrupt("tuple ends at %d of %d bytes", at, len(data))
		}
		starts[n+1] = uint16(at)
	}
	items := appendItems(page)
	for i := n - 1; i >= 0; i-- {
		if err := items.add(data[starts[i]:starts[i+1]]); err != nil {
			return err
		}
	}
	items.done()
	return nil
}
