package walredo

import (
	"encoding/binary"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// spgistRmgr is SPGist, in access/spgist/spgxlog.c. Its records keep all they have in
// the main data; each of their blocks takes its part of that.
var spgistRmgr = rmgr{
	name: "SPGist",
	ops: ops{
		0x1: {name: "ADD_LEAF", redo: spgAddLeaf},
		0x2: {name: "MOVE_LEAFS", redo: spgMoveLeafs},
		0x3: {name: "ADD_NODE", redo: spgAddNode},
		0x4: {name: "SPLIT_TUPLE", redo: spgSplitTuple},
		0x5: {name: "PICKSPLIT", redo: spgPickSplit},
		0x6: {name: "VACUUM_LEAF", redo: spgVacuumLeaf},
		0x7: {name: "VACUUM_ROOT", redo: spgVacuumRoot},
		0x8: {name: "VACUUM_REDIRECT", redo: spgVacuumRedirect},
	},
	mask: spgMask,
}

// spgData reads what follows the C struct in a record's main data, front to back. The
// first thing missing is kept as an error; what is read after it are zeros. It is passed by
// value where it can be, so that it stays on the stack.
type spgData struct {
	rest []byte
	err  error
}

// bytes takes the next n bytes.
func (d *spgData) bytes(n int) []byte {
	if d.err == nil && n > len(d.rest) {
		d.err = corrupt("record ends %d bytes before what it promises", n-len(d.rest))
	}
	if d.err != nil {
		return nil
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

// offsets takes the next n offset numbers.
func (d *spgData) offsets(n int) xlog.Offsets { return xlog.Offsets(d.bytes(2 * n)) }

// leafTuple takes the next tuple, a leaf's.
func (d *spgData) leafTuple() []byte {
	if d.err == nil && len(d.rest) >= spgDeadTupleSize {
		return d.bytes(max(spgDeadTupleSize, int(binary.LittleEndian.Uint32(d.rest)>>2)))
	}
	return d.bytes(spgDeadTupleSize)
}

// innerTuple takes the next tuple, an inner one.
func (d *spgData) innerTuple() []byte {
	if d.err == nil && len(d.rest) >= spgDeadTupleSize {
		return d.bytes(max(spgDeadTupleSize, int(binary.LittleEndian.Uint16(d.rest[4:]))))
	}
	return d.bytes(spgDeadTupleSize)
}

// spgLink is a downlink to be set: that of node nodeI of the inner tuple parent.
type spgLink struct {
	parent pg.OffsetNumber
	nodeI  int
	to     pg.ItemPointer
}

// set is spgUpdateNodeLink.
func (l *spgLink) set(page pg.Page) error {
	tuple, err := page.Item(l.parent)
	if err != nil {
		return err
	}
	if len(tuple) < spgInnerHeader {
		return corrupt("inner tuple of %d bytes", len(tuple))
	}
	head := binary.LittleEndian.Uint32(tuple)
	nNodes, prefixSize := int(head>>3&0x1FFF), int(head>>16)
	if l.nodeI >= nNodes || spgInnerHeader+prefixSize > len(tuple) {
		return corrupt("node %d of an inner tuple with %d, prefix of %d bytes in %d", l.nodeI, nNodes, prefixSize, len(tuple))
	}
	node := tuple[spgInnerHeader+prefixSize:]
	for range l.nodeI {
		size, err := indexTupleSize(node)
		if err != nil {
			return err
		}
		node = node[size:]
	}
	if len(node) < pg.ItemPointerSize {
		return corrupt("node %d is not in its inner tuple", l.nodeI)
	}
	l.to.Put(node)
	return nil
}

// spgAddLeaf is spgRedoAddLeaf: block 0 gets the leaf tuple, block 1 is the parent if
// its downlink changes.
func spgAddLeaf(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	x, err := xlog.ParseSpgAddLeaf(rec)
	if err != nil {
		return err
	}
	data := spgData{rest: x.Rest}
	tuple := data.leafTuple()
	if data.err != nil {
		return data.err
	}
	if blk.ID == 1 {
		leaf, err := blockNumber(rec, 0)
		if err != nil {
			return err
		}
		link := spgLink{parent: x.ParentOff, nodeI: x.NodeI, to: pg.ItemPointer{Block: leaf, Offset: x.Off}}
		return link.set(page)
	}
	if x.NewPage {
		spgInitLeaf(page, x.StoresNulls)
	}
	if x.Off == x.HeadOff { // in place of a dead tuple
		return spgReplaceTuple(page, tuple, x.Off)
	}
	if err := spgAddOrReplaceTuple(page, tuple, x.Off); err != nil {
		return err
	}
	if x.HeadOff == 0 {
		return nil
	}
	return spgSetNextOffset(page, x.HeadOff, x.Off)
}

// spgMoves is what an xlog.SpgMoveLeafs moves.
type spgMoves struct {
	toDelete, toInsert xlog.Offsets
	link               spgLink // points to the last tuple inserted
	dead               spgDeadTuple
}

// newSpgMoves reads what follows the struct but the tuples, at which it leaves data.
func newSpgMoves(rec *xlog.Record, x *xlog.SpgMoveLeafs) (m spgMoves, data spgData, err error) {
	data.rest = x.Rest
	nInsert := x.NMoves + 1
	if x.ReplaceDead {
		nInsert = 1
	}
	m.toDelete, m.toInsert = data.offsets(x.NMoves), data.offsets(nInsert)
	if data.err != nil {
		return m, data, data.err
	}
	dst, err := blockNumber(rec, 1)
	if err != nil {
		return m, data, err
	}
	m.link = spgLink{parent: x.ParentOff, nodeI: x.NodeI, to: pg.ItemPointer{Block: dst, Offset: m.toInsert.At(nInsert - 1)}}
	m.dead = spgDeadTupleTo(x.State, m.link.to)
	return m, data, nil
}

// spgMoveLeafs is spgRedoMoveLeafs: tuples go from block 0 to block 1, block 2 is the
// parent.
func spgMoveLeafs(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	x, err := xlog.ParseSpgMoveLeafs(rec)
	if err != nil {
		return err
	}
	m, data, err := newSpgMoves(rec, &x)
	if err != nil {
		return err
	}
	switch blk.ID {
	case 0:
		return spgMultiDelete(page, m.toDelete, m.dead, spgPlaceholderTuple)
	case 2:
		return m.link.set(page)
	}
	if x.NewPage {
		spgInitLeaf(page, x.StoresNulls)
	}
	for i := range m.toInsert.Len() {
		tuple := data.leafTuple()
		if data.err != nil {
			return data.err
		}
		if err := spgAddOrReplaceTuple(page, tuple, m.toInsert.At(i)); err != nil {
			return err
		}
	}
	return nil
}

// spgAddNode is spgRedoAddNode: an inner tuple got one more node. It is replaced
// where it is (block 0, alone), or moved from block 0 to block 1, with a redirection
// left behind; then the parent's tuple is on block 0, 1 or 2.
func spgAddNode(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	x, err := xlog.ParseSpgAddNode(rec)
	if err != nil {
		return err
	}
	data := spgData{rest: x.Rest}
	tuple := data.innerTuple()
	if data.err != nil {
		return data.err
	}
	dst := rec.Block(1)
	if dst == nil {
		return spgReplaceTuple(page, tuple, x.Off)
	}
	link := spgLink{parent: x.ParentOff, nodeI: x.NodeI, to: pg.ItemPointer{Block: dst.Tag.Block, Offset: x.NewOff}}
	switch blk.ID {
	case 0:
		err = spgLeaveDeadTuple(page, spgDeadTupleTo(x.State, link.to), x.Off)
	case 1:
		if x.NewPage {
			spgInitPage(page, 0)
		}
		err = spgAddOrReplaceTuple(page, tuple, link.to.Offset)
	}
	if err != nil {
		return err
	}
	if int8(blk.ID) == x.ParentBlk {
		return link.set(page)
	}
	return nil
}

// spgSplitTuple is spgRedoSplitTuple: an inner tuple becomes two, the prefix where it
// was on block 0, the postfix there too or on block 1.
func spgSplitTuple(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	x, err := xlog.ParseSpgSplitTuple(rec)
	if err != nil {
		return err
	}
	data := spgData{rest: x.Rest}
	prefix, postfix := data.innerTuple(), data.innerTuple()
	if data.err != nil {
		return data.err
	}
	if blk.ID == 1 {
		if x.NewPage {
			spgInitPage(page, 0)
		}
		return spgAddOrReplaceTuple(page, postfix, x.PostfixOff)
	}
	if err := spgReplaceTuple(page, prefix, x.PrefixOff); err != nil || !x.SameBlock {
		return err
	}
	return spgAddOrReplaceTuple(page, postfix, x.PostfixOff)
}
