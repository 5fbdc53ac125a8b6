package walredo

import (
	"encoding/binary"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// btreeMarkPageHalfDead is btree_xlog_mark_page_halfdead: block 0 is the leaf, 1 its
// parent.
func btreeMarkPageHalfDead(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	xl, err := xlog.ParseBtreeMarkPageHalfDead(rec)
	if err != nil {
		return err
	}
	if blk.ID == 0 {
		return btInitHalfDead(page, xl.Left, xl.Right, xl.TopParent)
	}
	return btRemoveDownlink(page, xl.ParentOff)
}

// btRemoveDownlink takes the child of item off out of its parent: the item gets the
// downlink of the next one, which is deleted, so that the key space goes right.
func btRemoveDownlink(page pg.Page, off pg.OffsetNumber) error {
	t, err := btItem(page, off)
	if err != nil {
		return err
	}
	next, err := btItem(page, off+1)
	if err != nil {
		return err
	}
	t.setBlock(next.block())
	return page.IndexTupleDelete(off + 1)
}

// btInitHalfDead makes a half-dead leaf: empty but for a high key without a key,
// which points to the topmost page of the subtree that is to be deleted.
func btInitHalfDead(page pg.Page, left, right, topParent pg.BlockNumber) error {
	o := btInitPage(page)
	o.setPrev(left)
	o.setNext(right)
	o.setFlags(btpHalfDead | btpLeaf)
	var buf [pg.IndexTupleHeaderSize]byte
	t := btTuple(buf[:])
	// BTreeTupleSetTopParent: the tuple becomes a pivot tuple of no attributes.
	t.setSize(pg.IndexTupleHeaderSize, btAltTID)
	t.setBlock(uint32(topParent))
	return addItem(page, t, btHighKey)
}

// btreeUnlinkPage is btree_xlog_unlink_page: block 0 is the page, 1 its left sibling,
// 2 the right one, 3 the leaf of the subtree if that is another page, 4 the metapage.
func btreeUnlinkPage(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	xl, err := xlog.ParseBtreeUnlinkPage(rec)
	if err != nil {
		return err
	}
	switch blk.ID {
	case 0:
		btInitDeleted(page, xl)
		return nil
	case 1, 2:
		return btUnlinkSibling(page, blk.ID == 1, xl)
	case 3:
		return btInitHalfDead(page, xl.LeafLeft, xl.LeafRight, xl.LeafTopParent)
	default:
		return btRestoreMeta(page, blk)
	}
}

// btInitDeleted makes a deleted page. Its links stay, for scans that are on their
// way to it; safeXID says when nobody can be.
func btInitDeleted(page pg.Page, xl xlog.BtreeUnlinkPage) {
	o := btInitPage(page)
	o.setPrev(xl.Left)
	o.setNext(xl.Right)
	o.setLevel(xl.Level)
	flags := uint16(btpDeleted | btpHasFullXid)
	if xl.Level == 0 {
		flags |= btpLeaf
	}
	o.setFlags(flags)
	page.SetLower(pg.PageHeaderSize + btDeletedSize)
	binary.LittleEndian.PutUint64(page[pg.PageHeaderSize:], uint64(xl.SafeXID))
}

func btUnlinkSibling(page pg.Page, isLeft bool, xl xlog.BtreeUnlinkPage) error {
	o, err := btOpaque(page)
	if err != nil {
		return err
	}
	if isLeft {
		o.setNext(xl.Right)
	} else {
		o.setPrev(xl.Left)
	}
	return nil
}
