package xlog

import (
	"encoding/binary"
	"fmt"

	"zenith/internal/pg"
)

// The bodies of Gin's records (access/ginxlog.h).

// GinCreatePostingTree is ginxlogCreatePostingTree: the contents of the tree's one leaf.
type GinCreatePostingTree struct {
	PostingLists []byte
}

// ParseGinCreatePostingTree reads the body of a CREATE_PTREE record.
func ParseGinCreatePostingTree(rec *Record) (GinCreatePostingTree, error) {
	const header = 4
	s, err := structOf(rec.MainData, "ginxlogCreatePostingTree", header)
	if err != nil {
		return GinCreatePostingTree{}, err
	}
	size := s.u32(0)
	if uint64(size) > uint64(len(s)-header) {
		return GinCreatePostingTree{}, fmt.Errorf("posting tree of %d bytes in a record with %d: %w", size, len(s)-header, ErrCorrupt)
	}
	return GinCreatePostingTree{PostingLists: s[header : header+int(size)]}, nil
}

// Flags of ginxlogInsert and ginxlogSplit.
const (
	ginInsertIsData = 0x01
	ginInsertIsLeaf = 0x02
	ginSplitRoot    = 0x04
)

// GinFlags are the flags of ginxlogInsert and ginxlogSplit.
type GinFlags uint16

// IsData says that the page is one of a posting tree, not of the entry tree.
func (f GinFlags) IsData() bool { return f&ginInsertIsData != 0 }

// IsLeaf says that the page is a leaf.
func (f GinFlags) IsLeaf() bool { return f&ginInsertIsLeaf != 0 }

// IsRootSplit says that a root was split.
func (f GinFlags) IsRootSplit() bool { return f&ginSplitRoot != 0 }

// GinInsert is ginxlogInsert, with the children's numbers that follow it.
type GinInsert struct {
	GinFlags
	// The children whose split the new item completes: InvalidBlockNumber on a leaf.
	LeftChild, RightChild pg.BlockNumber
}

// ParseGinInsert reads the body of an INSERT record.
func ParseGinInsert(rec *Record) (GinInsert, error) {
	const name = "ginxlogInsert"
	s, err := structOf(rec.MainData, name, 2)
	if err != nil {
		return GinInsert{}, err
	}
	x := GinInsert{GinFlags: GinFlags(s.u16(0)), LeftChild: pg.InvalidBlockNumber, RightChild: pg.InvalidBlockNumber}
	if x.IsLeaf() {
		return x, nil
	}
	if s, err = structOf(s, name, 10); err != nil {
		return GinInsert{}, err
	}
	x.LeftChild, x.RightChild = s.blockID(2), s.blockID(6)
	return x, nil
}

// GinInsertEntry is ginxlogInsertEntry: what an INSERT into a page of the entry tree has as
// its block's data.
type GinInsertEntry struct {
	Off      pg.OffsetNumber
	IsDelete bool   // the item that is there goes
	Tuple    []byte // an index tuple, and perhaps more
}

// ParseGinInsertEntry reads a block's data.
func ParseGinInsertEntry(data []byte) (GinInsertEntry, error) {
	const header = 4
	s, err := structOf(data, "ginxlogInsertEntry", header)
	if err != nil {
		return GinInsertEntry{}, err
	}
	return GinInsertEntry{Off: s.item(0), IsDelete: s.flag(2), Tuple: s[header:]}, nil
}

// GinInsertDataInternal is ginxlogInsertDataInternal: what an INSERT into an inner page of a
// posting tree has as its block's data.
type GinInsertDataInternal struct {
	Off pg.OffsetNumber
	// The new PostingItem.
	Child pg.BlockNumber
	Key   pg.ItemPointer
}

// ParseGinInsertDataInternal reads a block's data.
func ParseGinInsertDataInternal(data []byte) (GinInsertDataInternal, error) {
	s, err := structOf(data, "ginxlogInsertDataInternal", 12)
	if err != nil {
		return GinInsertDataInternal{}, err
	}
	return GinInsertDataInternal{Off: s.item(0), Child: s.blockID(2), Key: s.tid(6)}, nil
}

// GinRecompressDataLeaf is ginxlogRecompressDataLeaf: what an INSERT into a leaf of a posting
// tree, and a VACUUM_DATA_LEAF_PAGE, have as their block's data.
type GinRecompressDataLeaf struct {
	NActions int
	Actions  []byte // for CutGinSegmentAction
}

// ParseGinRecompressDataLeaf reads a block's data.
func ParseGinRecompressDataLeaf(data []byte) (GinRecompressDataLeaf, error) {
	s, err := structOf(data, "ginxlogRecompressDataLeaf", 2)
	if err != nil {
		return GinRecompressDataLeaf{}, err
	}
	return GinRecompressDataLeaf{NActions: int(s.u16(0)), Actions: s[2:]}, nil
}

// GinSegmentAction is ginxlogSegmentAction: what happens to one of the posting lists.
type GinSegmentAction struct {
	Segno   uint8
	Kind    uint8  // GinSegment*; others are not known
	Segment []byte // of GinSegmentInsert and GinSegmentReplace: a GinPostingList
	Items   []byte // of GinSegmentAddItems: an array of ItemPointerData
}

// Kinds of GinSegmentAction.
const (
	GinSegmentDelete   = 1
	GinSegmentInsert   = 2
	GinSegmentReplace  = 3
	GinSegmentAddItems = 4
)

// CutGinSegmentAction takes an action off the front of b. Behind one of an unknown kind
// there is nothing: nobody knows how long it is.
func CutGinSegmentAction(b []byte) (a GinSegmentAction, rest []byte, err error) {
	s, err := structOf(b, "ginxlogSegmentAction", 2)
	if err != nil {
		return a, nil, err
	}
	a.Segno, a.Kind, rest = s[0], s[1], s[2:]
	switch a.Kind {
	case GinSegmentDelete:
		return a, rest, nil
	case GinSegmentInsert, GinSegmentReplace:
		a.Segment, rest, err = CutGinPostingList(rest)
		return a, rest, err
	case GinSegmentAddItems:
		if s, err = structOf(rest, "ginxlogSegmentAction's nitems", 2); err != nil {
			return a, nil, err
		}
		n := pg.ItemPointerSize * int(s.u16(0))
		if n > len(s)-2 {
			return a, nil, fmt.Errorf("gin segment action adds %d bytes of items, has %d: %w", n, len(s)-2, ErrCorrupt)
		}
		a.Items = s[2 : 2+n]
		return a, s[2+n:], nil
	default:
		return a, nil, nil
	}
}

// GinPostingListHeader is offsetof(GinPostingList, bytes).
const GinPostingListHeader = 8

// CutGinPostingList takes the GinPostingList that b starts with, of a record or of a page,
// off its front. What the list holds is not looked at.
func CutGinPostingList(b []byte) (segment, rest []byte, err error) {
	if len(b) < GinPostingListHeader {
		return nil, nil, errStruct("GinPostingList", len(b), GinPostingListHeader)
	}
	size := GinPostingListHeader + (int(binary.LittleEndian.Uint16(b[6:]))+1)&^1
	if size > len(b) {
		return nil, nil, fmt.Errorf("GinPostingList of %d bytes in %d: %w", size, len(b), ErrCorrupt)
	}
	return b[:size], b[size:], nil
}

// GinSplit is ginxlogSplit, less what only the primary's own checks need.
type GinSplit struct {
	GinFlags
	LeftChild, RightChild pg.BlockNumber // whose split is complete with this one; InvalidBlockNumber: there is none
}

// ParseGinSplit reads the body of a SPLIT record. Redo needs nothing of it: the pages come as images.
func ParseGinSplit(rec *Record) (GinSplit, error) {
	s, err := structOf(rec.MainData, "ginxlogSplit", 26)
	if err != nil {
		return GinSplit{}, err
	}
	return GinSplit{LeftChild: s.block(16), RightChild: s.block(20), GinFlags: GinFlags(s.u16(24))}, nil
}

// GinDeletePage is ginxlogDeletePage.
type GinDeletePage struct {
	ParentOff pg.OffsetNumber
	RightLink pg.BlockNumber
	DeleteXID pg.TransactionID
}

// ParseGinDeletePage reads the body of a DELETE_PAGE record.
func ParseGinDeletePage(rec *Record) (GinDeletePage, error) {
	s, err := structOf(rec.MainData, "ginxlogDeletePage", 12)
	if err != nil {
		return GinDeletePage{}, err
	}
	return GinDeletePage{ParentOff: s.item(0), RightLink: s.block(4), DeleteXID: s.xid(8)}, nil
}

// GinMetaPageSize is sizeof(GinMetaPageData).
const GinMetaPageSize = 56

// GinUpdateMeta is ginxlogUpdateMeta.
type GinUpdateMeta struct {
	Metadata     []byte // GinMetaPageData
	PrevTail     pg.BlockNumber
	NewRightLink pg.BlockNumber
	NTuples      int // >0: so many index tuples are appended to the tail page
}

// ParseGinUpdateMeta reads the body of an UPDATE_META_PAGE record.
func ParseGinUpdateMeta(rec *Record) (GinUpdateMeta, error) {
	s, err := structOf(rec.MainData, "ginxlogUpdateMeta", 84)
	if err != nil {
		return GinUpdateMeta{}, err
	}
	return GinUpdateMeta{
		Metadata: s[16 : 16+GinMetaPageSize],
		PrevTail: s.block(72), NewRightLink: s.block(76), NTuples: int(s.i32(80)),
	}, nil
}

// GinInsertListPage is ginxlogInsertListPage.
type GinInsertListPage struct {
	RightLink pg.BlockNumber
	NTuples   int
}

// ParseGinInsertListPage reads the body of an INSERT_LISTPAGE record.
func ParseGinInsertListPage(rec *Record) (GinInsertListPage, error) {
	s, err := structOf(rec.MainData, "ginxlogInsertListPage", 8)
	if err != nil {
		return GinInsertListPage{}, err
	}
	return GinInsertListPage{RightLink: s.block(0), NTuples: int(s.i32(4))}, nil
}

// GinDeleteListPages is ginxlogDeleteListPages.
type GinDeleteListPages struct {
	Metadata []byte // GinMetaPageData
	NDeleted int
}

// ParseGinDeleteListPages reads the body of a DELETE_LISTPAGE record.
func ParseGinDeleteListPages(rec *Record) (GinDeleteListPages, error) {
	s, err := structOf(rec.MainData, "ginxlogDeleteListPages", GinMetaPageSize+4)
	if err != nil {
		return GinDeleteListPages{}, err
	}
	return GinDeleteListPages{Metadata: s[:GinMetaPageSize], NDeleted: int(s.i32(GinMetaPageSize))}, nil
}
