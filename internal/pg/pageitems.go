package pg

import (
	"encoding/binary"
	"fmt"
)

// What follows changes a page's items as storage/page/bufpage.c does, byte for byte:
// where an item lands, what happens to its padding and what stays behind in the
// free space are part of the result, since a page that we redo must equal one that
// PostgreSQL redoes. Where PostgreSQL stops with an error, these return one that
// wraps ErrCorrupt and leave the page in an undefined state.

// AddItemFlags steer AddItem (storage/bufpage.h's PAI_*).
type AddItemFlags uint8

// The flags of AddItem.
const (
	AddOverwrite AddItemFlags = 1 << iota // PAI_OVERWRITE: put it at an unused line pointer, moving none
	AddIsHeap                             // PAI_IS_HEAP: at most MaxHeapTuplesPerPage
)

// AddItem is PageAddItemExtended: copy item onto the page and give it line pointer
// off, or with off 0 the first free one; the lines from off on move up by one unless
// AddOverwrite is set. It returns the line pointer. The bytes that pad the item keep
// what the page had there.
func (p Page) AddItem(item []byte, off OffsetNumber, flags AddItemFlags) (OffsetNumber, error) {
	if err := p.checkPointers(false); err != nil {
		return 0, err
	}
	limit := p.MaxOffset() + 1
	shuffle := false
	if off == 0 {
		off = p.freeLine(limit)
	} else if off < limit {
		if flags&AddOverwrite == 0 {
			shuffle = true
		} else if id := p.ItemID(off); id.IsUsed() || id.HasStorage() {
			return 0, fmt.Errorf("add item: line pointer %d is in use: %w", off, ErrCorrupt)
		}
	}
	if off > limit || flags&AddIsHeap != 0 && off > MaxHeapTuplesPerPage {
		return 0, fmt.Errorf("add item: offset %d on a page with %d items: %w", off, limit-1, ErrCorrupt)
	}
	lower, upper := int(p.Lower()), int(p.Upper())-MaxAlign(len(item))
	if off == limit || shuffle {
		lower += ItemIDSize
	}
	if lower > upper {
		return 0, fmt.Errorf("add item: %d bytes do not fit between %d and %d: %w", len(item), p.Lower(), p.Upper(), ErrCorrupt)
	}
	if shuffle {
		pos := itemPos(off)
		copy(p[pos+ItemIDSize:], p[pos:itemPos(limit)])
	}
	p.SetItemID(off, MakeItemID(upper, LPNormal, len(item)))
	copy(p[upper:], item)
	p.SetLower(uint16(lower))
	p.SetUpper(uint16(upper))
	return off, nil
}

// freeLine finds an unused line pointer if the page's hint promises one, else limit.
// A hint found wrong is cleared.
func (p Page) freeLine(limit OffsetNumber) OffsetNumber {
	if p.Flags()&PDHasFreeLines == 0 {
		return limit
	}
	for off := FirstOffsetNumber; off < limit; off++ {
		if id := p.ItemID(off); !id.IsUsed() && !id.HasStorage() {
			return off
		}
	}
	p.ClearFlag(PDHasFreeLines)
	return limit
}

// compactItem is an item that compactify moves (itemIdCompactData).
type compactItem struct {
	line OffsetNumber // the line pointer to update
	off  uint16       // where its data are
	size uint16       // aligned length
}

// end is where the item's data end.
func (it *compactItem) end() int { return int(it.off) + int(it.size) }

// compactify is compactify_tuples: pack the items downward from pd_special, in the
// order given, which is that of their line pointers. presorted says that they lie in
// that order already, so that they can slide up one after the other; otherwise they
// go by way of a copy. Either way nothing below the new pd_upper is written.
func (p Page) compactify(items []compactItem, presorted bool) {
	src := p
	upper := int(p.Special())
	i := 0
	for i < len(items) && items[i].end() == upper {
		upper = int(items[i].off)
		i++
	}
	if i < len(items) && !presorted {
		var scratch [BlockSize]byte
		low := int(p.Upper())
		copy(scratch[low:], p[low:upper])
		src = scratch[:]
	}
	for i < len(items) {
		// Neighbours in the order wanted move in one piece.
		tail := items[i].end()
		head := tail
		for ; i < len(items) && items[i].end() == head; i++ {
			head = int(items[i].off)
			upper -= int(items[i].size)
			line := p[itemPos(items[i].line):]
			binary.LittleEndian.PutUint32(line, binary.LittleEndian.Uint32(line)&^lpOffMask|uint32(upper))
		}
		copy(p[upper:], src[head:tail])
	}
	p.SetUpper(uint16(upper))
}

// RepairFragmentation is PageRepairFragmentation, for heap pages: close the gaps
// between items, cut unused line pointers off the end, set the free-lines hint.
func (p Page) RepairFragmentation() error { return p.repairFragmentation(true) }

// RepairFragmentationOnly is PageRepairFragmentation of PostgreSQL 14, which leaves unused line pointers at the end.
func (p Page) RepairFragmentationOnly() error { return p.repairFragmentation(false) }

func (p Page) repairFragmentation(cutLines bool) error {
	if err := p.checkPointers(true); err != nil {
		return err
	}
	var (
		buf           [MaxHeapTuplesPerPage]compactItem
		n             int
		lower, upper  = int(p.Lower()), int(p.Upper())
		special       = int(p.Special())
		nline         = p.MaxOffset()
		lastUsed      OffsetNumber
		unused, total int
		lastOff       = special
		presorted     = true
	)
	lines := p[PageHeaderSize:lower]
	for off := FirstOffsetNumber; off <= nline; off++ {
		line := lines[(int(off)-1)*ItemIDSize:][:ItemIDSize]
		id := ItemID(binary.LittleEndian.Uint32(line))
		if !id.IsUsed() {
			clear(line)
			unused++
			continue
		}
		lastUsed = off
		if !id.HasStorage() {
			continue
		}
		if !id.within(upper, special) || n == len(buf) {
			return p.errItem(id)
		}
		at, size := id.Offset(), MaxAlign(id.Length())
		buf[n] = compactItem{line: off, off: uint16(at), size: uint16(size)}
		n++
		presorted = presorted && at < lastOff
		lastOff = min(lastOff, at)
		total += size
	}
	if total > special-lower {
		return fmt.Errorf("items of %d bytes on a page with %d: %w", total, special-lower, ErrCorrupt)
	}
	p.compactify(buf[:n], presorted)
	if cutLines && lastUsed != nline {
		unused -= int(nline - lastUsed)
		p.SetLower(uint16(lower - int(nline-lastUsed)*ItemIDSize))
	}
	p.setFreeLines(unused > 0)
	return nil
}

// checkItem tests that an item to be moved lies in the item space, and that there
// are not more items than a page can hold.
func (p Page) checkItem(id ItemID, room bool) error {
	if !room || !id.within(int(p.Upper()), int(p.Special())) {
		return p.errItem(id)
	}
	return nil
}

// within reports whether the item, padded, lies between lower and upper.
func (i ItemID) within(lower, upper int) bool {
	return i.Offset() >= lower && i.Offset()+MaxAlign(i.Length()) <= upper && i.Offset()%8 == 0
}

func (p Page) errItem(id ItemID) error {
	return fmt.Errorf("line pointer: offset %d, length %d, item space %d to %d: %w",
		id.Offset(), id.Length(), p.Upper(), p.Special(), ErrCorrupt)
}

func (p Page) setFreeLines(on bool) {
	if on {
		p.SetFlag(PDHasFreeLines)
	} else {
		p.ClearFlag(PDHasFreeLines)
	}
}

// TruncateLinePointerArray is PageTruncateLinePointerArray, which VACUUM's second
// pass uses: cut unused line pointers off the end, but never the first, and set the
// free-lines hint.
func (p Page) TruncateLinePointerArray() {
	var counting, hint bool
	unusedEnd := 0
	counting = true
	for off := p.MaxOffset(); off >= FirstOffsetNumber; off-- {
		used := p.ItemID(off).IsUsed()
		if counting && !used && off > FirstOffsetNumber {
			unusedEnd++
			continue
		}
		counting = false
		if !used {
			hint = true
			break
		}
	}
	if unusedEnd > 0 {
		p.SetLower(p.Lower() - uint16(unusedEnd*ItemIDSize))
	}
	p.setFreeLines(hint)
}
