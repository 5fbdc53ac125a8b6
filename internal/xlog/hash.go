package xlog

import (
	"fmt"

	"zenith/internal/pg"
)

// The bodies of Hash's records (access/hash_xlog.h).

// HashInitMetaPage is xl_hash_init_meta_page.
type HashInitMetaPage struct {
	NTuples    float64
	ProcID     pg.OID
	FillFactor uint16
}

// ParseHashInitMetaPage reads the body of an INIT_META_PAGE record.
func ParseHashInitMetaPage(rec *Record) (HashInitMetaPage, error) {
	s, err := structOf(rec.MainData, "xl_hash_init_meta_page", 14)
	if err != nil {
		return HashInitMetaPage{}, err
	}
	return HashInitMetaPage{NTuples: s.float64(0), ProcID: s.oid(8), FillFactor: s.u16(12)}, nil
}

// ParseHashInitBitmapPage reads xl_hash_init_bitmap_page: the bytes of a bitmap.
func ParseHashInitBitmapPage(rec *Record) (bitmapSize int, err error) {
	s, err := structOf(rec.MainData, "xl_hash_init_bitmap_page", 2)
	if err != nil {
		return 0, err
	}
	return int(s.u16(0)), nil
}

// ParseHashInsert reads xl_hash_insert: where the new item goes.
func ParseHashInsert(rec *Record) (pg.OffsetNumber, error) { return parseItem(rec, "xl_hash_insert") }

// HashAddOverflowPage is xl_hash_add_ovfl_page.
type HashAddOverflowPage struct {
	BitmapSize  int
	BitmapFound bool // bmpage_found: the page is one that was freed before
}

// ParseHashAddOverflowPage reads the body of an ADD_OVFL_PAGE record.
func ParseHashAddOverflowPage(rec *Record) (HashAddOverflowPage, error) {
	s, err := structOf(rec.MainData, "xl_hash_add_ovfl_page", 3)
	if err != nil {
		return HashAddOverflowPage{}, err
	}
	return HashAddOverflowPage{BitmapSize: int(s.u16(0)), BitmapFound: s.flag(2)}, nil
}

// HashSplitAllocatePage is xl_hash_split_allocate_page.
type HashSplitAllocatePage struct {
	NewBucket        uint32
	OldFlag, NewFlag uint16
	UpdateMasks      bool // XLH_SPLIT_META_UPDATE_MASKS: block 2 has low and high mask
	UpdateSplitpoint bool // XLH_SPLIT_META_UPDATE_SPLITPOINT: and the splitpoint and its spares
}

// ParseHashSplitAllocatePage reads the body of a SPLIT_ALLOCATE_PAGE record.
func ParseHashSplitAllocatePage(rec *Record) (HashSplitAllocatePage, error) {
	s, err := structOf(rec.MainData, "xl_hash_split_allocate_page", 9)
	if err != nil {
		return HashSplitAllocatePage{}, err
	}
	return HashSplitAllocatePage{
		NewBucket: s.u32(0), OldFlag: s.u16(4), NewFlag: s.u16(6),
		UpdateMasks: s[8]&1 != 0, UpdateSplitpoint: s[8]&2 != 0,
	}, nil
}

// HashSplitComplete is xl_hash_split_complete.
type HashSplitComplete struct {
	OldFlag, NewFlag uint16
}

// ParseHashSplitComplete reads the body of a SPLIT_COMPLETE record.
func ParseHashSplitComplete(rec *Record) (HashSplitComplete, error) {
	s, err := structOf(rec.MainData, "xl_hash_split_complete", 4)
	if err != nil {
		return HashSplitComplete{}, err
	}
	return HashSplitComplete{OldFlag: s.u16(0), NewFlag: s.u16(2)}, nil
}

// HashMovePageContents is xl_hash_move_page_contents.
type HashMovePageContents struct {
	NTuples   int
	IsPrimary bool // the bucket's first page is the one written to: there is no block 0
}

// ParseHashMovePageContents reads the body of a MOVE_PAGE_CONTENTS record.
func ParseHashMovePageContents(rec *Record) (HashMovePageContents, error) {
	s, err := structOf(rec.MainData, "xl_hash_move_page_contents", 3)
	if err != nil {
		return HashMovePageContents{}, err
	}
	return HashMovePageContents{NTuples: int(s.u16(0)), IsPrimary: s.flag(2)}, nil
}

// HashSqueezePage is xl_hash_squeeze_page.
type HashSqueezePage struct {
	Prev, Next  pg.BlockNumber // the freed page's neighbours
	NTuples     int
	IsPrimary   bool // as in HashMovePageContents
	PrevIsWrite bool // is_prev_bucket_same_wrt: the page before the freed one is block 1
}

// ParseHashSqueezePage reads the body of a SQUEEZE_PAGE record.
func ParseHashSqueezePage(rec *Record) (HashSqueezePage, error) {
	s, err := structOf(rec.MainData, "xl_hash_squeeze_page", 12)
	if err != nil {
		return HashSqueezePage{}, err
	}
	return HashSqueezePage{
		Prev: s.block(0), Next: s.block(4), NTuples: int(s.u16(8)),
		IsPrimary: s.flag(10), PrevIsWrite: s.flag(11),
	}, nil
}

// HashDelete is xl_hash_delete.
type HashDelete struct {
	ClearDeadMarking bool
	IsPrimary        bool // as in HashMovePageContents
}

// ParseHashDelete reads the body of a DELETE record.
func ParseHashDelete(rec *Record) (HashDelete, error) {
	s, err := structOf(rec.MainData, "xl_hash_delete", 2)
	if err != nil {
		return HashDelete{}, err
	}
	return HashDelete{ClearDeadMarking: s.flag(0), IsPrimary: s.flag(1)}, nil
}

// ParseHashUpdateMetaPage reads xl_hash_update_meta_page: how many tuples the index has.
func ParseHashUpdateMetaPage(rec *Record) (ntuples float64, err error) {
	s, err := structOf(rec.MainData, "xl_hash_update_meta_page", 8)
	if err != nil {
		return 0, err
	}
	return s.float64(0), nil
}

// HashVacuumOnePage is xl_hash_vacuum_one_page.
type HashVacuumOnePage struct {
	LatestRemovedXID pg.TransactionID
	NTuples          int
	CatalogRel       bool    // isCatalogRel: in the versions that log it
	Items            Offsets // of the tuples that go; none if the page comes as an image
}

// ParseHashVacuumOnePage reads the body of a VACUUM_ONE_PAGE record.
func ParseHashVacuumOnePage(rec *Record) (HashVacuumOnePage, error) {
	const size = 8
	s, err := structOf(rec.MainData, "xl_hash_vacuum_one_page", size)
	if err != nil {
		return HashVacuumOnePage{}, err
	}
	x := HashVacuumOnePage{LatestRemovedXID: s.xid(0), NTuples: int(s.i32(4))}
	if rec.V.ConflictCatalogRel {
		x.NTuples, x.CatalogRel = int(s.u16(4)), s.flag(6)
	}
	if len(s) == size {
		return x, nil
	}
	if x.NTuples < 0 || x.NTuples > pg.MaxIndexTuplesPerPage {
		return x, fmt.Errorf("xl_hash_vacuum_one_page of %d tuples: %w", x.NTuples, ErrCorrupt)
	}
	x.Items, err = wholeOffsets(s[size:], x.NTuples)
	return x, err
}
