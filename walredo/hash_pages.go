package walredo

import (
	"encoding/binary"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// parseBitmapSize reads bmsize, with which xl_hash_init_bitmap_page and
// xl_hash_add_ovfl_page begin: the bytes of a bitmap.
func parseBitmapSize(b []byte) (int, error) {
	if len(b) < 2 {
		return 0, corrupt("bitmap size is %d bytes", len(b))
	}
	size := int(binary.LittleEndian.Uint16(b))
	if size > hashBitmapSize {
		return 0, corrupt("bitmap of %d bytes", size)
	}
	return size, nil
}

// hashInitBitmap is _hash_initbitmapbuffer: a bitmap page, all of it in use.
func hashInitBitmap(page pg.Page, size int) {
	hashInitPage(page, pg.InvalidBlockNumber, noBucket, lhBitmapPage)
	bitmap := page[pg.PageHeaderSize : pg.PageHeaderSize+size]
	for i := range bitmap {
		bitmap[i] = 0xFF
	}
	page.SetLower(uint16(pg.PageHeaderSize + size))
}

// hashInitBitmapPage is hash_xlog_init_bitmap_page: block 0 is the first bitmap, block
// 1 the metapage. The bitmap is behind the buckets that the index begins with.
func hashInitBitmapPage(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	size, err := parseBitmapSize(rec.MainData)
	if err != nil {
		return err
	}
	if blk.ID == 0 {
		hashInitBitmap(page, size)
		return nil
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

// xlHashAddOverflowPage is xl_hash_add_ovfl_page.
type xlHashAddOverflowPage struct {
	bitmapSize  int
	bitmapFound bool // bmpage_found: the page is one that was freed before
}

const sizeofXLHashAddOverflowPage = 3

func parseXLHashAddOverflowPage(b []byte) (xlHashAddOverflowPage, error) {
	if len(b) < sizeofXLHashAddOverflowPage {
		return xlHashAddOverflowPage{}, corrupt("xl_hash_add_ovfl_page is %d bytes, want %d", len(b), sizeofXLHashAddOverflowPage)
	}
	size, err := parseBitmapSize(b)
	return xlHashAddOverflowPage{bitmapSize: size, bitmapFound: b[2] != 0}, err
}

// hashAddOverflowPage is hash_xlog_add_ovfl_page: block 0 is the new page, 1 the one
// before it in the bucket's chain, 2 the bitmap page that it had a free bit in, 3 a
// new bitmap page, 4 the metapage.
func hashAddOverflowPage(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	xl, err := parseXLHashAddOverflowPage(rec.MainData)
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
		hashInitBitmap(page, xl.bitmapSize)
		return nil
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

func hashAddOverflowMeta(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef, xl xlHashAddOverflowPage) error {
	if err := hashSetFirstFree(page, blk); err != nil || xl.bitmapFound {
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

// xlHashSplitAllocatePage is xl_hash_split_allocate_page.
type xlHashSplitAllocatePage struct {
	newBucket        uint32
	oldFlag, newFlag uint16
	updateMasks      bool // XLH_SPLIT_META_UPDATE_MASKS: block 2 has low and high mask
	updateSplitpoint bool // XLH_SPLIT_META_UPDATE_SPLITPOINT: and the splitpoint and its spares
}

const sizeofXLHashSplitAllocatePage = 9

func parseXLHashSplitAllocatePage(b []byte) (xlHashSplitAllocatePage, error) {
	if len(b) < sizeofXLHashSplitAllocatePage {
		return xlHashSplitAllocatePage{}, corrupt("xl_hash_split_allocate_page is %d bytes, want %d",
			len(b), sizeofXLHashSplitAllocatePage)
	}
	return xlHashSplitAllocatePage{
		newBucket:        binary.LittleEndian.Uint32(b),
		oldFlag:          binary.LittleEndian.Uint16(b[4:]),
		newFlag:          binary.LittleEndian.Uint16(b[6:]),
		updateMasks:      b[8]&1 != 0,
		updateSplitpoint: b[8]&2 != 0,
	}, nil
}

// hashSplitAllocatePage is hash_xlog_split_allocate_page: block 0 is the first page of
// the bucket that is split, also if it came as an image, 1 that of the new bucket, 2
// the metapage.
func hashSplitAllocatePage(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	xl, err := parseXLHashSplitAllocatePage(rec.MainData)
	if err != nil {
		return err
	}
	switch blk.ID {
	case 0:
		o, err := hashPageOpaque(page)
		if err != nil {
			return err
		}
		o.setFlags(xl.oldFlag)
		o.setPrev(pg.BlockNumber(xl.newBucket)) // the largest bucket of now
		return nil
	case 1:
		hashInitPage(page, pg.BlockNumber(xl.newBucket), xl.newBucket, xl.newFlag)
		return nil
	default:
		return hashSplitMeta(page, blk.Data, xl)
	}
}

func hashSplitMeta(page pg.Page, data []byte, xl xlHashSplitAllocatePage) error {
	m, err := hashPageMeta(page)
	if err != nil {
		return err
	}
	m.set(hashMetaMaxBucket, xl.newBucket)
	if xl.updateMasks {
		masks, err := uint32s(data, 2)
		if err != nil {
			return err
		}
		m.set(hashMetaLowMask, masks[0])
		m.set(hashMetaHighMask, masks[1])
		data = data[8:]
	}
	if xl.updateSplitpoint {
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

// xlHashSplitComplete is xl_hash_split_complete.
type xlHashSplitComplete struct {
	oldFlag, newFlag uint16
}

const sizeofXLHashSplitComplete = 4

func parseXLHashSplitComplete(b []byte) (xlHashSplitComplete, error) {
	if len(b) < sizeofXLHashSplitComplete {
		return xlHashSplitComplete{}, corrupt("xl_hash_split_complete is %d bytes, want %d", len(b), sizeofXLHashSplitComplete)
	}
	return xlHashSplitComplete{
		oldFlag: binary.LittleEndian.Uint16(b),
		newFlag: binary.LittleEndian.Uint16(b[2:]),
	}, nil
}

// hashSplitComplete is hash_xlog_split_complete: blocks 0 and 1 are the first pages of
// the old and the new bucket, also if they came as images.
func hashSplitComplete(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	xl, err := parseXLHashSplitComplete(rec.MainData)
	if err != nil {
		return err
	}
	o, err := hashPageOpaque(page)
	if err != nil {
		return err
	}
	if blk.ID == 0 {
		o.setFlags(xl.oldFlag)
	} else {
		o.setFlags(xl.newFlag)
	}
	return nil
}

// xlHashSqueezePage is xl_hash_squeeze_page.
type xlHashSqueezePage struct {
	prev, next  pg.BlockNumber // the freed page's neighbours
	nTuples     int
	prevIsWrite bool // is_prev_bucket_same_wrt: the page before the freed one is block 1
}

const sizeofXLHashSqueezePage = 12

func parseXLHashSqueezePage(b []byte) (xlHashSqueezePage, error) {
	if len(b) < sizeofXLHashSqueezePage {
		return xlHashSqueezePage{}, corrupt("xl_hash_squeeze_page is %d bytes, want %d", len(b), sizeofXLHashSqueezePage)
	}
	return xlHashSqueezePage{
		prev:        pg.BlockNumber(binary.LittleEndian.Uint32(b)),
		next:        pg.BlockNumber(binary.LittleEndian.Uint32(b[4:])),
		nTuples:     int(binary.LittleEndian.Uint16(b[8:])),
		prevIsWrite: b[11] != 0,
	}, nil
}

// hashSqueezePage is hash_xlog_squeeze_page: block 1 gets the tuples of the overflow
// page that is freed, 2; 3 and 4 are the pages before and after that one, 5 is its
// bitmap page, 6 the metapage.
func hashSqueezePage(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	xl, err := parseXLHashSqueezePage(rec.MainData)
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

func hashSqueezeInto(page pg.Page, blk *xlog.BlockRef, xl xlHashSqueezePage) error {
	if err := hashAddTuples(page, blk.Data, xl.nTuples); err != nil || !xl.prevIsWrite {
		return err
	}
	return hashUnlinkOverflow(page, true, xl)
}

func hashUnlinkOverflow(page pg.Page, isPrev bool, xl xlHashSqueezePage) error {
	o, err := hashPageOpaque(page)
	if err != nil {
		return err
	}
	if isPrev {
		o.setNext(xl.next)
	} else {
		o.setPrev(xl.prev)
	}
	return nil
}
