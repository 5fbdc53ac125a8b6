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

// spgData reads a record's main data front to back. The first thing missing is kept
// as an error; what is read after it are zeros.
type spgData struct {
	rest []byte
	err  error
}

// spgHeader begins with the C struct: it gives its size bytes, and the reader of what
// follows, by value: it stays on the stack.
func spgHeader(rec *xlog.Record, name string, size int) ([]byte, spgData, error) {
	if len(rec.MainData) < size {
		return nil, spgData{}, corrupt("%s is %d bytes, want %d", name, len(rec.MainData), size)
	}
	return rec.MainData[:size], spgData{rest: rec.MainData[size:]}, nil
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
func (d *spgData) offsets(n int) offsets { return offsets(d.bytes(2 * n)) }

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
	h, data, err := spgHeader(rec, "spgxlogAddLeaf", 10)
	if err != nil {
		return err
	}
	var (
		off   = pg.OffsetNumber(binary.LittleEndian.Uint16(h[2:]))
		head  = pg.OffsetNumber(binary.LittleEndian.Uint16(h[4:]))
		tuple = data.leafTuple()
	)
	if data.err != nil {
		return data.err
	}
	if blk.ID == 1 {
		leaf, err := blockNumber(rec, 0)
		if err != nil {
			return err
		}
		link := spgLink{
			parent: pg.OffsetNumber(binary.LittleEndian.Uint16(h[6:])),
			nodeI:  int(binary.LittleEndian.Uint16(h[8:])),
			to:     pg.ItemPointer{Block: leaf, Offset: off},
		}
		return link.set(page)
	}
	if newPage := h[0] != 0; newPage {
		spgInitLeaf(page, h[1] != 0)
	}
	if off == head { // in place of a dead tuple
		return spgReplaceTuple(page, tuple, off)
	}
	if err := spgAddOrReplaceTuple(page, tuple, off); err != nil {
		return err
	}
	if head == 0 {
		return nil
	}
	return spgSetNextOffset(page, head, off)
}

// xlSpgMoveLeafs is spgxlogMoveLeafs with what follows it but the tuples.
type xlSpgMoveLeafs struct {
	newPage, nulls bool
	toDelete       offsets
	toInsert       offsets
	link           spgLink // its to: the last tuple inserted
	dead           spgDeadTuple
}

func parseXLSpgMoveLeafs(rec *xlog.Record) (xl xlSpgMoveLeafs, data spgData, err error) {
	h, data, err := spgHeader(rec, "spgxlogMoveLeafs", 20)
	if err != nil {
		return xl, data, err
	}
	nMoves := int(binary.LittleEndian.Uint16(h))
	nInsert := nMoves + 1
	if replaceDead := h[3] != 0; replaceDead {
		nInsert = 1
	}
	xl = xlSpgMoveLeafs{newPage: h[2] != 0, nulls: h[4] != 0, toDelete: data.offsets(nMoves), toInsert: data.offsets(nInsert)}
	if data.err != nil {
		return xl, data, data.err
	}
	dst, err := blockNumber(rec, 1)
	if err != nil {
		return xl, data, err
	}
	xl.link = spgLink{
		parent: pg.OffsetNumber(binary.LittleEndian.Uint16(h[6:])),
		nodeI:  int(binary.LittleEndian.Uint16(h[8:])),
		to:     pg.ItemPointer{Block: dst, Offset: xl.toInsert.at(nInsert - 1)},
	}
	xl.dead = spgParseState(h[12:]).deadTuple(xl.link.to)
	return xl, data, nil
}

// spgMoveLeafs is spgRedoMoveLeafs: tuples go from block 0 to block 1, block 2 is the
// parent.
func spgMoveLeafs(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	xl, data, err := parseXLSpgMoveLeafs(rec)
	if err != nil {
		return err
	}
	switch blk.ID {
	case 0:
		return spgMultiDelete(page, xl.toDelete, xl.dead, spgPlaceholderTuple)
	case 2:
		return xl.link.set(page)
	}
	if xl.newPage {
		spgInitLeaf(page, xl.nulls)
	}
	for i := range xl.toInsert.len() {
		tuple := data.leafTuple()
		if data.err != nil {
			return data.err
		}
		if err := spgAddOrReplaceTuple(page, tuple, xl.toInsert.at(i)); err != nil {
			return err
		}
	}
	return nil
}

// spgAddNode is spgRedoAddNode: an inner tuple got one more node. It is replaced
// where it is (block 0, alone), or moved from block 0 to block 1, with a redirection
// left behind; then the parent's tuple is on block 0, 1 or 2.
func spgAddNode(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	h, data, err := spgHeader(rec, "spgxlogAddNode", 20)
	if err != nil {
		return err
	}
	tuple := data.innerTuple()
	if data.err != nil {
		return data.err
	}
	off := pg.OffsetNumber(binary.LittleEndian.Uint16(h))
	dst := rec.Block(1)
	if dst == nil {
		return spgReplaceTuple(page, tuple, off)
	}
	link := spgLink{
		parent: pg.OffsetNumber(binary.LittleEndian.Uint16(h[6:])),
		nodeI:  int(binary.LittleEndian.Uint16(h[8:])),
		to:     pg.ItemPointer{Block: dst.Tag.Block, Offset: pg.OffsetNumber(binary.LittleEndian.Uint16(h[2:]))},
	}
	switch blk.ID {
	case 0:
		err = spgLeaveDeadTuple(page, spgParseState(h[12:]).deadTuple(link.to), off)
	case 1:
		if newPage := h[4] != 0; newPage {
			spgInitPage(page, 0)
		}
		err = spgAddOrReplaceTuple(page, tuple, link.to.Offset)
	}
	if err != nil {
		return err
	}
	if parentBlk := int8(h[5]); int8(blk.ID) == parentBlk {
		return link.set(page)
	}
	return nil
}

// spgSplitTuple is spgRedoSplitTuple: an inner tuple becomes two, the prefix where it
// was on block 0, the postfix there too or on block 1.
func spgSplitTuple(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	h, data, err := spgHeader(rec, "spgxlogSplitTuple", 6)
	if err != nil {
		return err
	}
	prefix, postfix := data.innerTuple(), data.innerTuple()
	if data.err != nil {
		return data.err
	}
	var (
		prefixOff  = pg.OffsetNumber(binary.LittleEndian.Uint16(h))
		postfixOff = pg.OffsetNumber(binary.LittleEndian.Uint16(h[2:]))
		newPage    = h[4] != 0
		sameBlock  = h[5] != 0
	)
	if blk.ID == 1 {
		if newPage {
			spgInitPage(page, 0)
		}
		return spgAddOrReplaceTuple(page, postfix, postfixOff)
	}
	if err := spgReplaceTuple(page, prefix, prefixOff); err != nil || !sameBlock {
		return err
	}
	return spgAddOrReplaceTuple(page, postfix, postfixOff)
}
