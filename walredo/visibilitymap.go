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

// vmClear is visibilitymap_clear. It leaves pd_lsn alone.
func vmClear(page pg.Page, heap pg.BlockNumber, bits uint8) {
	at, shift := vmPos(heap)
	page[at] &^= bits << shift
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

// clearsVM adds to an op the visibility map bits that its records clear.
func clearsVM(f vmFunc, o op) op {
	o.touches = f.touches
	o.effect = f.effect
	return o
}

func (f vmFunc) touches(rec *xlog.Record, fn func(tag pg.BufferTag)) error {
	c, err := f(rec)
	if err != nil {
		return err
	}
	var first pg.BufferTag
	for i := range c.n {
		tag := vmTag(c.heap[i].Tag.RelFileLocator, c.heap[i].Tag.Block)
		if i == 0 || tag != first {
			fn(tag)
		}
		first = tag
	}
	return nil
}

func (f vmFunc) effect(page pg.Page, tag pg.BufferTag, rec *xlog.Record) error {
	c, err := f(rec)
	if err != nil {
		return err
	}
	done := false
	for i := range c.n {
		heap := c.heap[i].Tag
		if vmTag(heap.RelFileLocator, heap.Block) != tag {
			continue
		}
		if !done {
			if err := vmInit(page); err != nil {
				return err
			}
		}
		vmClear(page, heap.Block, c.bits)
		done = true
	}
	if !done {
		return errUntouched
	}
	return nil
}

// vmTruncate is visibilitymap_prepare_truncate: of the last page that is kept, the
// bits of heap blocks from nblocks on go.
func vmTruncate(page pg.Page, nblocks pg.BlockNumber) {
	at, shift := vmPos(nblocks)
	clear(page[at+1:])
	page[at] &= 1<<shift - 1
}
