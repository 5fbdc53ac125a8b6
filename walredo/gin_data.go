package walredo

import (
	"encoding/binary"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// A data page of GIN (access/ginblock.h) has no line pointers. Behind the header is
// the page's right bound, an item pointer; then
//
//	inner page  PostingItems: child block (BlockIdData), key (ItemPointerData);
//	            their number is the opaque's maxoff
//	leaf page   posting list segments, see gin_posting.go
//
// pd_lower is their end.
const (
	ginDataAt         = pg.PageHeaderSize + 8 // GinDataPageGetData
	ginDataMaxSize    = ginOpaqueAt - ginDataAt
	ginPostingItem    = 10 // sizeof(PostingItem)
	ginDataMaxPosting = ginDataMaxSize / ginPostingItem
)

// ginCreatePTree is ginRedoCreatePTree.
func ginCreatePTree(page pg.Page, rec *xlog.Record, _ *xlog.BlockRef) error {
	const header = 4
	if len(rec.MainData) < header {
		return corrupt("ginxlogCreatePostingTree is %d bytes, want %d", len(rec.MainData), header)
	}
	size := binary.LittleEndian.Uint32(rec.MainData)
	segments := rec.MainData[header:]
	if uint64(size) > uint64(len(segments)) || size > ginDataMaxSize {
		return corrupt("posting tree of %d bytes in a record with %d", size, len(segments))
	}
	ginInitPage(page, ginData|ginLeaf|ginCompressed)
	copy(page[ginDataAt:], segments[:size])
	page.SetLower(ginDataAt + uint16(size))
	return nil
}

// ginInner finds the special area of an inner data page and checks the number of
// its posting items.
func ginInner(page pg.Page) (ginPageOpaque, error) {
	o, err := ginOpaque(page)
	if err != nil {
		return nil, err
	}
	if o.flags()&(ginData|ginLeaf) != ginData || o.maxoff() > ginDataMaxPosting {
		return nil, corrupt("gin page with flags %#x and %d items is no inner data page", o.flags(), o.maxoff())
	}
	return o, nil
}

// ginPostingItemAt is where GinDataPageGetPostingItem finds the item with that number.
func ginPostingItemAt(off int) int { return ginDataAt + (off-1)*ginPostingItem }

// setPostingItems stores how many posting items an inner page has.
func (o ginPageOpaque) setPostingItems(page pg.Page, n int) {
	o.setMaxoff(n)
	page.SetLower(uint16(ginPostingItemAt(n + 1)))
}

// ginInsertPostingItem is ginRedoInsertData for an inner page and
// GinDataPageAddPostingItem; b is a ginxlogInsertDataInternal. The item that was
// there leads to the right half of the child from now on, the new one to the left.
func ginInsertPostingItem(page pg.Page, rightChild pg.BlockNumber, b []byte) error {
	if len(b) < 2+ginPostingItem {
		return corrupt("ginxlogInsertDataInternal is %d bytes, want %d", len(b), 2+ginPostingItem)
	}
	o, err := ginInner(page)
	if err != nil {
		return err
	}
	off, maxoff := int(binary.LittleEndian.Uint16(b)), o.maxoff()
	if off < 1 || off > maxoff || maxoff == ginDataMaxPosting {
		return corrupt("insert posting item %d on a page with %d", off, maxoff)
	}
	at, end := ginPostingItemAt(off), ginPostingItemAt(maxoff+1)
	putBlockID(page[at:], rightChild)
	copy(page[at+ginPostingItem:], page[at:end])
	copy(page[at:], b[2:2+ginPostingItem])
	o.setPostingItems(page, maxoff+1)
	return nil
}

// ginDeletePostingItem is GinPageDeletePostingItem.
func ginDeletePostingItem(page pg.Page, off int) error {
	o, err := ginInner(page)
	if err != nil {
		return err
	}
	maxoff := o.maxoff()
	if off < 1 || off > maxoff {
		return corrupt("delete posting item %d of a page with %d", off, maxoff)
	}
	copy(page[ginPostingItemAt(off):], page[ginPostingItemAt(off+1):ginPostingItemAt(maxoff+1)])
	o.setPostingItems(page, maxoff-1)
	return nil
}

// xlGinDeletePage is ginxlogDeletePage.
type xlGinDeletePage struct {
	parentOffset int
	rightLink    pg.BlockNumber
	deleteXid    pg.TransactionID
}

func parseXLGinDeletePage(b []byte) (xlGinDeletePage, error) {
	const size = 12
	if len(b) < size {
		return xlGinDeletePage{}, corrupt("ginxlogDeletePage is %d bytes, want %d", len(b), size)
	}
	return xlGinDeletePage{
		parentOffset: int(binary.LittleEndian.Uint16(b)),
		rightLink:    pg.BlockNumber(binary.LittleEndian.Uint32(b[4:])),
		deleteXid:    pg.TransactionID(binary.LittleEndian.Uint32(b[8:])),
	}, nil
}

// ginDeletePage is ginRedoDeletePage: block 0 is the data page that goes, 1 its
// parent, 2 its left sibling.
func ginDeletePage(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	xl, err := parseXLGinDeletePage(rec.MainData)
	if err != nil {
		return err
	}
	if blk.ID == 1 {
		return ginDeletePostingItem(page, xl.parentOffset)
	}
	o, err := ginOpaque(page)
	if err != nil {
		return err
	}
	if blk.ID == 2 {
		o.setRightLink(xl.rightLink)
		return nil
	}
	o.addFlags(ginDeleted)
	page.SetPruneXid(xl.deleteXid) // GinPageSetDeleteXid
	return nil
}

// ginVacuumDataLeafPage is ginRedoVacuumDataLeafPage.
func ginVacuumDataLeafPage(page pg.Page, _ *xlog.Record, blk *xlog.BlockRef) error {
	return ginRecompress(page, blk.Data)
}
