package walredo

import (
	"encoding/binary"

	"zenith/internal/pg"
)

// heapTuple is a heap tuple on its page, from its HeapTupleHeaderData on:
//
//	xmin u32 | xmax u32 | cid u32 | ctid 6 | infomask2 u16 | infomask u16 | hoff u8 | bits, data
type heapTuple []byte

const (
	sizeofHeapTupleHeader = 23 // offsetof(HeapTupleHeaderData, t_bits)
	maxHeapTupleSize      = pg.BlockSize - (pg.PageHeaderSize + pg.ItemIDSize + 4)
)

// Bits of t_infomask that redo looks at (access/htup_details.h).
const (
	heapXmaxKeyShrLock = 0x0010
	heapComboCID       = 0x0020
	heapXmaxExclLock   = 0x0040
	heapXmaxLockOnly   = 0x0080
	heapXminCommitted  = 0x0100
	heapXminInvalid    = 0x0200
	heapXminFrozen     = heapXminCommitted | heapXminInvalid
	heapXmaxCommitted  = 0x0400
	heapXmaxInvalid    = 0x0800
	heapXmaxIsMulti    = 0x1000
	heapMoved          = 0x4000 | 0x8000 // HEAP_MOVED_OFF, HEAP_MOVED_IN
	heapLockMask       = heapXmaxExclLock | heapXmaxKeyShrLock
	heapXactMask       = 0xFFF0

	// All that goes when xmax is about to change.
	heapXmaxBits = heapXmaxCommitted | heapXmaxInvalid | heapXmaxIsMulti | heapLockMask | heapXmaxLockOnly
)

// Bits of t_infomask2.
const (
	heapKeysUpdated = 0x2000
	heapHotUpdated  = 0x4000
)

// Offset numbers in t_ctid that are no line pointers.
const (
	specTokenOffset       pg.OffsetNumber = 0xFFFE // SpecTokenOffsetNumber
	movedPartitionsOffset pg.OffsetNumber = 0xFFFD // MovedPartitionsOffsetNumber
)

// frozenXID is FrozenTransactionId.
const frozenXID pg.TransactionID = 2

func (t heapTuple) infomask2() uint16          { return binary.LittleEndian.Uint16(t[18:]) }
func (t heapTuple) infomask() uint16           { return binary.LittleEndian.Uint16(t[20:]) }
func (t heapTuple) hoff() int                  { return int(t[22]) }
func (t heapTuple) ctid() pg.ItemPointer       { return pg.GetItemPointer(t[12:]) }
func (t heapTuple) setInfomask2(v uint16)      { binary.LittleEndian.PutUint16(t[18:], v) }
func (t heapTuple) setInfomask(v uint16)       { binary.LittleEndian.PutUint16(t[20:], v) }
func (t heapTuple) setXmin(x pg.TransactionID) { binary.LittleEndian.PutUint32(t, uint32(x)) }
func (t heapTuple) setXmax(x pg.TransactionID) { binary.LittleEndian.PutUint32(t[4:], uint32(x)) }
func (t heapTuple) setField3(v uint32)         { binary.LittleEndian.PutUint32(t[8:], v) } // t_cid or t_xvac
func (t heapTuple) setCtid(p pg.ItemPointer)   { p.Put(t[12:]) }

// clearCid is HeapTupleHeaderSetCmin or SetCmax with FirstCommandId: WAL does not
// say which command of its transaction did it.
func (t heapTuple) clearCid() {
	t.setField3(0)
	t.setInfomask(t.infomask() &^ heapComboCID)
}

// setHotUpdated is HeapTupleHeaderSetHotUpdated or ClearHotUpdated.
func (t heapTuple) setHotUpdated(on bool) {
	if on {
		t.setInfomask2(t.infomask2() | heapHotUpdated)
	} else {
		t.setInfomask2(t.infomask2() &^ heapHotUpdated)
	}
}

// Bits of the infobits_set of records (XLHL_*).
const (
	xlhlXmaxIsMulti    = 0x01
	xlhlXmaxLockOnly   = 0x02
	xlhlXmaxExclLock   = 0x04
	xlhlXmaxKeyShrLock = 0x08
	xlhlKeysUpdated    = 0x10
)

// setXmaxBits makes room for a new xmax in the infomasks and sets what the record's
// infobits say of it (fix_infomask_from_infobits).
func (t heapTuple) setXmaxBits(infobits uint8) {
	mask := t.infomask() &^ (heapXmaxBits | heapMoved)
	mask2 := t.infomask2() &^ heapKeysUpdated
	if infobits&xlhlXmaxIsMulti != 0 {
		mask |= heapXmaxIsMulti
	}
	if infobits&xlhlXmaxLockOnly != 0 {
		mask |= heapXmaxLockOnly
	}
	if infobits&xlhlXmaxExclLock != 0 {
		mask |= heapXmaxExclLock
	}
	if infobits&xlhlXmaxKeyShrLock != 0 {
		mask |= heapXmaxKeyShrLock
	}
	if infobits&xlhlKeysUpdated != 0 {
		mask2 |= heapKeysUpdated
	}
	t.setInfomask(mask)
	t.setInfomask2(mask2)
}

// xmaxLockedOnly is HEAP_XMAX_IS_LOCKED_ONLY: xmax locked the tuple, no more.
func (t heapTuple) xmaxLockedOnly() bool {
	m := t.infomask()
	return m&heapXmaxLockOnly != 0 || m&(heapXmaxIsMulti|heapLockMask) == heapXmaxExclLock
}

// normalTuple finds the tuple that a record names; its line pointer must be normal.
func normalTuple(page pg.Page, off pg.OffsetNumber) (heapTuple, error) {
	if !page.HasItem(off) || !page.ItemID(off).IsNormal() {
		return nil, corrupt("invalid line pointer %d", off)
	}
	return storedTuple(page, off)
}

// storedTuple finds a tuple whose line pointer may have any state that has storage.
func storedTuple(page pg.Page, off pg.OffsetNumber) (heapTuple, error) {
	item, err := page.Item(off)
	if err != nil {
		return nil, err
	}
	if len(item) < sizeofHeapTupleHeader {
		return nil, corrupt("item %d is %d bytes: no heap tuple", off, len(item))
	}
	return item, nil
}

// xlHeapHeader is xl_heap_header: what a record says of a new tuple's header.
type xlHeapHeader struct {
	infomask2, infomask uint16
	hoff                uint8
}

const sizeofXLHeapHeader = 5 // SizeOfHeapHeader

func parseXLHeapHeader(b []byte) (h xlHeapHeader, rest []byte, err error) {
	if len(b) < sizeofXLHeapHeader {
		return h, nil, corrupt("xl_heap_header is %d bytes, want %d", len(b), sizeofXLHeapHeader)
	}
	h.infomask2 = binary.LittleEndian.Uint16(b)
	h.infomask = binary.LittleEndian.Uint16(b[2:])
	h.hoff = b[4]
	return h, b[sizeofXLHeapHeader:], nil
}

// newTuple makes a tuple header for size bytes of data at the very place where
// addTuple will put the tuple, so that it is written once. The data are still to be
// filled in: they begin at sizeofHeapTupleHeader.
func newTuple(page pg.Page, h xlHeapHeader, xmin pg.TransactionID, self pg.ItemPointer, size int) (heapTuple, error) {
	n := sizeofHeapTupleHeader + size
	at := int(page.Upper()) - pg.MaxAlign(n)
	if n > maxHeapTupleSize || at < int(page.Lower()) {
		return nil, corrupt("tuple of %d bytes does not fit between %d and %d", n, page.Lower(), page.Upper())
	}
	t := heapTuple(page[at : at+n])
	clear(t[:sizeofHeapTupleHeader])
	t.setXmin(xmin)
	t.setInfomask2(h.infomask2)
	t.setInfomask(h.infomask &^ heapComboCID)
	t[22] = h.hoff
	t.setCtid(self)
	return t, nil
}

// addTuple gives a newTuple its line pointer.
func addTuple(page pg.Page, t heapTuple, off pg.OffsetNumber) error {
	if off == 0 || off > page.MaxOffset()+1 {
		return corrupt("tuple at %d of a page with %d", off, page.MaxOffset())
	}
	_, err := page.AddItem(t, off, pg.AddOverwrite|pg.AddIsHeap)
	return err
}
