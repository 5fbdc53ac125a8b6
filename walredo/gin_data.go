package walredo

import (
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
	x, err := xlog.ParseGinCreatePostingTree(rec)
	if err != nil {
		return err
	}
	if len(x.PostingLists) > ginDataMaxSize {
		return corrupt("posting tree of %d bytes", len(x.PostingLists))
	}
	ginInitPage(page, ginData|ginLeaf|ginCompressed)
	copy(page[ginDataAt:], x.PostingLists)
	page.SetLower(ginDataAt + uint16(len(x.PostingLists)))
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
// GinDataPageAddPostingItem. The item that was there leads to the right half of the child
// from now on, the new one to the left.
func ginInsertPostingItem(page pg.Page, rightChild pg.BlockNumber, data []byte) error {
	x, err := xlog.ParseGinInsertDataInternal(data)
	if err != nil {
		return err
	}
	o, err := ginInner(page)
	if err != nil {
		return err
	}
	off, maxoff := int(x.Off), o.maxoff()
	if off < 1 || off > maxoff || maxoff == ginDataMaxPosting {
		return corrupt("insert posting item %d on a page with %d", off, maxoff)
	}
	at, end := ginPostingItemAt(off), ginPostingItemAt(maxoff+1)
	putBlockID(page[at:], rightChild)
	copy(page[at+ginPostingItem:], page[at:end])
	putBlockID(page[at:], x.Child)
	x.Key.Put(page[at+4:])
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

// ginDeletePage is ginRedoDeletePage: block 0 is the data page that goes, 1 its
// parent, 2 its left sibling.
func ginDeletePage(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	xl, err := xlog.ParseGinDeletePage(rec)
	if err != nil {
		return err
	}
	if blk.ID == 1 {
		return ginDeletePostingItem(page, int(xl.ParentOff))
	}
	o, err := ginOpaque(page)
	if err != nil {
		return err
	}
	if blk.ID == 2 {
		o.setRightLink(xl.RightLink)
		return nil
	}
	o.addFlags(ginDeleted)
	page.SetPruneXid(xl.DeleteXID) // GinPageSetDeleteXid
	return nil
}

// ginVacuumDataLeafPage is ginRedoVacuumDataLeafPage.
func ginVacuumDataLeafPage(page pg.Page, _ *xlog.Record, blk *xlog.BlockRef) error {
	return ginRecompress(page, blk.Data)
}
