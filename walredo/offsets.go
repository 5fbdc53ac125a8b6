package walredo

import (
	"encoding/binary"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// offsets is an array of uint16 as it lies in a record: offset numbers of items, or
// indexes into a posting list.
type offsets []byte

// cutOffsets takes n of them off the front of b.
func cutOffsets(b []byte, n int) (offsets, []byte, error) {
	if len(b) < 2*n {
		return nil, nil, corrupt("%d offsets in %d bytes", n, len(b))
	}
	return offsets(b[:2*n]), b[2*n:], nil
}

func (o offsets) len() int { return len(o) / 2 }
func (o offsets) at(i int) pg.OffsetNumber {
	return pg.OffsetNumber(binary.LittleEndian.Uint16(o[2*i:]))
}

// indexMultiDelete is PageIndexMultiDelete of the items listed.
func indexMultiDelete(page pg.Page, items offsets) error {
	var buf [pg.MaxIndexTuplesPerPage]pg.OffsetNumber
	if items.len() > len(buf) {
		return corrupt("%d items to delete", items.len())
	}
	for i := range items.len() {
		buf[i] = items.at(i)
	}
	return page.IndexMultiDelete(buf[:items.len()])
}

// addItem is PageAddItem at off, moving the line pointers from there on.
func addItem(page pg.Page, item []byte, off pg.OffsetNumber) error {
	if off == 0 {
		return corrupt("item number is 0")
	}
	_, err := page.AddItem(item, off, 0)
	return err
}

// blockNumber is where the record's block id lies in its relation.
func blockNumber(rec *xlog.Record, id uint8) (pg.BlockNumber, error) {
	blk := rec.Block(id)
	if blk == nil {
		return 0, corrupt("record has no block %d", id)
	}
	return blk.Tag.Block, nil
}

// indexTupleSize is IndexTupleSize of the tuple that b starts with.
func indexTupleSize(b []byte) (int, error) {
	size, ok := pg.IndexTupleSize(b)
	if !ok {
		return 0, corrupt("index tuple of %d bytes in %d", size, len(b))
	}
	return size, nil
}
