package pg

import "fmt"

// indexItem checks line pointer off of an index page, whose header must be sound,
// and gives it.
func (p Page) indexItem(off OffsetNumber) (ItemID, error) {
	if err := p.checkPointers(true); err != nil {
		return 0, err
	}
	if !p.HasItem(off) {
		return 0, fmt.Errorf("index item %d of a page with %d: %w", off, p.MaxOffset(), ErrCorrupt)
	}
	id := p.ItemID(off)
	if !id.HasStorage() {
		return 0, fmt.Errorf("index item %d has no storage: %w", off, ErrCorrupt)
	}
	return id, p.checkItem(id, true)
}

// shiftItems moves the items' bytes from pd_upper up to at by delta bytes, towards the
// page's end if delta is positive, and the line pointers with them, at's own included.
func (p Page) shiftItems(at, delta int) {
	upper := int(p.Upper())
	copy(p[upper+delta:], p[upper:at])
	p.SetUpper(uint16(upper + delta))
	for off := FirstOffsetNumber; off <= p.MaxOffset(); off++ {
		if id := p.ItemID(off); id.HasStorage() && id.Offset() <= at {
			p.SetItemID(off, MakeItemID(id.Offset()+delta, id.Flags(), id.Length()))
		}
	}
}

// IndexTupleDelete is PageIndexTupleDelete: remove an item and its line pointer; the
// lines behind it move down by one.
func (p Page) IndexTupleDelete(off OffsetNumber) error {
	id, err := p.indexItem(off)
	if err != nil {
		return err
	}
	lower := int(p.Lower())
	copy(p[itemPos(off):], p[itemPos(off+1):lower])
	p.SetLower(uint16(lower - ItemIDSize))
	p.shiftItems(id.Offset(), MaxAlign(id.Length()))
	return nil
}

// IndexTupleDeleteNoCompact is PageIndexTupleDeleteNoCompact: remove an item but leave
// its line pointer unused, unless it is the last one, which goes.
func (p Page) IndexTupleDeleteNoCompact(off OffsetNumber) error {
	id, err := p.indexItem(off)
	if err != nil {
		return err
	}
	if off < p.MaxOffset() {
		p.SetItemID(off, 0)
	} else {
		p.SetLower(p.Lower() - ItemIDSize)
	}
	p.shiftItems(id.Offset(), MaxAlign(id.Length()))
	return nil
}

// IndexTupleOverwrite is PageIndexTupleOverwrite: put item where the old one with that
// number is, moving what lies below it by the difference in size. The line pointer
// keeps its state.
func (p Page) IndexTupleOverwrite(off OffsetNumber, item []byte) error {
	id, err := p.indexItem(off)
	if err != nil {
		return err
	}
	oldSize, newSize := MaxAlign(id.Length()), MaxAlign(len(item))
	if newSize > oldSize+int(p.Upper())-int(p.Lower()) {
		return fmt.Errorf("overwrite item %d: %d bytes do not fit: %w", off, len(item), ErrCorrupt)
	}
	delta := oldSize - newSize
	if delta != 0 {
		p.shiftItems(id.Offset(), delta)
	}
	p.SetItemID(off, MakeItemID(id.Offset()+delta, id.Flags(), len(item)))
	copy(p[id.Offset()+delta:], item)
	return nil
}

// IndexMultiDelete is PageIndexMultiDelete: remove the items with those numbers, which
// ascend. One or two go one by one, which keeps the others' physical order; more are
// removed by packing the rest anew in the order of their line pointers.
func (p Page) IndexMultiDelete(offs []OffsetNumber) error {
	if len(offs) <= 2 {
		for i := len(offs) - 1; i >= 0; i-- {
			if err := p.IndexTupleDelete(offs[i]); err != nil {
				return err
			}
		}
		return nil
	}
	if err := p.checkPointers(true); err != nil {
		return err
	}
	var (
		buf       [MaxIndexTuplesPerPage]compactItem
		ids       [MaxIndexTuplesPerPage]ItemID
		items     = buf[:0]
		total     int
		lastOff   = int(p.Special())
		presorted = true
		next      = 0
	)
	for off := FirstOffsetNumber; off <= p.MaxOffset(); off++ {
		id := p.ItemID(off)
		if err := p.checkItem(id, len(items) < len(buf)); err != nil {
			return err
		}
		if next < len(offs) && offs[next] == off {
			next++
			continue
		}
		presorted = presorted && id.Offset() < lastOff
		lastOff = min(lastOff, id.Offset())
		ids[len(items)] = id
		it := compactItem{line: OffsetNumber(len(items) + 1), off: uint16(id.Offset()), size: uint16(MaxAlign(id.Length()))}
		items = append(items, it)
		total += int(it.size)
	}
	if next != len(offs) {
		return fmt.Errorf("delete %d items of a page with %d: %w", len(offs), p.MaxOffset(), ErrCorrupt)
	}
	if room := int(p.Special()) - int(p.Lower()); total > room {
		return fmt.Errorf("items of %d bytes on a page with %d: %w", total, room, ErrCorrupt)
	}
	for i, id := range ids[:len(items)] {
		p.SetItemID(OffsetNumber(i+1), id)
	}
	p.SetLower(uint16(PageHeaderSize + len(items)*ItemIDSize))
	p.compactify(items, presorted)
	return nil
}
