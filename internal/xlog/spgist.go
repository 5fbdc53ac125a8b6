package xlog

import "zenith/internal/pg"

// The bodies of SPGist's records (access/spgxlog.h). Rest is what follows the struct:
// arrays of item numbers and tuples, whose lengths they do not say themselves.

// SpgState is spgxlogState: what redo needs of the primary's SpGistState.
type SpgState struct {
	XID     pg.TransactionID // myXid, for redirections
	IsBuild bool
}

func (s cstruct) spgState(off int) SpgState {
	return SpgState{XID: s.xid(off), IsBuild: s.flag(off + 4)}
}

// SpgAddLeaf is spgxlogAddLeaf. Rest is the leaf tuple.
type SpgAddLeaf struct {
	NewPage, StoresNulls bool
	Off, HeadOff         pg.OffsetNumber
	ParentOff            pg.OffsetNumber
	NodeI                int
	Rest                 []byte
}

// ParseSpgAddLeaf reads the body of an ADD_LEAF record.
func ParseSpgAddLeaf(rec *Record) (SpgAddLeaf, error) {
	const size = 10
	s, err := structOf(rec.MainData, "spgxlogAddLeaf", size)
	if err != nil {
		return SpgAddLeaf{}, err
	}
	return SpgAddLeaf{
		NewPage: s.flag(0), StoresNulls: s.flag(1), Off: s.item(2), HeadOff: s.item(4),
		ParentOff: s.item(6), NodeI: int(s.u16(8)), Rest: s[size:],
	}, nil
}

// SpgMoveLeafs is spgxlogMoveLeafs. Rest is the numbers of the items that go, of those that
// come, and the tuples that come.
type SpgMoveLeafs struct {
	NMoves               int
	NewPage, ReplaceDead bool
	StoresNulls          bool
	ParentOff            pg.OffsetNumber
	NodeI                int
	State                SpgState
	Rest                 []byte
}

// ParseSpgMoveLeafs reads the body of a MOVE_LEAFS record.
func ParseSpgMoveLeafs(rec *Record) (SpgMoveLeafs, error) {
	const size = 20
	s, err := structOf(rec.MainData, "spgxlogMoveLeafs", size)
	if err != nil {
		return SpgMoveLeafs{}, err
	}
	return SpgMoveLeafs{
		NMoves: int(s.u16(0)), NewPage: s.flag(2), ReplaceDead: s.flag(3), StoresNulls: s.flag(4),
		ParentOff: s.item(6), NodeI: int(s.u16(8)), State: s.spgState(12), Rest: s[size:],
	}, nil
}

// SpgAddNode is spgxlogAddNode. Rest is the inner tuple.
type SpgAddNode struct {
	Off, NewOff pg.OffsetNumber
	NewPage     bool
	ParentBlk   int8 // the parent's block in the record; -1: it does not change
	ParentOff   pg.OffsetNumber
	NodeI       int
	State       SpgState
	Rest        []byte
}

// ParseSpgAddNode reads the body of an ADD_NODE record.
func ParseSpgAddNode(rec *Record) (SpgAddNode, error) {
	const size = 20
	s, err := structOf(rec.MainData, "spgxlogAddNode", size)
	if err != nil {
		return SpgAddNode{}, err
	}
	return SpgAddNode{
		Off: s.item(0), NewOff: s.item(2), NewPage: s.flag(4), ParentBlk: int8(s[5]),
		ParentOff: s.item(6), NodeI: int(s.u16(8)), State: s.spgState(12), Rest: s[size:],
	}, nil
}

// SpgSplitTuple is spgxlogSplitTuple. Rest is the prefix tuple and the postfix tuple.
type SpgSplitTuple struct {
	PrefixOff, PostfixOff pg.OffsetNumber
	NewPage               bool
	SameBlock             bool // the postfix is on the prefix's page
	Rest                  []byte
}

// ParseSpgSplitTuple reads the body of a SPLIT_TUPLE record.
func ParseSpgSplitTuple(rec *Record) (SpgSplitTuple, error) {
	const size = 6
	s, err := structOf(rec.MainData, "spgxlogSplitTuple", size)
	if err != nil {
		return SpgSplitTuple{}, err
	}
	return SpgSplitTuple{PrefixOff: s.item(0), PostfixOff: s.item(2), NewPage: s.flag(4), SameBlock: s.flag(5), Rest: s[size:]}, nil
}

// SpgPickSplit is spgxlogPickSplit. Rest is the numbers of the items that go, of those that
// come, a byte for each of these that says on which page it comes, the inner tuple, and the
// leaf tuples.
type SpgPickSplit struct {
	IsRootSplit       bool
	NDelete, NInsert  int
	InitSrc, InitDest bool
	InnerOff          pg.OffsetNumber
	InitInner         bool
	StoresNulls       bool
	InnerIsParent     bool
	ParentOff         pg.OffsetNumber
	NodeI             int
	State             SpgState
	Rest              []byte
}

// ParseSpgPickSplit reads the body of a PICKSPLIT record.
func ParseSpgPickSplit(rec *Record) (SpgPickSplit, error) {
	const size = 28
	s, err := structOf(rec.MainData, "spgxlogPickSplit", size)
	if err != nil {
		return SpgPickSplit{}, err
	}
	return SpgPickSplit{
		IsRootSplit: s.flag(0), NDelete: int(s.u16(2)), NInsert: int(s.u16(4)), InitSrc: s.flag(6), InitDest: s.flag(7),
		InnerOff: s.item(8), InitInner: s.flag(10), StoresNulls: s.flag(11), InnerIsParent: s.flag(12),
		ParentOff: s.item(14), NodeI: int(s.u16(16)), State: s.spgState(20), Rest: s[size:],
	}, nil
}

// SpgVacuumLeaf is spgxlogVacuumLeaf. Rest is item numbers: of those that become dead, that
// become placeholders, from where and to where some move, and which are linked to which.
type SpgVacuumLeaf struct {
	NDead, NPlaceholder int
	NMove, NChain       int
	Rest                []byte
}

// ParseSpgVacuumLeaf reads the body of a VACUUM_LEAF record.
func ParseSpgVacuumLeaf(rec *Record) (SpgVacuumLeaf, error) {
	const size = 16
	s, err := structOf(rec.MainData, "spgxlogVacuumLeaf", size)
	if err != nil {
		return SpgVacuumLeaf{}, err
	}
	return SpgVacuumLeaf{
		NDead: int(s.u16(0)), NPlaceholder: int(s.u16(2)), NMove: int(s.u16(4)), NChain: int(s.u16(6)),
		Rest: s[size:],
	}, nil
}

// ParseSpgVacuumRoot reads spgxlogVacuumRoot: the items that go.
func ParseSpgVacuumRoot(rec *Record) (toDelete Offsets, err error) {
	const size = 12
	s, err := structOf(rec.MainData, "spgxlogVacuumRoot", size)
	if err != nil {
		return nil, err
	}
	toDelete, _, err = CutOffsets(s[size:], int(s.u16(0)))
	return toDelete, err
}

// SpgVacuumRedirect is spgxlogVacuumRedirect.
type SpgVacuumRedirect struct {
	FirstPlaceholder  pg.OffsetNumber // items from there on go; 0: none do
	NewestRedirectXID pg.TransactionID
	CatalogRel        bool // isCatalogRel: in the versions that log it
	ToPlaceholder     Offsets
}

// ParseSpgVacuumRedirect reads the body of a VACUUM_REDIRECT record.
func ParseSpgVacuumRedirect(rec *Record) (SpgVacuumRedirect, error) {
	size := 8
	if rec.V.ConflictCatalogRel {
		size = 10 // with the byte isCatalogRel and one of padding
	}
	s, err := structOf(rec.MainData, "spgxlogVacuumRedirect", size)
	if err != nil {
		return SpgVacuumRedirect{}, err
	}
	x := SpgVacuumRedirect{
		FirstPlaceholder: s.item(2), NewestRedirectXID: s.xid(4),
		CatalogRel: rec.V.ConflictCatalogRel && s.flag(8),
	}
	x.ToPlaceholder, err = wholeOffsets(s[size:], int(s.u16(0)))
	return x, err
}
