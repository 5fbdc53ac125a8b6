package walredo

import (
	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// indexMultiDelete is PageIndexMultiDelete of the items listed.
func indexMultiDelete(page pg.Page, items xlog.Offsets) error {
	var buf [pg.MaxIndexTuplesPerPage]pg.OffsetNumber
	if items.Len() > len(buf) {
		return corrupt("%d items to delete", items.Len())
	}
	for i := range items.Len() {
		buf[i] = items.At(i)
	}
	return page.IndexMultiDelete(buf[:items.Len()])
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
