package walredo

import (
	"encoding/binary"
	"slices"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// Flags of SpGistPageOpaqueData and sizes (access/spgist_private.h).
const (
	spgLeaf       = 1 << 2
	spgNulls      = 1 << 3
	spgPageID     = 0xFF82
	spgOpaqueSize = 8
	spgOpaqueAt   = pg.BlockSize - spgOpaqueSize

	spgInnerHeader   = 8  // SGITHDRSZ
	spgDeadTupleSize = 16 // SGDTSIZE: no tuple is shorter
)

// States of a tuple: the low two bits of its first byte.
const (
	spgRedirect    = 1
	spgDead        = 2
	spgPlaceholder = 3
)

// spgPageOpaque is SpGistPageOpaqueData, in place in the special area of a page.
type spgPageOpaque []byte

// spgOpaque finds the special area of an existing page.
func spgOpaque(page pg.Page) (spgPageOpaque, error) {
	if page.Special() != spgOpaqueAt {
		return nil, corrupt("special area of an spgist page at %d, want %d", page.Special(), spgOpaqueAt)
	}
	return spgPageOpaque(page[spgOpaqueAt:pg.BlockSize]), nil
}

// addRedirections and addPlaceholders count tuples in nRedirection and nPlaceholder.
func (o spgPageOpaque) addRedirections(n int) { o.add(2, n) }
func (o spgPageOpaque) addPlaceholders(n int) { o.add(4, n) }

func (o spgPageOpaque) add(at, n int) {
	binary.LittleEndian.PutUint16(o[at:], binary.LittleEndian.Uint16(o[at:])+uint16(n))
}

// spgInitPage is SpGistInitPage.
func spgInitPage(page pg.Page, flags uint16) {
	page.Init(spgOpaqueSize)
	binary.LittleEndian.PutUint16(page[spgOpaqueAt:], flags)
	binary.LittleEndian.PutUint16(page[spgOpaqueAt+6:], spgPageID)
}

// spgInitLeaf makes an empty leaf page, for nulls or for anything else.
func spgInitLeaf(page pg.Page, nulls bool) {
	flags := uint16(spgLeaf)
	if nulls {
		flags |= spgNulls
	}
	spgInitPage(page, flags)
}

// spgDeadTuple is SpGistDeadTupleData: tupstate and size, t_info, pointer, xid.
type spgDeadTuple [spgDeadTupleSize]byte

func makeSpgDeadTuple(state uint8, pointer pg.ItemPointer, xid pg.TransactionID) (t spgDeadTuple) {
	binary.LittleEndian.PutUint32(t[:], spgDeadTupleSize<<2|uint32(state))
	pointer.Put(t[6:])
	binary.LittleEndian.PutUint32(t[12:], uint32(xid))
	return t
}

func (t *spgDeadTuple) state() uint8 { return t[0] & 3 }

// spgInvalidPointer is what ItemPointerSetInvalid makes.
var spgInvalidPointer = pg.ItemPointer{Block: pg.InvalidBlockNumber}

// The dead tuples that point nowhere.
var (
	spgDeadLeafTuple    = makeSpgDeadTuple(spgDead, spgInvalidPointer, 0)
	spgPlaceholderTuple = makeSpgDeadTuple(spgPlaceholder, spgInvalidPointer, 0)
)

// spgDeadTupleTo makes what replaces a tuple that has moved: a redirection, for scans that
// are on their way to it, or while the index is built a placeholder.
func spgDeadTupleTo(s xlog.SpgState, to pg.ItemPointer) spgDeadTuple {
	if s.IsBuild {
		return spgPlaceholderTuple
	}
	return makeSpgDeadTuple(spgRedirect, to, s.XID)
}

// spgReplaceTuple puts tuple in place of the item with that number.
func spgReplaceTuple(page pg.Page, tuple []byte, off pg.OffsetNumber) error {
	if err := page.IndexTupleDelete(off); err != nil {
		return err
	}
	return addItem(page, tuple, off)
}

// spgAddOrReplaceTuple is addOrReplaceTuple: put tuple in place of a placeholder, or
// behind the last item.
func spgAddOrReplaceTuple(page pg.Page, tuple []byte, off pg.OffsetNumber) error {
	if off > page.MaxOffset() {
		return addItem(page, tuple, off)
	}
	old, err := page.Item(off)
	if err != nil {
		return err
	}
	if old[0]&3 != spgPlaceholder {
		return corrupt("item %d is in state %d, no placeholder", off, old[0]&3)
	}
	o, err := spgOpaque(page)
	if err != nil {
		return err
	}
	o.addPlaceholders(-1)
	return spgReplaceTuple(page, tuple, off)
}

// spgLeaveDeadTuple puts a dead tuple in place of the item with that number.
func spgLeaveDeadTuple(page pg.Page, dead spgDeadTuple, off pg.OffsetNumber) error {
	if err := spgReplaceTuple(page, dead[:], off); err != nil {
		return err
	}
	return spgCountDeadTuple(page, &dead)
}

// spgCountDeadTuple keeps the page's counters.
func spgCountDeadTuple(page pg.Page, dead *spgDeadTuple) error {
	o, err := spgOpaque(page)
	if err != nil {
		return err
	}
	switch dead.state() {
	case spgRedirect:
		o.addRedirections(1)
	case spgPlaceholder:
		o.addPlaceholders(1)
	}
	return nil
}

// spgMultiDelete is spgPageIndexMultiDelete: replace items by dead tuples, the one
// listed first by first, the others by rest.
func spgMultiDelete(page pg.Page, items xlog.Offsets, first, rest spgDeadTuple) error {
	var buf [pg.MaxIndexTuplesPerPage]pg.OffsetNumber
	if items.Len() == 0 {
		return nil
	}
	if items.Len() > len(buf) {
		return corrupt("%d items to delete", items.Len())
	}
	sorted := buf[:items.Len()]
	for i := range sorted {
		sorted[i] = items.At(i)
	}
	slices.Sort(sorted)
	if err := page.IndexMultiDelete(sorted); err != nil {
		return err
	}
	for _, off := range sorted {
		dead := &rest
		if off == items.At(0) {
			dead = &first
		}
		if err := addItem(page, dead[:], off); err != nil {
			return err
		}
		if err := spgCountDeadTuple(page, dead); err != nil {
			return err
		}
	}
	return nil
}

// spgSetNextOffset is SGLT_SET_NEXTOFFSET of the leaf tuple with that number.
func spgSetNextOffset(page pg.Page, off, next pg.OffsetNumber) error {
	const mask = 0x3FFF
	tuple, err := page.Item(off)
	if err != nil {
		return err
	}
	if len(tuple) < spgDeadTupleSize {
		return corrupt("leaf tuple of %d bytes", len(tuple))
	}
	info := binary.LittleEndian.Uint16(tuple[4:])
	binary.LittleEndian.PutUint16(tuple[4:], info&^mask|uint16(next)&mask)
	return nil
}

// spgMask is spg_mask.
func spgMask(page pg.Page, _ pg.BlockNumber) {
	maskLSN(page)
	maskHints(page)
	if page.Lower() >= pg.PageHeaderSize {
		maskUnused(page)
	}
}
