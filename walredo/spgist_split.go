package walredo

import (
	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// spgSplit is an xlog.SpgPickSplit with what follows it but the leaf tuples.
type spgSplit struct {
	xlog.SpgPickSplit
	toDelete, toInsert xlog.Offsets
	toDest             []byte // leafPageSelect: not 0 where a leaf tuple goes to block 1
	inner              []byte
	link               spgLink // to the new inner tuple
	dead               spgDeadTuple
}

// parseSpgSplit leaves data at the leaf tuples.
func parseSpgSplit(rec *xlog.Record) (xl spgSplit, data spgData, err error) {
	if xl.SpgPickSplit, err = xlog.ParseSpgPickSplit(rec); err != nil {
		return xl, data, err
	}
	innerBlk, err := blockNumber(rec, 2)
	if err != nil {
		return xl, data, err
	}
	data.rest = xl.Rest
	xl.toDelete, xl.toInsert = data.offsets(xl.NDelete), data.offsets(xl.NInsert)
	xl.toDest, xl.inner = data.bytes(xl.NInsert), data.innerTuple()
	xl.link = spgLink{parent: xl.ParentOff, nodeI: xl.NodeI, to: pg.ItemPointer{Block: innerBlk, Offset: xl.InnerOff}}
	xl.dead = spgDeadTupleTo(xl.State, xl.link.to)
	return xl, data, data.err
}

// spgPickSplit is spgRedoPickSplit: the leaf tuples of block 0 are distributed over
// blocks 0 and 1 below a new inner tuple on block 2, to which the parent leads, on
// block 2 or 3. Not all of these blocks are there always.
func spgPickSplit(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	xl, data, err := parseSpgSplit(rec)
	if err != nil {
		return err
	}
	switch blk.ID {
	case 0:
		return xl.source(page, &data)
	case 1:
		if xl.InitDest {
			spgInitLeaf(page, xl.StoresNulls)
		}
		return xl.addLeafTuples(page, &data, true)
	case 2:
		return xl.addInner(page)
	default:
		return xl.link.set(page)
	}
}

// source redoes block 0. (A root that is split comes as block 2 alone.)
func (xl *spgSplit) source(page pg.Page, data *spgData) error {
	if xl.IsRootSplit {
		return corrupt("root split has a source page")
	}
	if xl.InitSrc {
		spgInitLeaf(page, xl.StoresNulls)
	} else if err := spgMultiDelete(page, xl.toDelete, xl.dead, spgPlaceholderTuple); err != nil {
		return err
	}
	return xl.addLeafTuples(page, data, false)
}

// addLeafTuples adds the leaf tuples that go to the destination page, or those that
// go to the source page.
func (xl *spgSplit) addLeafTuples(page pg.Page, data *spgData, dest bool) error {
	for i := range xl.toInsert.Len() {
		tuple := data.leafTuple()
		if data.err != nil {
			return data.err
		}
		if (xl.toDest[i] != 0) != dest {
			continue
		}
		if err := spgAddOrReplaceTuple(page, tuple, xl.toInsert.At(i)); err != nil {
			return err
		}
	}
	return nil
}

// addInner redoes block 2.
func (xl *spgSplit) addInner(page pg.Page) error {
	if xl.InitInner {
		flags := uint16(0)
		if xl.StoresNulls {
			flags = spgNulls
		}
		spgInitPage(page, flags)
	}
	if err := spgAddOrReplaceTuple(page, xl.inner, xl.link.to.Offset); err != nil || !xl.InnerIsParent {
		return err
	}
	return xl.link.set(page)
}
