package pg

import (
	"encoding/binary"
	"fmt"
)

// FirstOffsetNumber is the first line pointer of a page (storage/off.h).
const FirstOffsetNumber OffsetNumber = 1

// Limits of access/htup_details.h and access/itup.h.
const (
	MaxHeapTuplesPerPage  = (BlockSize - PageHeaderSize) / (24 + ItemIDSize)
	MaxIndexTuplesPerPage = (BlockSize - PageHeaderSize) / (16 + ItemIDSize)
)

// The states of a line pointer (storage/itemid.h).
const (
	LPUnused   = 0
	LPNormal   = 1
	LPRedirect = 2
	LPDead     = 3
)

// ItemID is a line pointer, ItemIdData: 15 bits of offset, 2 of state, 15 of
// length, from the low end.
type ItemID uint32

// lpOffMask is where the offset is.
const lpOffMask = 0x7FFF

// MakeItemID packs a line pointer. Values beyond 15 bits are cut.
func MakeItemID(offset int, flags uint8, length int) ItemID {
	return ItemID(uint32(offset)&0x7FFF | uint32(flags&3)<<15 | uint32(length)&0x7FFF<<17)
}

// The parts of a line pointer. For a redirect, Offset is the line it leads to.
func (i ItemID) Offset() int  { return int(i & 0x7FFF) }
func (i ItemID) Flags() uint8 { return uint8(i>>15) & 3 }
func (i ItemID) Length() int  { return int(i >> 17) }

// The tests of storage/itemid.h.
func (i ItemID) IsUsed() bool       { return i.Flags() != LPUnused }
func (i ItemID) IsNormal() bool     { return i.Flags() == LPNormal }
func (i ItemID) IsRedirected() bool { return i.Flags() == LPRedirect }
func (i ItemID) IsDead() bool       { return i.Flags() == LPDead }
func (i ItemID) HasStorage() bool   { return i.Length() != 0 }

// WithFlags is the line pointer in another state, offset and length kept.
func (i ItemID) WithFlags(flags uint8) ItemID { return MakeItemID(i.Offset(), flags, i.Length()) }

// MaxOffset is PageGetMaxOffsetNumber: how many line pointers the page has.
func (p Page) MaxOffset() OffsetNumber {
	if lower := p.Lower(); lower > PageHeaderSize {
		return OffsetNumber((lower - PageHeaderSize) / ItemIDSize)
	}
	return 0
}

// IsEmpty is PageIsEmpty: the page has no line pointers.
func (p Page) IsEmpty() bool { return p.Lower() <= PageHeaderSize }

// itemPos is where a line pointer lies in the page.
func itemPos(off OffsetNumber) int { return PageHeaderSize + (int(off)-1)*ItemIDSize }

// ItemID is PageGetItemId. An offset that cannot lie in a page gives an unused
// line pointer; whether the page has that line, MaxOffset says.
func (p Page) ItemID(off OffsetNumber) ItemID {
	pos := itemPos(off)
	if off == 0 || pos > BlockSize-ItemIDSize {
		return 0
	}
	return ItemID(binary.LittleEndian.Uint32(p[pos:]))
}

// SetItemID stores a line pointer, which must be one of the page's: see HasItem.
func (p Page) SetItemID(off OffsetNumber, id ItemID) {
	binary.LittleEndian.PutUint32(p[itemPos(off):], uint32(id))
}

// HasItem reports whether off is one of the page's line pointers.
func (p Page) HasItem(off OffsetNumber) bool {
	return off >= FirstOffsetNumber && off <= p.MaxOffset() && itemPos(off) <= BlockSize-ItemIDSize
}

// Item is PageGetItem with its checks: the bytes of the item with that number, in
// place. The item must have storage.
func (p Page) Item(off OffsetNumber) ([]byte, error) {
	if !p.HasItem(off) {
		return nil, fmt.Errorf("item %d of a page with %d: %w", off, p.MaxOffset(), ErrCorrupt)
	}
	id := p.ItemID(off)
	if !id.HasStorage() || id.Offset() < PageHeaderSize || id.Offset()+id.Length() > BlockSize {
		return nil, fmt.Errorf("line pointer %d: offset %d, flags %d, length %d: %w",
			off, id.Offset(), id.Flags(), id.Length(), ErrCorrupt)
	}
	return p[id.Offset() : id.Offset()+id.Length()], nil
}

// SetFlag sets bits of pd_flags.
func (p Page) SetFlag(bits uint16) { p.SetFlags(p.Flags() | bits) }

// ClearFlag clears bits of pd_flags.
func (p Page) ClearFlag(bits uint16) { p.SetFlags(p.Flags() &^ bits) }

// SpecialSize is PageGetSpecialSize; 0 where pd_special is damaged.
func (p Page) SpecialSize() int { return max(0, BlockSize-int(p.Special())) }

// SpecialArea is the special area's bytes, in place; empty where pd_special is damaged.
func (p Page) SpecialArea() []byte { return p[min(BlockSize, int(p.Special())):BlockSize] }

// ExactFreeSpace is PageGetExactFreeSpace: the bytes between pd_lower and pd_upper.
func (p Page) ExactFreeSpace() int { return max(0, int(p.Upper())-int(p.Lower())) }

// FreeSpace is PageGetFreeSpace: ExactFreeSpace less one new line pointer.
func (p Page) FreeSpace() int { return max(0, p.ExactFreeSpace()-ItemIDSize) }

// SetPrunable is PageSetPrunable: lower pd_prune_xid to xid, if it is not older.
func (p Page) SetPrunable(xid TransactionID) {
	if old := p.PruneXid(); old == 0 || xid.Precedes(old) {
		p.SetPruneXid(xid)
	}
}

// checkPointers tests the header as every function of bufpage.c does before it
// moves items. aligned asks for an aligned pd_special too.
func (p Page) checkPointers(aligned bool) error {
	lower, upper, special := int(p.Lower()), int(p.Upper()), int(p.Special())
	if lower < PageHeaderSize || lower > upper || upper > special || special > BlockSize ||
		aligned && special != MaxAlign(special) {
		return fmt.Errorf("page pointers: lower %d, upper %d, special %d: %w", lower, upper, special, ErrCorrupt)
	}
	return nil
}

// ItemPointer is ItemPointerData: a block and a line pointer on it.
type ItemPointer struct {
	Block  BlockNumber
	Offset OffsetNumber
}

// ItemPointerSize is sizeof(ItemPointerData).
const ItemPointerSize = 6

// GetItemPointer reads one: the block number's upper half comes first. b holds at
// least ItemPointerSize bytes.
func GetItemPointer(b []byte) ItemPointer {
	_ = b[5]
	return ItemPointer{
		Block:  BlockNumber(binary.LittleEndian.Uint16(b))<<16 | BlockNumber(binary.LittleEndian.Uint16(b[2:])),
		Offset: OffsetNumber(binary.LittleEndian.Uint16(b[4:])),
	}
}

// Put stores it into the first ItemPointerSize bytes of b.
func (t ItemPointer) Put(b []byte) {
	_ = b[5]
	binary.LittleEndian.PutUint16(b, uint16(t.Block>>16))
	binary.LittleEndian.PutUint16(b[2:], uint16(t.Block))
	binary.LittleEndian.PutUint16(b[4:], uint16(t.Offset))
}

// String gives (block,offset), as SQL prints a tid.
func (t ItemPointer) String() string { return fmt.Sprintf("(%d,%d)", t.Block, t.Offset) }

// IndexTupleHeaderSize is sizeof(IndexTupleData).
const IndexTupleHeaderSize = 8

// IndexTupleSize is the macro of that name: the length that an index tuple's t_info
// states. ok is false if b is too short to be one or shorter than what it states.
func IndexTupleSize(b []byte) (size int, ok bool) {
	if len(b) < IndexTupleHeaderSize {
		return 0, false
	}
	size = int(binary.LittleEndian.Uint16(b[6:]) & 0x1FFF)
	return size, size >= IndexTupleHeaderSize && size <= len(b)
}
