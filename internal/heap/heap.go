// Package heap reads the rows of heap pages that a transaction would see that begins now and in a state in which
// no other one runs: those of a data directory at rest, or of a state of the past. What had not committed there is
// not seen, as after a crash.
package heap

import (
	"encoding/binary"
	"fmt"

	"zenith/internal/pg"
)

// What is looked at of a HeapTupleHeaderData (access/htup_details.h).
const (
	tupleXmax     = 4
	tupleInfomask = 20
	tupleHoff     = 22

	sizeofHeader = 23

	xmaxLockOnly  = 0x0080
	xminCommitted = 0x0100
	xminInvalid   = 0x0200 // with xminCommitted: frozen
	xmaxCommitted = 0x0400
	xmaxInvalid   = 0x0800
	xmaxIsMulti   = 0x1000
)

// Rows calls fn with the columns of each row of a heap that is seen. They have at least size bytes. Pages that were never written have none. ErrCorrupt of package pg for what are no pages of such a heap.
func Rows(pages []byte, xacts *Xacts, size int, fn func(Columns)) error {
	for block := 0; len(pages) >= pg.BlockSize; block, pages = block+1, pages[pg.BlockSize:] {
		if err := pageRows(pg.Page(pages[:pg.BlockSize]), xacts, size, fn); err != nil {
			return fmt.Errorf("block %d: %w", block, err)
		}
	}
	return nil
}

func pageRows(page pg.Page, xacts *Xacts, size int, fn func(Columns)) error {
	if page.IsNew() {
		return nil
	}
	for off := pg.FirstOffsetNumber; off <= page.MaxOffset(); off++ {
		if !page.ItemID(off).IsNormal() {
			continue
		}
		tuple, err := page.Item(off)
		if err != nil {
			return err
		}
		if len(tuple) < sizeofHeader || len(tuple) < int(tuple[tupleHoff]) || tuple[tupleHoff] < sizeofHeader {
			return fmt.Errorf("item %d: a row of %d bytes: %w", off, len(tuple), pg.ErrCorrupt)
		}
		seen, err := isSeen(tuple, xacts)
		if err != nil {
			return err
		}
		if !seen {
			continue
		}
		columns := Columns(tuple[tuple[tupleHoff]:])
		if len(columns) < size {
			return fmt.Errorf("item %d: columns of %d bytes, not %d or more: %w", off, len(columns), size, pg.ErrCorrupt)
		}
		fn(columns)
	}
	return nil
}

// isSeen is HeapTupleSatisfiesMVCC where no transaction runs. A multixact that is more than locks is taken as a
// deletion.
func isSeen(tuple []byte, xacts *Xacts) (bool, error) {
	mask := binary.LittleEndian.Uint16(tuple[tupleInfomask:])
	switch {
	case mask&xminCommitted != 0:
	case mask&xminInvalid != 0:
		return false, nil
	default:
		made, err := xacts.Committed(pg.TransactionID(binary.LittleEndian.Uint32(tuple)))
		if err != nil || !made {
			return false, err
		}
	}
	switch {
	case mask&(xmaxInvalid|xmaxLockOnly) != 0:
		return true, nil
	case mask&(xmaxCommitted|xmaxIsMulti) != 0:
		return false, nil
	}
	deleted, err := xacts.Committed(pg.TransactionID(binary.LittleEndian.Uint32(tuple[tupleXmax:])))
	return !deleted, err
}
