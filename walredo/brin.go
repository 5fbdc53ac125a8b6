package walredo

import (
	"encoding/binary"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// brinRmgr is BRIN, in access/brin/brin_xlog.c.
var brinRmgr = rmgr{
	name: "BRIN",
	ops: ops{
		0x0: {name: "CREATE_INDEX", redo: brinCreateIndex},
		0x1: {name: "INSERT", initName: "INSERT+INIT", redo: brinInsert},
		0x2: {name: "UPDATE", initName: "UPDATE+INIT", redo: brinUpdate},
		0x3: {name: "SAMEPAGE_UPDATE", redo: brinSamePageUpdate},
		0x4: {name: "REVMAP_EXTEND", redo: brinRevmapExtend},
		0x5: {name: "DESUMMARIZE", redo: brinDesummarize},
	},
	mask: brinMask,
}

// Constants of access/brin_page.h. A page's special area is four uint16, of which the
// last says what page it is and the one before holds flags.
const (
	brinMetaMagic = 0xA8109CFA

	brinPageMeta    = 0xF091
	brinPageRevmap  = 0xF092
	brinPageRegular = 0xF093

	brinEvacuatePage = 1 << 0

	brinSpecialSize = 8
	brinFlagsAt     = pg.BlockSize - 4
	brinTypeAt      = pg.BlockSize - 2

	brinMetaSize  = 16
	brinMetaLower = pg.PageHeaderSize + brinMetaSize
	brinMetaLast  = pg.PageHeaderSize + 12 // lastRevmapPage

	// REVMAP_PAGE_MAXITEMS: item pointers on a page of the range map.
	brinRevmapItems = (pg.BlockSize - pg.PageHeaderSize - brinSpecialSize) / pg.ItemPointerSize
)

// brinInitPage is brin_page_init.
func brinInitPage(page pg.Page, pageType uint16) {
	page.Init(brinSpecialSize)
	binary.LittleEndian.PutUint16(page[brinTypeAt:], pageType)
}

// brinCheckPage tests that an existing page is one of a BRIN index, of that type.
func brinCheckPage(page pg.Page, pageType uint16) error {
	if got := binary.LittleEndian.Uint16(page[brinTypeAt:]); page.SpecialSize() != brinSpecialSize || got != pageType {
		return corrupt("brin page of type %#x with a special area of %d bytes, want type %#x", got, page.SpecialSize(), pageType)
	}
	return nil
}

// brinCreateIndex is brin_xlog_createidx, with brin_metapage_init.
func brinCreateIndex(page pg.Page, rec *xlog.Record, _ *xlog.BlockRef) error {
	xl, err := xlog.ParseBrinCreateIndex(rec)
	if err != nil {
		return err
	}
	brinInitPage(page, brinPageMeta)
	md := page[pg.PageHeaderSize:brinMetaLower]
	binary.LittleEndian.PutUint32(md, brinMetaMagic)
	binary.LittleEndian.PutUint32(md[4:], uint32(xl.Version))
	binary.LittleEndian.PutUint32(md[8:], xl.PagesPerRange)
	page.SetLower(brinMetaLower)
	return nil
}

// brinInsert is brin_xlog_insert.
func brinInsert(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	xl, err := xlog.ParseBrinInsert(rec)
	if err != nil {
		return err
	}
	return brinInsertUpdate(page, rec, blk, xl)
}

// brinInsertUpdate is brin_xlog_insert_update: block 0 gets the tuple, block 1 is the
// page of the range map that leads to it.
func brinInsertUpdate(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef, xl xlog.BrinInsert) error {
	if blk.ID != 0 {
		data, err := blockNumber(rec, 0)
		if err != nil {
			return err
		}
		return brinSetRevmap(page, xl.PagesPerRange, xl.HeapBlock, pg.ItemPointer{Block: data, Offset: xl.Off})
	}
	if rec.InitPage() {
		brinInitPage(page, brinPageRegular)
	}
	if xl.Off == 0 {
		return corrupt("item number is 0")
	}
	_, err := page.AddItem(blk.Data, xl.Off, pg.AddOverwrite)
	return err
}

// brinSetRevmap is brinSetHeapBlockItemptr: the page of the range map now has tid for
// the range of table blocks that heapBlk is in.
func brinSetRevmap(page pg.Page, pagesPerRange uint32, heapBlk pg.BlockNumber, tid pg.ItemPointer) error {
	if err := brinCheckPage(page, brinPageRevmap); err != nil {
		return err
	}
	if pagesPerRange == 0 {
		return corrupt("range of 0 pages")
	}
	i := int(uint32(heapBlk) / pagesPerRange % brinRevmapItems)
	tid.Put(page[pg.PageHeaderSize+i*pg.ItemPointerSize:])
	return nil
}

// brinUpdate is brin_xlog_update: an insertion, and block 2 loses the old tuple.
func brinUpdate(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	xl, err := xlog.ParseBrinUpdate(rec)
	if err != nil {
		return err
	}
	if blk.ID == 2 {
		return page.IndexTupleDeleteNoCompact(xl.OldOff)
	}
	return brinInsertUpdate(page, rec, blk, xl.Insert)
}

// brinSamePageUpdate is brin_xlog_samepage_update.
func brinSamePageUpdate(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	off, err := xlog.ParseBrinSamePageUpdate(rec)
	if err != nil {
		return err
	}
	return page.IndexTupleOverwrite(off, blk.Data)
}

// brinRevmapExtend is brin_xlog_revmap_extend: block 0 is the metapage, block 1 the
// new last page of the range map.
func brinRevmapExtend(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	if blk.ID != 0 {
		brinInitPage(page, brinPageRevmap)
		return nil
	}
	target, err := blockNumber(rec, 1) // xl_brin_revmap_extend says the same
	if err != nil {
		return err
	}
	if err := brinCheckPage(page, brinPageMeta); err != nil {
		return err
	}
	binary.LittleEndian.PutUint32(page[brinMetaLast:], uint32(target))
	page.SetLower(brinMetaLower) // before PostgreSQL 11 it was not set
	return nil
}

// brinDesummarize is brin_xlog_desummarize_page: block 0 is the page of the range
// map, block 1 that of the tuple.
func brinDesummarize(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	xl, err := xlog.ParseBrinDesummarize(rec)
	if err != nil {
		return err
	}
	if blk.ID != 0 {
		return page.IndexTupleDeleteNoCompact(xl.Off)
	}
	return brinSetRevmap(page, xl.PagesPerRange, xl.HeapBlock, pg.ItemPointer{Block: pg.InvalidBlockNumber})
}

// brinMask is brin_mask.
func brinMask(page pg.Page, _ pg.BlockNumber) {
	maskLSN(page)
	maskHints(page)
	pageType := binary.LittleEndian.Uint16(page[brinTypeAt:])
	if pageType == brinPageRegular || pageType == brinPageMeta && page.Lower() > pg.PageHeaderSize {
		maskUnused(page)
	}
	flags := binary.LittleEndian.Uint16(page[brinFlagsAt:])
	binary.LittleEndian.PutUint16(page[brinFlagsAt:], flags&^brinEvacuatePage)
}
