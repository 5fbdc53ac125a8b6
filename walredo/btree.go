package walredo

import (
	"encoding/binary"
	"math"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// btreeRmgr is Btree, in access/nbtree/nbtxlog.c.
var btreeRmgr = rmgr{
	name: "Btree",
	ops: ops{
		0x0: {name: "INSERT_LEAF", redo: btreeInsert},
		0x1: {name: "INSERT_UPPER", redo: btreeInsert},
		0x2: {name: "INSERT_META", redo: btreeInsert},
		0x3: {name: "SPLIT_L", redo: btreeSplit},
		0x4: {name: "SPLIT_R", redo: btreeSplit},
		0x5: {name: "INSERT_POST", redo: btreeInsertPost},
		0x6: {name: "DEDUP", redo: btreeDedup},
		0x7: {name: "DELETE", redo: btreeDelete},
		0x8: {name: "UNLINK_PAGE", redo: btreeUnlinkPage},
		0x9: {name: "UNLINK_PAGE_META", redo: btreeUnlinkPage},
		0xA: {name: "NEWROOT", redo: btreeNewRoot},
		0xB: {name: "MARK_PAGE_HALFDEAD", redo: btreeMarkPageHalfDead},
		0xC: {name: "VACUUM", redo: btreeVacuum},
		0xD: {name: "REUSE_PAGE"}, // for standby conflicts only: it has no blocks
		0xE: {name: "META_CLEANUP", redo: btreeMetaCleanup},
	},
	mask: btreeMask,
}

// The ops that share a redo function with another, by Record.Op.
const (
	btreeOpInsertMeta = 0x20
	btreeOpSplitLeft  = 0x30
)

// Bits of btpo_flags (access/nbtree.h).
const (
	btpLeaf            = 1 << 0
	btpRoot            = 1 << 1
	btpDeleted         = 1 << 2
	btpMeta            = 1 << 3
	btpHalfDead        = 1 << 4
	btpSplitEnd        = 1 << 5
	btpHasGarbage      = 1 << 6
	btpIncompleteSplit = 1 << 7
	btpHasFullXid      = 1 << 8
)

// Constants of access/nbtree.h.
const (
	btreeMagic     = 0x053162
	btNone         = pg.BlockNumber(0) // P_NONE: no sibling
	btHighKey      = pg.OffsetNumber(1)
	btFirstKey     = pg.OffsetNumber(2)
	btOpaqueSize   = 16
	btOpaqueAt     = pg.BlockSize - btOpaqueSize
	btCycleIDAt    = btOpaqueAt + 14 // btpo_cycleid, a uint16: the VACUUM during which the page was split
	btMetaSize     = 48
	btMetaLower    = pg.PageHeaderSize + btMetaSize
	btDeletedSize  = 8    // BTDeletedPageData
	btMaxItemSize  = 2704 // BTMaxItemSize
	btMaxTupleSize = 2712 // BTMaxItemSizeNoHeapTid: no tuple of a leaf is larger
)

// btPageOpaque is BTPageOpaqueData, in place in the special area of a page.
type btPageOpaque []byte

// btOpaque finds the special area of an existing page.
func btOpaque(page pg.Page) (btPageOpaque, error) {
	if page.Special() != btOpaqueAt {
		return nil, corrupt("special area of a btree page at %d, want %d", page.Special(), btOpaqueAt)
	}
	return btPageOpaque(page[btOpaqueAt:pg.BlockSize]), nil
}

// btInitPage is _bt_pageinit.
func btInitPage(page pg.Page) btPageOpaque {
	page.Init(btOpaqueSize)
	return btPageOpaque(page[btOpaqueAt:pg.BlockSize])
}

func (o btPageOpaque) next() pg.BlockNumber {
	return pg.BlockNumber(binary.LittleEndian.Uint32(o[4:]))
}
func (o btPageOpaque) flags() uint16 { return binary.LittleEndian.Uint16(o[12:]) }

func (o btPageOpaque) setPrev(b pg.BlockNumber) { binary.LittleEndian.PutUint32(o, uint32(b)) }
func (o btPageOpaque) setNext(b pg.BlockNumber) { binary.LittleEndian.PutUint32(o[4:], uint32(b)) }
func (o btPageOpaque) setLevel(l uint32)        { binary.LittleEndian.PutUint32(o[8:], l) }
func (o btPageOpaque) setFlags(f uint16)        { binary.LittleEndian.PutUint16(o[12:], f) }
func (o btPageOpaque) setCycleID(id uint16)     { binary.LittleEndian.PutUint16(o[14:], id) }
func (o btPageOpaque) clearFlags(f uint16)      { o.setFlags(o.flags() &^ f) }
func (o btPageOpaque) rightmost() bool          { return o.next() == btNone }
func (o btPageOpaque) firstKey() pg.OffsetNumber { // P_FIRSTDATAKEY
	if o.rightmost() {
		return btHighKey
	}
	return btFirstKey
}

// btRestoreMeta is _bt_restore_meta: the metapage is made anew from the record.
func btRestoreMeta(page pg.Page, blk *xlog.BlockRef) error {
	xl, err := xlog.ParseBtreeMetadata(blk)
	if err != nil {
		return err
	}
	o := btInitPage(page)
	o.setFlags(btpMeta)
	md := page[pg.PageHeaderSize:btMetaLower]
	binary.LittleEndian.PutUint32(md, btreeMagic)
	binary.LittleEndian.PutUint32(md[4:], xl.Version)
	binary.LittleEndian.PutUint32(md[8:], uint32(xl.Root))
	binary.LittleEndian.PutUint32(md[12:], xl.Level)
	binary.LittleEndian.PutUint32(md[16:], uint32(xl.FastRoot))
	binary.LittleEndian.PutUint32(md[20:], xl.FastLevel)
	binary.LittleEndian.PutUint32(md[24:], xl.LastCleanupNumDelPages)
	binary.LittleEndian.PutUint64(md[32:], math.Float64bits(-1)) // btm_last_cleanup_num_heap_tuples
	md[40] = xl.AllEqualImage
	page.SetLower(btMetaLower)
	return nil
}

// btClearIncompleteSplit is _bt_clear_incomplete_split.
func btClearIncompleteSplit(page pg.Page) error {
	o, err := btOpaque(page)
	if err != nil {
		return err
	}
	o.clearFlags(btpIncompleteSplit)
	return nil
}

// btreeMetaCleanup is the XLOG_BTREE_META_CLEANUP case of btree_redo.
func btreeMetaCleanup(page pg.Page, _ *xlog.Record, blk *xlog.BlockRef) error {
	return btRestoreMeta(page, blk)
}

// btreeNewRoot is btree_xlog_newroot: block 0 is the new root, 1 its left child, 2
// the metapage.
func btreeNewRoot(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	switch blk.ID {
	case 0:
		return btNewRootPage(page, rec, blk)
	case 1:
		return btClearIncompleteSplit(page)
	default:
		return btRestoreMeta(page, blk)
	}
}

func btNewRootPage(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	xl, err := xlog.ParseBtreeNewRoot(rec)
	if err != nil {
		return err
	}
	o := btInitPage(page)
	o.setLevel(xl.Level)
	if xl.Level == 0 {
		o.setFlags(btpRoot | btpLeaf)
		return nil
	}
	o.setFlags(btpRoot)
	return btRestorePage(page, blk.Data)
}

// btreeMask is btree_mask.
func btreeMask(page pg.Page, _ pg.BlockNumber) {
	maskLSN(page)
	maskHints(page)
	maskUnused(page)
	o, err := btOpaque(page)
	if err != nil {
		return
	}
	if o.flags()&btpLeaf != 0 {
		maskLPFlags(page)
	}
	o.clearFlags(btpHasGarbage | btpSplitEnd)
	o.setCycleID(0)
}
