package walredo

import (
	"encoding/binary"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// xlBtreeMarkPageHalfDead is xl_btree_mark_page_halfdead; where the leaf is, block 0 says
// too.
type xlBtreeMarkPageHalfDead struct {
	parentOff              pg.OffsetNumber // poffset: the parent's item that leads to the leaf
	left, right, topParent pg.BlockNumber
}

const sizeofXLBtreeMarkPageHalfDead = 20

func parseXLBtreeMarkPageHalfDead(b []byte) (xlBtreeMarkPageHalfDead, error) {
	if len(b) < sizeofXLBtreeMarkPageHalfDead {
		return xlBtreeMarkPageHalfDead{}, corrupt("xl_btree_mark_page_halfdead is %d bytes, want %d",
			len(b), sizeofXLBtreeMarkPageHalfDead)
	}
	return xlBtreeMarkPageHalfDead{
		parentOff: pg.OffsetNumber(binary.LittleEndian.Uint16(b)),
		left:      pg.BlockNumber(binary.LittleEndian.Uint32(b[8:])),
		right:     pg.BlockNumber(binary.LittleEndian.Uint32(b[12:])),
		topParent: pg.BlockNumber(binary.LittleEndian.Uint32(b[16:])),
	}, nil
}

// btreeMarkPageHalfDead is btree_xlog_mark_page_halfdead: block 0 is the leaf, 1 its
// parent.
func btreeMarkPageHalfDead(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	xl, err := parseXLBtreeMarkPageHalfDead(rec.MainData)
	if err != nil {
		return err
	}
	if blk.ID == 0 {
		return btInitHalfDead(page, xl.left, xl.right, xl.topParent)
	}
	return btRemoveDownlink(page, xl.parentOff)
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

// xlBtreeUnlinkPage is xl_btree_unlink_page.
type xlBtreeUnlinkPage struct {
	left, right         pg.BlockNumber
	level               uint32
	safeXID             uint64 // a FullTransactionId
	leafLeft, leafRight pg.BlockNumber
	leafTopParent       pg.BlockNumber
}

const sizeofXLBtreeUnlinkPage = 36

func parseXLBtreeUnlinkPage(b []byte) (xlBtreeUnlinkPage, error) {
	if len(b) < sizeofXLBtreeUnlinkPage {
		return xlBtreeUnlinkPage{}, corrupt("xl_btree_unlink_page is %d bytes, want %d", len(b), sizeofXLBtreeUnlinkPage)
	}
	return xlBtreeUnlinkPage{
		left:          pg.BlockNumber(binary.LittleEndian.Uint32(b)),
		right:         pg.BlockNumber(binary.LittleEndian.Uint32(b[4:])),
		level:         binary.LittleEndian.Uint32(b[8:]),
		safeXID:       binary.LittleEndian.Uint64(b[16:]),
		leafLeft:      pg.BlockNumber(binary.LittleEndian.Uint32(b[24:])),
		leafRight:     pg.BlockNumber(binary.LittleEndian.Uint32(b[28:])),
		leafTopParent: pg.BlockNumber(binary.LittleEndian.Uint32(b[32:])),
	}, nil
}

// btreeUnlinkPage is btree_xlog_unlink_page: block 0 is the page, 1 its left sibling,
// 2 the right one, 3 the leaf of the subtree if that is another page, 4 the metapage.
func btreeUnlinkPage(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	xl, err := parseXLBtreeUnlinkPage(rec.MainData)
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
		return btInitHalfDead(page, xl.leafLeft, xl.leafRight, xl.leafTopParent)
	default:
		return btRestoreMeta(page, blk)
	}
}

// btInitDeleted makes a deleted page. Its links stay, for scans that are on their
// way to it; safeXID says when nobody can be.
func btInitDeleted(page pg.Page, xl xlBtreeUnlinkPage) {
	o := btInitPage(page)
	o.setPrev(xl.left)
	o.setNext(xl.right)
	o.setLevel(xl.level)
	flags := uint16(btpDeleted | btpHasFullXid)
	if xl.level == 0 {
		flags |= btpLeaf
	}
	o.setFlags(flags)
	page.SetLower(pg.PageHeaderSize + btDeletedSize)
	binary.LittleEndian.PutUint64(page[pg.PageHeaderSize:], xl.safeXID)
}

func btUnlinkSibling(page pg.Page, isLeft bool, xl xlBtreeUnlinkPage) error {
	o, err := btOpaque(page)
	if err != nil {
		return err
	}
	if isLeft {
		o.setNext(xl.right)
	} else {
		o.setPrev(xl.left)
	}
	return nil
}
