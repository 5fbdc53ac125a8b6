package walredo

import (
	"encoding/binary"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// ginRmgr is Gin, in access/gin/ginxlog.c. A GIN index is a btree of keys (entry
// tree), for each frequent key a btree of heap TIDs (posting tree, whose pages are
// data pages, see gin_data.go), and a list of pages with entries not yet sorted in.
var ginRmgr = rmgr{
	name: "Gin",
	ops: ops{
		0x1: {name: "CREATE_PTREE", redo: ginCreatePTree},
		0x2: {name: "INSERT", redo: ginInsert},
		0x3: {name: "SPLIT", redo: ginSplit},
		0x4: {name: "VACUUM_PAGE", redo: ginNeedsImage},
		0x5: {name: "DELETE_PAGE", redo: ginDeletePage},
		0x6: {name: "UPDATE_META_PAGE", redo: ginUpdateMetapage},
		0x7: {name: "INSERT_LISTPAGE", redo: ginInsertListPage},
		0x8: {name: "DELETE_LISTPAGE", redo: ginDeleteListPages},
		0x9: {name: "VACUUM_DATA_LEAF_PAGE", redo: ginVacuumDataLeafPage},
	},
	mask: ginMask,
}

// Flags of GinPageOpaqueData (access/ginblock.h).
const (
	ginData            = 1 << 0
	ginLeaf            = 1 << 1
	ginDeleted         = 1 << 2
	ginMeta            = 1 << 3
	ginList            = 1 << 4
	ginListFullRow     = 1 << 5
	ginIncompleteSplit = 1 << 6
	ginCompressed      = 1 << 7
)

const (
	ginOpaqueSize = 8
	ginOpaqueAt   = pg.BlockSize - ginOpaqueSize
	ginMetaLower  = pg.PageHeaderSize + xlog.GinMetaPageSize
)

// ginPageOpaque is GinPageOpaqueData, in place in the special area of a page.
type ginPageOpaque []byte

// ginOpaque finds the special area of an existing page.
func ginOpaque(page pg.Page) (ginPageOpaque, error) {
	if page.Special() != ginOpaqueAt {
		return nil, corrupt("special area of a gin page at %d, want %d", page.Special(), ginOpaqueAt)
	}
	return ginPageOpaque(page[ginOpaqueAt:pg.BlockSize]), nil
}

// ginInitPage is GinInitPage.
func ginInitPage(page pg.Page, flags uint16) ginPageOpaque {
	page.Init(ginOpaqueSize)
	o := ginPageOpaque(page[ginOpaqueAt:pg.BlockSize])
	o.setFlags(flags)
	o.setRightLink(pg.InvalidBlockNumber)
	return o
}

func (o ginPageOpaque) maxoff() int   { return int(binary.LittleEndian.Uint16(o[4:])) }
func (o ginPageOpaque) flags() uint16 { return binary.LittleEndian.Uint16(o[6:]) }

func (o ginPageOpaque) setRightLink(b pg.BlockNumber) {
	binary.LittleEndian.PutUint32(o, uint32(b))
}
func (o ginPageOpaque) setMaxoff(n int)    { binary.LittleEndian.PutUint16(o[4:], uint16(n)) }
func (o ginPageOpaque) setFlags(f uint16)  { binary.LittleEndian.PutUint16(o[6:], f) }
func (o ginPageOpaque) addFlags(f uint16)  { o.setFlags(o.flags() | f) }
func (o ginPageOpaque) dropFlags(f uint16) { o.setFlags(o.flags() &^ f) }

// ginNeedsImage is for the blocks that the primary always logs as a whole: there is
// nothing to redo, and a record without the image is damaged.
func ginNeedsImage(pg.Page, *xlog.Record, *xlog.BlockRef) error {
	return corrupt("record has no full-page image")
}

// ginClearIncompleteSplit is ginRedoClearIncompleteSplit.
func ginClearIncompleteSplit(page pg.Page) error {
	o, err := ginOpaque(page)
	if err != nil {
		return err
	}
	o.dropFlags(ginIncompleteSplit)
	return nil
}

// ginSplit is ginRedoSplit: blocks 0 to 2, the two halves and a new root, come as
// images; block 3 is the child whose split the new item finishes.
func ginSplit(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	if blk.ID != 3 {
		return ginNeedsImage(page, rec, blk)
	}
	return ginClearIncompleteSplit(page)
}

// putBlockID stores a BlockIdData.
func putBlockID(b []byte, blkno pg.BlockNumber) {
	binary.LittleEndian.PutUint16(b, uint16(blkno>>16))
	binary.LittleEndian.PutUint16(b[2:], uint16(blkno))
}

// ginInsert is ginRedoInsert: block 0 gets the item, block 1 is the child whose
// split it finishes.
func ginInsert(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	xl, err := xlog.ParseGinInsert(rec)
	if err != nil {
		return err
	}
	switch {
	case blk.ID == 1:
		return ginClearIncompleteSplit(page)
	case !xl.IsData():
		return ginInsertEntry(page, xl.RightChild, blk.Data)
	case xl.IsLeaf():
		return ginRecompress(page, blk.Data)
	default:
		return ginInsertPostingItem(page, xl.RightChild, blk.Data)
	}
}

// ginInsertEntry is ginRedoInsertEntry.
func ginInsertEntry(page pg.Page, rightChild pg.BlockNumber, data []byte) error {
	x, err := xlog.ParseGinInsertEntry(data)
	if err != nil {
		return err
	}
	size, err := indexTupleSize(x.Tuple)
	if err != nil {
		return err
	}
	if rightChild != pg.InvalidBlockNumber {
		// The item that was there leads to the right half from now on.
		item, err := page.Item(x.Off)
		if err != nil {
			return err
		}
		if len(item) < pg.ItemPointerSize {
			return corrupt("entry %d is %d bytes", x.Off, len(item))
		}
		pg.ItemPointer{Block: rightChild}.Put(item)
	}
	if x.IsDelete {
		if err := page.IndexTupleDelete(x.Off); err != nil {
			return err
		}
	}
	return addItem(page, x.Tuple[:size], x.Off)
}

// ginUpdateMetapage is ginRedoUpdateMetapage: block 0 is the metapage, block 1 the
// list's old tail, which gets either more tuples or a link to a sublist.
func ginUpdateMetapage(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	xl, err := xlog.ParseGinUpdateMeta(rec)
	if err != nil {
		return err
	}
	if blk.ID == 0 {
		ginRestoreMeta(page, xl.Metadata)
		return nil
	}
	o, err := ginOpaque(page)
	if err != nil {
		return err
	}
	switch {
	case xl.NTuples > 0:
		if err := addIndexTuples(page, blk.Data, xl.NTuples, page.MaxOffset()+1); err != nil {
			return err
		}
		o.setMaxoff(o.maxoff() + 1)
	case xl.PrevTail != pg.InvalidBlockNumber:
		o.setRightLink(xl.NewRightLink)
	default:
		return corrupt("ginxlogUpdateMeta does not change the list")
	}
	return nil
}

// ginRestoreMeta is GinInitMetabuffer, and the metadata of the record.
func ginRestoreMeta(page pg.Page, metadata []byte) {
	ginInitPage(page, ginMeta)
	copy(page[pg.PageHeaderSize:], metadata)
	page.SetLower(ginMetaLower)
}

// addIndexTuples appends the n index tuples that lie in b one after the other, the
// first as item off.
func addIndexTuples(page pg.Page, b []byte, n int, off pg.OffsetNumber) error {
	for ; n > 0; n-- {
		size, err := indexTupleSize(b)
		if err != nil {
			return err
		}
		if err := addItem(page, b[:size], off); err != nil {
			return err
		}
		b = b[size:]
		off++
	}
	return nil
}

// ginInsertListPage is ginRedoInsertListPage: a page of the pending list is made.
func ginInsertListPage(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	x, err := xlog.ParseGinInsertListPage(rec)
	if err != nil {
		return err
	}
	o := ginInitPage(page, ginList)
	o.setRightLink(x.RightLink)
	if x.RightLink == pg.InvalidBlockNumber {
		// The sublist's tail ends with a whole heap tuple's entries.
		o.addFlags(ginListFullRow)
		o.setMaxoff(1)
	}
	return addIndexTuples(page, blk.Data, x.NTuples, pg.FirstOffsetNumber)
}

// ginDeleteListPages is ginRedoDeleteListPages: block 0 is the metapage, the others
// are the list's pages that go.
func ginDeleteListPages(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	x, err := xlog.ParseGinDeleteListPages(rec)
	if err != nil {
		return err
	}
	if blk.ID == 0 {
		ginRestoreMeta(page, x.Metadata)
	} else {
		ginInitPage(page, ginDeleted)
	}
	return nil
}

// ginMask is gin_mask.
func ginMask(page pg.Page, _ pg.BlockNumber) {
	maskLSN(page)
	maskHints(page)
	o, err := ginOpaque(page)
	switch {
	case err == nil && o.flags()&ginDeleted != 0:
		maskContent(page) // what a deleted page held does not matter
	case page.Lower() > pg.PageHeaderSize:
		maskUnused(page)
	}
}
