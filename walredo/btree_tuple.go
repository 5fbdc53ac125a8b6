package walredo

import (
	"encoding/binary"

	"zenith/internal/pg"
)

// An index tuple (access/itup.h) is an item pointer (6 bytes: block number as two
// halves, high one first, then the offset number), t_info, then the key. Btree
// gives other meanings to the item pointer where t_info has btAltTID (access/nbtree.h):
// a posting list tuple has the offset of its list in the block number and the
// number of heap TIDs in the offset number; a pivot tuple has the downlink in the
// block number.
const (
	indexSizeMask = 0x1FFF // INDEX_SIZE_MASK, of t_info
	btAltTID      = 0x2000 // INDEX_ALT_TID_MASK, in t_info
	btIsPosting   = 0x2000 // BT_IS_POSTING, in the offset number
	btOffsetMask  = 0x0FFF // BT_OFFSET_MASK: the number of TIDs
)

// btTuple is an index tuple of a btree page, cut to its own length.
type btTuple []byte

// btItem is the tuple at off. Its size is checked, and that of its posting list if
// it has one.
func btItem(page pg.Page, off pg.OffsetNumber) (btTuple, error) {
	item, err := page.Item(off)
	if err != nil {
		return nil, err
	}
	return parseBtTuple(item)
}

func parseBtTuple(b []byte) (btTuple, error) {
	size, err := indexTupleSize(b)
	if err != nil {
		return nil, err
	}
	t := btTuple(b[:size])
	if t.isPosting() && (t.postingOffset() < pg.IndexTupleHeaderSize || t.postingOffset() > size ||
		t.nPosting()*pg.ItemPointerSize > size-t.postingOffset()) {
		return nil, corrupt("posting list of %d at %d of %d bytes", t.nPosting(), t.postingOffset(), size)
	}
	return t, nil
}

// btCopyTuple copies the tuple that src starts with to buf.
func btCopyTuple(buf, src []byte) (btTuple, error) {
	t, err := parseBtTuple(src)
	if err != nil {
		return nil, err
	}
	if len(t) > len(buf) {
		return nil, corrupt("index tuple of %d bytes", len(t))
	}
	return btTuple(buf[:copy(buf, t)]), nil
}

func (t btTuple) info() uint16 { return binary.LittleEndian.Uint16(t[6:]) }

// setSize stores the tuple's size in t_info, and whether it has a posting list or not.
func (t btTuple) setSize(size int, alt uint16) {
	binary.LittleEndian.PutUint16(t[6:], t.info()&^(indexSizeMask|btAltTID)|uint16(size)|alt)
}

func (t btTuple) tid() []byte { return t[:pg.ItemPointerSize] }

func (t btTuple) block() uint32 {
	return uint32(binary.LittleEndian.Uint16(t))<<16 | uint32(binary.LittleEndian.Uint16(t[2:]))
}

func (t btTuple) setBlock(b uint32) {
	binary.LittleEndian.PutUint16(t, uint16(b>>16))
	binary.LittleEndian.PutUint16(t[2:], uint16(b))
}

func (t btTuple) posid() uint16     { return binary.LittleEndian.Uint16(t[4:]) }
func (t btTuple) setPosid(v uint16) { binary.LittleEndian.PutUint16(t[4:], v) }

// isPosting is BTreeTupleIsPosting.
func (t btTuple) isPosting() bool {
	return t.info()&btAltTID != 0 && t.posid()&btIsPosting != 0
}

// nPosting is BTreeTupleGetNPosting, postingOffset BTreeTupleGetPostingOffset.
func (t btTuple) nPosting() int      { return int(t.posid() & btOffsetMask) }
func (t btTuple) postingOffset() int { return int(t.block()) }

// heapTIDs is the tuple's heap TIDs: its posting list, or the one in its header.
func (t btTuple) heapTIDs() []byte {
	if !t.isPosting() {
		return t.tid()
	}
	return t[t.postingOffset() : t.postingOffset()+t.nPosting()*pg.ItemPointerSize]
}

// keySize is the length of the tuple without its posting list.
func (t btTuple) keySize() int {
	if t.isPosting() {
		return t.postingOffset()
	}
	return len(t)
}

// btPostingSize is the length of a tuple of n heap TIDs after a key of keySize.
func btPostingSize(keySize, n int) int {
	if n == 1 {
		return keySize
	}
	return pg.MaxAlign(keySize + n*pg.ItemPointerSize)
}

// btFormPosting is _bt_form_posting: it makes a tuple of base's key and tids in buf.
func btFormPosting(buf []byte, base btTuple, tids []byte) (btTuple, error) {
	keySize, n := base.keySize(), len(tids)/pg.ItemPointerSize
	size := btPostingSize(keySize, n)
	if n < 1 || n > btOffsetMask || size > len(buf) {
		return nil, corrupt("posting list of %d after a key of %d bytes", n, keySize)
	}
	t := btTuple(buf[:size])
	copy(t, base[:keySize])
	if n == 1 {
		t.setSize(size, 0)
		copy(t, tids)
		return t, nil
	}
	t.setSize(size, btAltTID)
	t.setBlock(uint32(keySize))
	t.setPosid(uint16(n) | btIsPosting)
	clear(t[keySize+copy(t[keySize:], tids):])
	return t, nil
}

// btSwapPosting is _bt_swap_posting: newItem's heap TID goes into the posting list
// at off, and the list's last one, which has no room there any more, becomes
// newItem's. Both change in place.
func btSwapPosting(newItem, posting btTuple, off int) error {
	if !posting.isPosting() || off < 1 || off >= posting.nPosting() {
		return corrupt("posting list split at %d of %d", off, posting.nPosting())
	}
	tids := posting.heapTIDs()
	var last [pg.ItemPointerSize]byte
	copy(last[:], tids[len(tids)-pg.ItemPointerSize:])
	copy(tids[(off+1)*pg.ItemPointerSize:], tids[off*pg.ItemPointerSize:len(tids)-pg.ItemPointerSize])
	copy(tids[off*pg.ItemPointerSize:], newItem.tid())
	copy(newItem, last[:])
	return nil
}
