package walredo

import (
	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// btreeSplit is btree_xlog_split: block 0 is the page that was split, 1 the new one
// to the right of it, 2 the one that was to its right, 3 a child whose own split
// the new item completes.
func btreeSplit(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	xl, err := xlog.ParseBtreeSplit(rec)
	if err != nil {
		return err
	}
	switch blk.ID {
	case 0:
		return btSplitLeft(page, rec, blk, xl)
	case 1:
		return btSplitRight(page, rec, blk, xl)
	case 2:
		o, err := btOpaque(page)
		if err != nil {
			return err
		}
		right, err := blockNumber(rec, 1)
		if err != nil {
			return err
		}
		o.setPrev(right)
		return nil
	default:
		return btClearIncompleteSplit(page)
	}
}

// btSplitRight makes the new right page: all that it holds is in the record.
func btSplitRight(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef, xl xlog.BtreeSplit) error {
	left, err := blockNumber(rec, 0)
	if err != nil {
		return err
	}
	o := btInitPage(page)
	o.setPrev(left)
	if next := rec.Block(2); next != nil {
		o.setNext(next.Tag.Block)
	}
	o.setLevel(xl.Level)
	if xl.Level == 0 {
		o.setFlags(btpLeaf)
	}
	return btRestorePage(page, blk.Data)
}

// btLeftHalf is what the record adds to the left page of a split.
type btLeftHalf struct {
	highKey []byte
	newItem []byte // nil: it went to the right
}

// btSplitLeft makes the left page anew, items in the order of their numbers as
// _bt_split does, from its own old content, the new item and the new high key.
func btSplitLeft(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef, xl xlog.BtreeSplit) error {
	o, err := btOpaque(page)
	if err != nil {
		return err
	}
	right, err := blockNumber(rec, 1)
	if err != nil {
		return err
	}
	firstKey := o.firstKey() // before the new right link makes every page have a high key
	o.setNext(right)
	o.setFlags(btpIncompleteSplit)
	if xl.Level == 0 {
		o.setFlags(btpIncompleteSplit | btpLeaf)
	}
	o.setCycleID(0)

	var old [pg.BlockSize]byte
	copy(old[:], page)
	var buf [btMaxTupleSize]byte
	half, err := btParseLeftHalf(old[:], buf[:], rec.Op(), blk.Data, xl)
	if err != nil {
		return err
	}
	page.Init(btOpaqueSize)
	copy(page[btOpaqueAt:], old[btOpaqueAt:])
	return btFillLeft(page, old[:], firstKey, half, xl)
}

// btParseLeftHalf reads block 0's data: the new item if it went to the left page or
// split a posting list, then the high key. Such a posting list is changed in old;
// the item, which changes with it, is copied to buf.
func btParseLeftHalf(old pg.Page, buf []byte, op uint8, data []byte, xl xlog.BtreeSplit) (btLeftHalf, error) {
	var half btLeftHalf
	onLeft := op == btreeOpSplitLeft
	if onLeft || xl.PostingOff != 0 {
		item, err := parseBtTuple(data)
		if err != nil {
			return half, err
		}
		size := pg.MaxAlign(len(item))
		if size > len(data) {
			return half, corrupt("new item of %d bytes in %d", size, len(data))
		}
		item = btTuple(data[:size])
		data = data[size:]
		if xl.PostingOff != 0 {
			if item, err = btSplitPosting(old, buf, item, xl); err != nil {
				return half, err
			}
		}
		if onLeft {
			half.newItem = item
		}
	}
	size, err := indexTupleSize(data)
	if err != nil {
		return half, err
	}
	if pg.MaxAlign(size) != len(data) {
		return half, corrupt("high key of %d bytes in %d", size, len(data))
	}
	half.highKey = data
	return half, nil
}

// btSplitPosting swaps TIDs between a copy of the new item and the posting list
// before it.
func btSplitPosting(old pg.Page, buf []byte, item btTuple, xl xlog.BtreeSplit) (btTuple, error) {
	posting, err := btItem(old, xl.NewItemOff-1)
	if err != nil {
		return nil, err
	}
	if len(item) > len(buf) {
		return nil, corrupt("new item of %d bytes", len(item))
	}
	item = btTuple(buf[:copy(buf, item)])
	return item, btSwapPosting(item, posting, int(xl.PostingOff))
}

// btFillLeft adds the left page's items.
func btFillLeft(page, old pg.Page, firstKey pg.OffsetNumber, half btLeftHalf, xl xlog.BtreeSplit) error {
	if half.newItem != nil && (xl.NewItemOff < firstKey || xl.NewItemOff > xl.FirstRightOff) {
		return corrupt("new item %d of a left page that ends before %d", xl.NewItemOff, xl.FirstRightOff)
	}
	items := appendItems(page)
	if err := items.add(half.highKey); err != nil {
		return err
	}
	for off := firstKey; off < xl.FirstRightOff; off++ {
		if half.newItem != nil && off == xl.NewItemOff {
			if err := items.add(half.newItem); err != nil {
				return err
			}
		}
		item, err := old.Item(off)
		if err != nil {
			return err
		}
		if err := items.add(item); err != nil {
			return err
		}
	}
	if half.newItem != nil && xl.NewItemOff == xl.FirstRightOff {
		if err := items.add(half.newItem); err != nil {
			return err
		}
	}
	items.done()
	return nil
}
