package walredo

import (
	"encoding/binary"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// xlSpgPickSplit is spgxlogPickSplit with what follows it but the leaf tuples.
type xlSpgPickSplit struct {
	isRootSplit, initSrc, initDest bool
	initInner, nulls               bool
	innerIsParent                  bool
	toDelete, toInsert             offsets
	toDest                         []byte // leafPageSelect: not 0 where a leaf tuple goes to block 1
	inner                          []byte
	link                           spgLink // to the new inner tuple
	dead                           spgDeadTuple
}

func parseXLSpgPickSplit(rec *xlog.Record) (xl xlSpgPickSplit, data spgData, err error) {
	h, data, err := spgHeader(rec, "spgxlogPickSplit", 28)
	if err != nil {
		return xl, data, err
	}
	innerBlk, err := blockNumber(rec, 2)
	if err != nil {
		return xl, data, err
	}
	nInsert := int(binary.LittleEndian.Uint16(h[4:]))
	xl = xlSpgPickSplit{
		isRootSplit: h[0] != 0, initSrc: h[6] != 0, initDest: h[7] != 0,
		initInner: h[10] != 0, nulls: h[11] != 0,
		innerIsParent: h[12] != 0,
		toDelete:      data.offsets(int(binary.LittleEndian.Uint16(h[2:]))),
		toInsert:      data.offsets(nInsert),
		toDest:        data.bytes(nInsert),
		inner:         data.innerTuple(),
		link: spgLink{
			parent: pg.OffsetNumber(binary.LittleEndian.Uint16(h[14:])),
			nodeI:  int(binary.LittleEndian.Uint16(h[16:])),
			to:     pg.ItemPointer{Block: innerBlk, Offset: pg.OffsetNumber(binary.LittleEndian.Uint16(h[8:]))},
		},
	}
	xl.dead = spgParseState(h[20:]).deadTuple(xl.link.to)
	return xl, data, data.err
}

// spgPickSplit is spgRedoPickSplit: the leaf tuples of block 0 are distributed over
// blocks 0 and 1 below a new inner tuple on block 2, to which the parent leads, on
// block 2 or 3. Not all of these blocks are there always.
func spgPickSplit(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	xl, data, err := parseXLSpgPickSplit(rec)
	if err != nil {
		return err
	}
	switch blk.ID {
	case 0:
		return xl.source(page, &data)
	case 1:
		if xl.initDest {
			spgInitLeaf(page, xl.nulls)
		}
		return xl.addLeafTuples(page, &data, true)
	case 2:
		return xl.addInner(page)
	default:
		return xl.link.set(page)
	}
}

// source redoes block 0. (A root that is split comes as block 2 alone.)
func (xl *xlSpgPickSplit) source(page pg.Page, data *spgData) error {
	if xl.isRootSplit {
		return corrupt("root split has a source page")
	}
	if xl.initSrc {
		spgInitLeaf(page, xl.nulls)
	} else if err := spgMultiDelete(page, xl.toDelete, xl.dead, spgPlaceholderTuple); err != nil {
		return err
	}
	return xl.addLeafTuples(page, data, false)
}

// addLeafTuples adds the leaf tuples that go to the destination page, or those that
// go to the source page.
func (xl *xlSpgPickSplit) addLeafTuples(page pg.Page, data *spgData, dest bool) error {
	for i := range xl.toInsert.len() {
		tuple := data.leafTuple()
		if data.err != nil {
			return data.err
		}
		if (xl.toDest[i] != 0) != dest {
			continue
		}
		if err := spgAddOrReplaceTuple(page, tuple, xl.toInsert.at(i)); err != nil {
			return err
		}
	}
	return nil
}

// addInner redoes block 2.
func (xl *xlSpgPickSplit) addInner(page pg.Page) error {
	if xl.initInner {
		flags := uint16(0)
		if xl.nulls {
			flags = spgNulls
		}
		spgInitPage(page, flags)
	}
	if err := spgAddOrReplaceTuple(page, xl.inner, xl.link.to.Offset); err != nil || !xl.innerIsParent {
		return err
	}
	return xl.link.set(page)
}
