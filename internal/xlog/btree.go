package xlog

import (
	"fmt"

	"zenith/internal/pg"
)

// The bodies of Btree's records (access/nbtxlog.h).

// ParseBtreeInsert reads xl_btree_insert: where the new item goes.
func ParseBtreeInsert(rec *Record) (pg.OffsetNumber, error) { return parseItem(rec, "xl_btree_insert") }

// BtreeSplit is xl_btree_split.
type BtreeSplit struct {
	Level         uint32
	FirstRightOff pg.OffsetNumber // the first item, by its old number, that goes right
	NewItemOff    pg.OffsetNumber
	PostingOff    uint16 // where the new item splits a posting list; 0: it does not
}

// ParseBtreeSplit reads the body of a SPLIT_L or SPLIT_R record.
func ParseBtreeSplit(rec *Record) (BtreeSplit, error) {
	s, err := structOf(rec.MainData, "xl_btree_split", 10)
	if err != nil {
		return BtreeSplit{}, err
	}
	return BtreeSplit{Level: s.u32(0), FirstRightOff: s.item(4), NewItemOff: s.item(6), PostingOff: s.u16(8)}, nil
}

// ParseBtreeDedup reads xl_btree_dedup: how many intervals of items become one each.
func ParseBtreeDedup(rec *Record) (nintervals int, err error) {
	s, err := structOf(rec.MainData, "xl_btree_dedup", 2)
	if err != nil {
		return 0, err
	}
	return int(s.u16(0)), nil
}

// BtreeDelete is xl_btree_delete.
type BtreeDelete struct {
	LatestRemovedXID pg.TransactionID
	BtreeVacuum
	CatalogRel bool // isCatalogRel: in the versions that log it
}

// ParseBtreeDelete reads the body of a DELETE record.
func ParseBtreeDelete(rec *Record) (BtreeDelete, error) {
	s, catalogRel, err := conflictStruct(rec.V, rec.MainData, "xl_btree_delete", 8)
	if err != nil {
		return BtreeDelete{}, err
	}
	return BtreeDelete{
		LatestRemovedXID: s.xid(0), BtreeVacuum: BtreeVacuum{NDeleted: int(s.u16(4)), NUpdated: int(s.u16(6))},
		CatalogRel: catalogRel,
	}, nil
}

// BtreeVacuum is xl_btree_vacuum: how many items go, and how many lose some TIDs.
type BtreeVacuum struct {
	NDeleted, NUpdated int
}

// ParseBtreeVacuum reads the body of a VACUUM record.
func ParseBtreeVacuum(rec *Record) (BtreeVacuum, error) {
	s, err := structOf(rec.MainData, "xl_btree_vacuum", 4)
	if err != nil {
		return BtreeVacuum{}, err
	}
	return BtreeVacuum{NDeleted: int(s.u16(0)), NUpdated: int(s.u16(2))}, nil
}

// CutBtreeUpdate takes an xl_btree_update off the front of b: the TIDs that a posting list loses, as indexes
// into it.
func CutBtreeUpdate(b []byte) (tids Offsets, rest []byte, err error) {
	s, err := structOf(b, "xl_btree_update", 2)
	if err != nil {
		return nil, nil, err
	}
	return CutOffsets(b[2:], int(s.u16(0)))
}

// BtreeUnlinkPage is xl_btree_unlink_page: a page and its siblings, and, if the page is not
// a leaf, the leaf of its subtree.
type BtreeUnlinkPage struct {
	Left, Right         pg.BlockNumber
	Level               uint32
	SafeXID             pg.FullTransactionID
	LeafLeft, LeafRight pg.BlockNumber
	LeafTopParent       pg.BlockNumber
}

// ParseBtreeUnlinkPage reads the body of an UNLINK_PAGE or UNLINK_PAGE_META record.
func ParseBtreeUnlinkPage(rec *Record) (BtreeUnlinkPage, error) {
	s, err := structOf(rec.MainData, "xl_btree_unlink_page", 36)
	if err != nil {
		return BtreeUnlinkPage{}, err
	}
	return BtreeUnlinkPage{
		Left: s.block(0), Right: s.block(4), Level: s.u32(8), SafeXID: s.fullXID(16),
		LeafLeft: s.block(24), LeafRight: s.block(28), LeafTopParent: s.block(32),
	}, nil
}

// BtreeNewRoot is xl_btree_newroot.
type BtreeNewRoot struct {
	Root  pg.BlockNumber // block 0 of the record
	Level uint32
}

// ParseBtreeNewRoot reads the body of a NEWROOT record.
func ParseBtreeNewRoot(rec *Record) (BtreeNewRoot, error) {
	s, err := structOf(rec.MainData, "xl_btree_newroot", 8)
	if err != nil {
		return BtreeNewRoot{}, err
	}
	return BtreeNewRoot{Root: s.block(0), Level: s.u32(4)}, nil
}

// BtreeMarkPageHalfDead is xl_btree_mark_page_halfdead.
type BtreeMarkPageHalfDead struct {
	ParentOff   pg.OffsetNumber // poffset: the parent's item that leads to the leaf
	Leaf        pg.BlockNumber  // block 0 of the record
	Left, Right pg.BlockNumber  // the leaf's siblings
	TopParent   pg.BlockNumber
}

// ParseBtreeMarkPageHalfDead reads the body of a MARK_PAGE_HALFDEAD record.
func ParseBtreeMarkPageHalfDead(rec *Record) (BtreeMarkPageHalfDead, error) {
	s, err := structOf(rec.MainData, "xl_btree_mark_page_halfdead", 20)
	if err != nil {
		return BtreeMarkPageHalfDead{}, err
	}
	return BtreeMarkPageHalfDead{ParentOff: s.item(0), Leaf: s.block(4), Left: s.block(8), Right: s.block(12), TopParent: s.block(16)}, nil
}

// ReusePage is xl_btree_reuse_page or gistxlogPageReuse, which are alike: a deleted page is
// used again, which queries on a standby may not expect.
type ReusePage struct {
	Rel              pg.RelFileLocator
	Block            pg.BlockNumber
	LatestRemovedXID pg.FullTransactionID
	CatalogRel       bool // isCatalogRel: in the versions that log it
}

// ParseBtreeReusePage reads the body of a REUSE_PAGE record.
func ParseBtreeReusePage(rec *Record) (ReusePage, error) {
	return parseReusePage(rec, "xl_btree_reuse_page")
}

func parseReusePage(rec *Record, name string) (ReusePage, error) {
	s, catalogRel, err := conflictStruct(rec.V, rec.MainData, name, 24)
	if err != nil {
		return ReusePage{}, err
	}
	return ReusePage{Rel: s.rel(0), Block: s.block(12), LatestRemovedXID: s.fullXID(16), CatalogRel: catalogRel}, nil
}

// BtreeMetadata is xl_btree_metadata: the contents of an index's metapage.
type BtreeMetadata struct {
	Version                uint32
	Root                   pg.BlockNumber
	Level                  uint32
	FastRoot               pg.BlockNumber
	FastLevel              uint32
	LastCleanupNumDelPages uint32
	AllEqualImage          uint8
}

// ParseBtreeMetadata reads the data of the block that is a record's metapage.
func ParseBtreeMetadata(blk *BlockRef) (BtreeMetadata, error) {
	if blk == nil {
		return BtreeMetadata{}, fmt.Errorf("xl_btree_metadata has no block: %w", ErrCorrupt)
	}
	s, err := structOf(blk.Data, "xl_btree_metadata", 28)
	if err != nil {
		return BtreeMetadata{}, err
	}
	return BtreeMetadata{
		Version: s.u32(0), Root: s.block(4), Level: s.u32(8), FastRoot: s.block(12), FastLevel: s.u32(16),
		LastCleanupNumDelPages: s.u32(20), AllEqualImage: s[24],
	}, nil
}
