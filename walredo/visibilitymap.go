package walredo

import (
	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// The visibility map has two bits for each heap block, from the page header's end on
// (access/heap/visibilitymap.c).
const (
	vmAllVisible = 0x01
	vmAllFrozen  = 0x02
	vmValidBits  = vmAllVisible | vmAllFrozen

	vmBlocksPerByte = 4
	vmBlocksPerPage = (pg.BlockSize - pg.PageHeaderSize) * vmBlocksPerByte // HEAPBLOCKS_PER_PAGE
)

// vmTag is the page of the relation's visibility map that has heap's bits.
func vmTag(rel pg.RelFileLocator, heap pg.BlockNumber) pg.BufferTag {
	vm := pg.RelFork{RelFileLocator: rel, Fork: pg.VisibilityMapFork}
	return vm.Tag(heap / vmBlocksPerPage)
}

// vmPos is where heap's bits are on its page.
func vmPos(heap pg.BlockNumber) (at int, shift uint) {
	in := heap % vmBlocksPerPage
	return pg.PageHeaderSize + int(in/vmBlocksPerByte), uint(in%vmBlocksPerByte) * 2
}

// vmClear is visibilitymap_clear: it reports whether one of the bits was set. It leaves
// pd_lsn alone.
func vmClear(page pg.Page, heap pg.BlockNumber, bits uint8) (cleared bool) {
	at, shift := vmPos(heap)
	cleared = page[at]>>shift&bits != 0
	page[at] &^= bits << shift
	return cleared
}

// vmSet is visibilitymap_set: it moves pd_lsn only if the bits change.
func vmSet(page pg.Page, heap pg.BlockNumber, bits uint8, lsn pg.LSN) {
	at, shift := vmPos(heap)
	if page[at]>>shift&vmValidBits != bits {
		page[at] |= bits << shift
		page.SetLSN(lsn)
	}
}

// vmInit makes a page that was never written an empty one, as vm_readbuf does.
func vmInit(page pg.Page) error {
	if page.IsNew() {
		page.Init(0)
		return nil
	}
	return checkPage(page, false)
}

// vmClears is what a heap record clears in the visibility map of its relation,
// whether or not the heap page itself comes from an image: the bits of up to two
// heap blocks.
type vmClears struct {
	heap [2]*xlog.BlockRef
	n    int
	bits uint8
}

// add appends the block with that id if the record's flags have flag.
func (c *vmClears) add(rec *xlog.Record, id uint8, set bool) error {
	if !set {
		return nil
	}
	blk := rec.Block(id)
	if blk == nil {
		return corrupt("visibility map bits of block %d, which is not registered", id)
	}
	c.heap[c.n] = blk
	c.n++
	return nil
}

// vmFunc tells what a record clears.
type vmFunc func(rec *xlog.Record) (vmClears, error)

// clearsVM adds to an op the visibility map bits that its records clear. The servers up to
// 17.10 and 18.4 do not register the map's page, those after them do if one of the bits
// was set; both forms occur in one history, and no page magic tells them apart.
func clearsVM(f vmFunc, o op) op {
	o.vm = f
	o.touches = f.touches
	o.effect = f.effect
	return o
}

// touches lists the pages of the map that the record does not register.
func (f vmFunc) touches(rec *xlog.Record, fn func(tag pg.BufferTag)) error {
	c, err := f(rec)
	if err != nil {
		return err
	}
	var first pg.BufferTag
	for i := range c.n {
		tag := vmTag(c.heap[i].Tag.RelFileLocator, c.heap[i].Tag.Block)
		if (i == 0 || tag != first) && !registers(rec, tag) {
			fn(tag)
		}
		first = tag
	}
	return nil
}

func registers(rec *xlog.Record, tag pg.BufferTag) bool {
	for i := range rec.Blocks {
		if rec.Blocks[i].Tag == tag {
			return true
		}
	}
	return false
}

// effect clears the bits on a page that the record does not register. It leaves pd_lsn
// alone, as replay does.
func (f vmFunc) effect(page pg.Page, tag pg.BufferTag, rec *xlog.Record) error {
	_, err := f.clear(page, tag, rec)
	return err
}

// redoBlock is heap_xlog_vm_clear: it clears the bits on a page that the record registers.
// pd_lsn moves only if one of them was set.
func (f vmFunc) redoBlock(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	cleared, err := f.clear(page, blk.Tag, rec)
	if cleared {
		page.SetLSN(rec.EndLSN)
	}
	return err
}

// clear clears those of the bits that are on the page, and reports whether one was set.
func (f vmFunc) clear(page pg.Page, tag pg.BufferTag, rec *xlog.Record) (cleared bool, err error) {
	c, err := f(rec)
	if err != nil {
		return false, err
	}
	done := false
	for i := range c.n {
		heap := c.heap[i].Tag
		if vmTag(heap.RelFileLocator, heap.Block) != tag {
			continue
		}
		if !done {
			if err := vmInit(page); err != nil {
				return false, err
			}
		}
		done = true
		cleared = vmClear(page, heap.Block, c.bits) || cleared
	}
	if !done {
		return false, errUntouched
	}
	return cleared, nil
}

// vmTruncate is visibilitymap_prepare_truncate: of the last page that is kept, the
// bits of heap blocks from nblocks on go.
func vmTruncate(page pg.Page, nblocks pg.BlockNumber) {
	at, shift := vmPos(nblocks)
	clear(page[at+1:])
	page[at] &= 1<<shift - 1
}
