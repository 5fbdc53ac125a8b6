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

// xlBrinCreateIndex is xl_brin_createidx.
type xlBrinCreateIndex struct {
	pagesPerRange uint32
	version       uint16
}

const sizeofXLBrinCreateIndex = 6

func parseXLBrinCreateIndex(b []byte) (xlBrinCreateIndex, error) {
	if len(b) < sizeofXLBrinCreateIndex {
		return xlBrinCreateIndex{}, corrupt("xl_brin_createidx is %d bytes, want %d", len(b), sizeofXLBrinCreateIndex)
	}
	return xlBrinCreateIndex{
		pagesPerRange: binary.LittleEndian.Uint32(b),
		version:       binary.LittleEndian.Uint16(b[4:]),
	}, nil
}

// brinCreateIndex is brin_xlog_createidx, with brin_metapage_init.
func brinCreateIndex(page pg.Page, rec *xlog.Record, _ *xlog.BlockRef) error {
	xl, err := parseXLBrinCreateIndex(rec.MainData)
	if err != nil {
		return err
	}
	brinInitPage(page, brinPageMeta)
	md := page[pg.PageHeaderSize:brinMetaLower]
	binary.LittleEndian.PutUint32(md, brinMetaMagic)
	binary.LittleEndian.PutUint32(md[4:], uint32(xl.version))
	binary.LittleEndian.PutUint32(md[8:], xl.pagesPerRange)
	page.SetLower(brinMetaLower)
	return nil
}

// xlBrinInsert is xl_brin_insert.
type xlBrinInsert struct {
	heapBlk       pg.BlockNumber
	pagesPerRange uint32
	offnum        pg.OffsetNumber
}

const sizeofXLBrinInsert = 10

func parseXLBrinInsert(b []byte) (xlBrinInsert, error) {
	if len(b) < sizeofXLBrinInsert {
		return xlBrinInsert{}, corrupt("xl_brin_insert is %d bytes, want %d", len(b), sizeofXLBrinInsert)
	}
	return xlBrinInsert{
		heapBlk:       pg.BlockNumber(binary.LittleEndian.Uint32(b)),
		pagesPerRange: binary.LittleEndian.Uint32(b[4:]),
		offnum:        pg.OffsetNumber(binary.LittleEndian.Uint16(b[8:])),
	}, nil
}

// brinInsert is brin_xlog_insert.
func brinInsert(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	xl, err := parseXLBrinInsert(rec.MainData)
	if err != nil {
		return err
	}
	return brinInsertUpdate(page, rec, blk, xl)
}

// brinInsertUpdate is brin_xlog_insert_update: block 0 gets the tuple, block 1 is the
// page of the range map that leads to it.
func brinInsertUpdate(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef, xl xlBrinInsert) error {
	if blk.ID != 0 {
		data, err := blockNumber(rec, 0)
		if err != nil {
			return err
		}
		return brinSetRevmap(page, xl.pagesPerRange, xl.heapBlk, pg.ItemPointer{Block: data, Offset: xl.offnum})
	}
	if rec.InitPage() {
		brinInitPage(page, brinPageRegular)
	}
	if xl.offnum == 0 {
		return corrupt("item number is 0")
	}
	_, err := page.AddItem(blk.Data, xl.offnum, pg.AddOverwrite)
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

// xlBrinUpdate is xl_brin_update.
type xlBrinUpdate struct {
	oldOffnum pg.OffsetNumber
	insert    xlBrinInsert
}

const sizeofXLBrinUpdate = 4 + sizeofXLBrinInsert

func parseXLBrinUpdate(b []byte) (xlBrinUpdate, error) {
	if len(b) < sizeofXLBrinUpdate {
		return xlBrinUpdate{}, corrupt("xl_brin_update is %d bytes, want %d", len(b), sizeofXLBrinUpdate)
	}
	insert, err := parseXLBrinInsert(b[4:])
	return xlBrinUpdate{oldOffnum: pg.OffsetNumber(binary.LittleEndian.Uint16(b)), insert: insert}, err
}

// brinUpdate is brin_xlog_update: an insertion, and block 2 loses the old tuple.
func brinUpdate(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	xl, err := parseXLBrinUpdate(rec.MainData)
	if err != nil {
		return err
	}
	if blk.ID == 2 {
		return page.IndexTupleDeleteNoCompact(xl.oldOffnum)
	}
	return brinInsertUpdate(page, rec, blk, xl.insert)
}

// xlBrinSamePageUpdate is xl_brin_samepage_update.
type xlBrinSamePageUpdate struct {
	offnum pg.OffsetNumber
}

const sizeofXLBrinSamePageUpdate = 2

func parseXLBrinSamePageUpdate(b []byte) (xlBrinSamePageUpdate, error) {
	if len(b) < sizeofXLBrinSamePageUpdate {
		return xlBrinSamePageUpdate{}, corrupt("xl_brin_samepage_update is %d bytes, want %d", len(b), sizeofXLBrinSamePageUpdate)
	}
	return xlBrinSamePageUpdate{offnum: pg.OffsetNumber(binary.LittleEndian.Uint16(b))}, nil
}

// brinSamePageUpdate is brin_xlog_samepage_update.
func brinSamePageUpdate(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	xl, err := parseXLBrinSamePageUpdate(rec.MainData)
	if err != nil {
		return err
	}
	return page.IndexTupleOverwrite(xl.offnum, blk.Data)
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

// xlBrinDesummarize is xl_brin_desummarize.
type xlBrinDesummarize struct {
	pagesPerRange uint32
	heapBlk       pg.BlockNumber
	offnum        pg.OffsetNumber // regOffset
}

const sizeofXLBrinDesummarize = 10

func parseXLBrinDesummarize(b []byte) (xlBrinDesummarize, error) {
	if len(b) < sizeofXLBrinDesummarize {
		return xlBrinDesummarize{}, corrupt("xl_brin_desummarize is %d bytes, want %d", len(b), sizeofXLBrinDesummarize)
	}
	return xlBrinDesummarize{
		pagesPerRange: binary.LittleEndian.Uint32(b),
		heapBlk:       pg.BlockNumber(binary.LittleEndian.Uint32(b[4:])),
		offnum:        pg.OffsetNumber(binary.LittleEndian.Uint16(b[8:])),
	}, nil
}

// brinDesummarize is brin_xlog_desummarize_page: block 0 is the page of the range
// map, block 1 that of the tuple.
func brinDesummarize(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	xl, err := parseXLBrinDesummarize(rec.MainData)
	if err != nil {
		return err
	}
	if blk.ID != 0 {
		return page.IndexTupleDeleteNoCompact(xl.offnum)
	}
	return brinSetRevmap(page, xl.pagesPerRange, xl.heapBlk, pg.ItemPointer{Block: pg.InvalidBlockNumber})
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
