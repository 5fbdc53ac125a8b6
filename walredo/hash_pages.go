package walredo

import (
	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// hashInitBitmap is _hash_initbitmapbuffer: a bitmap page of size bytes, all of it in use.
func hashInitBitmap(page pg.Page, size int) error {
	if size > hashBitmapSize {
		return corrupt("bitmap of %d bytes", size)
	}
	hashInitPage(page, pg.InvalidBlockNumber, noBucket, lhBitmapPage)
	bitmap := page[pg.PageHeaderSize : pg.PageHeaderSize+size]
	for i := range bitmap {
		bitmap[i] = 0xFF
	}
	page.SetLower(uint16(pg.PageHeaderSize + size))
	return nil
}

// hashInitBitmapPage is hash_xlog_init_bitmap_page: block 0 is the first bitmap, block
// 1 the metapage. The bitmap is behind the buckets that the index begins with.
func hashInitBitmapPage(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	size, err := xlog.ParseHashInitBitmapPage(rec)
	if err != nil {
		return err
	}
	if blk.ID == 0 {
		return hashInitBitmap(page, size)
	}
	m, err := hashPageMeta(page)
	if err != nil {
		return err
	}
	nBuckets := m.get(hashMetaMaxBucket) + 1
	return m.addBitmap(pg.BlockNumber(nBuckets + 1))
}

// hashBitmapBit finds a bit, whose number is the block's data, in a bitmap page. The
// words of the map are little endian, so bytes will do.
func hashBitmapBit(page pg.Page, blk *xlog.BlockRef) (at int, mask byte, err error) {
	v, err := uint32s(blk.Data, 1)
	if err != nil {
		return 0, 0, err
	}
	bit := v[0]
	if bit >= hashBitmapSize*8 {
		return 0, 0, corrupt("bit %d of a bitmap", bit)
	}
	if _, err := hashPageOpaque(page); err != nil {
		return 0, 0, err
	}
	return pg.PageHeaderSize + int(bit/8), 1 << (bit % 8), nil
}

// hashAddOverflowPage is hash_xlog_add_ovfl_page: block 0 is the new page, 1 the one
// before it in the bucket's chain, 2 the bitmap page that it had a free bit in, 3 a
// new bitmap page, 4 the metapage.
func hashAddOverflowPage(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	xl, err := xlog.ParseHashAddOverflowPage(rec)
	if err != nil {
		return err
	}
	switch blk.ID {
	case 0:
		return hashInitOverflow(page, rec, blk)
	case 1:
		return hashLinkOverflow(page, rec)
	case 2:
		at, mask, err := hashBitmapBit(page, blk)
		if err == nil {
			page[at] |= mask
		}
		return err
	case 3:
		return hashInitBitmap(page, xl.BitmapSize)
	default:
		return hashAddOverflowMeta(page, rec, blk, xl)
	}
}

func hashInitOverflow(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	bucket, err := uint32s(blk.Data, 1)
	if err != nil {
		return err
	}
	left, err := blockNumber(rec, 1)
	if err != nil {
		return err
	}
	hashInitPage(page, left, bucket[0], lhOverflowPage)
	return nil
}

func hashLinkOverflow(page pg.Page, rec *xlog.Record) error {
	overflow, err := blockNumber(rec, 0)
	if err != nil {
		return err
	}
	o, err := hashPageOpaque(page)
	if err != nil {
		return err
	}
	o.setNext(overflow)
	return nil
}

func hashAddOverflowMeta(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef, xl xlog.HashAddOverflowPage) error {
	if err := hashSetFirstFree(page, blk); err != nil || xl.BitmapFound {
		return err
	}
	m, err := hashPageMeta(page)
	if err != nil {
		return err
	}
	if err := m.addSpare(); err != nil {
		return err
	}
	bitmap := rec.Block(3)
	if bitmap == nil {
		return nil
	}
	if err := m.addBitmap(bitmap.Tag.Block); err != nil {
		return err
	}
	return m.addSpare()
}

// hashSetFirstFree sets the metapage's hashm_firstfree to the block's data.
func hashSetFirstFree(page pg.Page, blk *xlog.BlockRef) error {
	firstFree, err := uint32s(blk.Data, 1)
	if err != nil {
		return err
	}
	m, err := hashPageMeta(page)
	if err != nil {
		return err
	}
	m.set(hashMetaFirstFree, firstFree[0])
	return nil
}

// hashSplitAllocatePage is hash_xlog_split_allocate_page: block 0 is the first page of
// the bucket that is split, also if it came as an image, 1 that of the new bucket, 2
// the metapage.
func hashSplitAllocatePage(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	xl, err := xlog.ParseHashSplitAllocatePage(rec)
	if err != nil {
		return err
	}
	switch blk.ID {
	case 0:
		o, err := hashPageOpaque(page)
		if err != nil {
			return err
		}
		o.setFlags(xl.OldFlag)
		o.setPrev(pg.BlockNumber(xl.NewBucket)) // hasho_prevblkno of a bucket's first page: the largest bucket at this time
		return nil
	case 1:
		hashInitPage(page, pg.BlockNumber(xl.NewBucket), xl.NewBucket, xl.NewFlag)
		return nil
	default:
		return hashSplitMeta(page, blk.Data, xl)
	}
}

func hashSplitMeta(page pg.Page, data []byte, xl xlog.HashSplitAllocatePage) error {
	m, err := hashPageMeta(page)
	if err != nil {
		return err
	}
	m.set(hashMetaMaxBucket, xl.NewBucket)
	if xl.UpdateMasks {
		masks, err := uint32s(data, 2)
		if err != nil {
			return err
		}
		m.set(hashMetaLowMask, masks[0])
		m.set(hashMetaHighMask, masks[1])
		data = data[8:]
	}
	if xl.UpdateSplitpoint {
		v, err := uint32s(data, 2)
		if err != nil {
			return err
		}
		at, err := m.spare(v[0])
		if err != nil {
			return err
		}
		m.set(at, v[1])
		m.set(hashMetaOvflPoint, v[0])
	}
	return nil
}

// hashSplitPage is hash_xlog_split_page. The page always comes as an image, so that
// this is only called for a record without.
func hashSplitPage(_ pg.Page, _ *xlog.Record, blk *xlog.BlockRef) error {
	return corrupt("block %d has no full-page image", blk.ID)
}

// hashSplitComplete is hash_xlog_split_complete: blocks 0 and 1 are the first pages of
// the old and the new bucket, also if they came as images.
func hashSplitComplete(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	xl, err := xlog.ParseHashSplitComplete(rec)
	if err != nil {
		return err
	}
	o, err := hashPageOpaque(page)
	if err != nil {
		return err
	}
	if blk.ID == 0 {
		o.setFlags(xl.OldFlag)
	} else {
		o.setFlags(xl.NewFlag)
	}
	return nil
}

// hashSqueezePage is hash_xlog_squeeze_page: block 1 gets the tuples of the overflow
// page that is freed, 2; 3 and 4 are the pages before and after that one, 5 is its
// bitmap page, 6 the metapage.
func hashSqueezePage(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	xl, err := xlog.ParseHashSqueezePage(rec)
	if err != nil {
		return err
	}
	switch blk.ID {
	case 1:
		return hashSqueezeInto(page, blk, xl)
	case 2:
		hashInitPage(page, pg.InvalidBlockNumber, noBucket, lhUnusedPage)
		return nil
	case 3, 4:
		return hashUnlinkOverflow(page, blk.ID == 3, xl)
	case 5:
		at, mask, err := hashBitmapBit(page, blk)
		if err == nil {
			page[at] &^= mask
		}
		return err
	default:
		return hashSetFirstFree(page, blk)
	}
}

func hashSqueezeInto(page pg.Page, blk *xlog.BlockRef, xl xlog.HashSqueezePage) error {
	if err := hashAddTuples(page, blk.Data, xl.NTuples); err != nil || !xl.PrevIsWrite {
		return err
	}
	return hashUnlinkOverflow(page, true, xl)
}

func hashUnlinkOverflow(page pg.Page, isPrev bool, xl xlog.HashSqueezePage) error {
	o, err := hashPageOpaque(page)
	if err != nil {
		return err
	}
	if isPrev {
		o.setNext(xl.Next)
	} else {
		o.setPrev(xl.Prev)
	}
	return nil
}
