package walredo

import (
	"encoding/binary"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// Flags of xl_heap_update.
const (
	xlhUpdateOldAllVisibleCleared = 0x01
	xlhUpdateNewAllVisibleCleared = 0x02
	xlhUpdatePrefixFromOld        = 0x20
	xlhUpdateSuffixFromOld        = 0x40
)

// heapOpHotUpdate is XLOG_HEAP_HOT_UPDATE.
const heapOpHotUpdate = 0x40

// heapUpdateVM is what heap_xlog_update does to the visibility map: block 0 has the
// new tuple, block 1 the old one unless both are on block 0.
func heapUpdateVM(rec *xlog.Record) (vmClears, error) {
	c := vmClears{bits: vmValidBits}
	x, err := xlog.ParseHeapUpdate(rec)
	if err != nil {
		return c, err
	}
	old := uint8(0)
	if rec.Block(1) != nil {
		old = 1
	}
	if err := c.add(rec, old, x.Flags&xlhUpdateOldAllVisibleCleared != 0); err != nil {
		return c, err
	}
	return c, c.add(rec, 0, x.Flags&xlhUpdateNewAllVisibleCleared != 0)
}

// heapUpdate is heap_xlog_update, for UPDATE and HOT_UPDATE: first the old tuple,
// then the new one, on one page or two.
func heapUpdate(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	x, err := xlog.ParseHeapUpdate(rec)
	if err != nil {
		return err
	}
	newBlk := rec.Block(0)
	if newBlk == nil || blk.ID > 1 {
		return corrupt("update with a block %d, or without block 0", blk.ID)
	}
	if blk.ID == 1 {
		_, err := heapUpdateOld(page, rec, newBlk, x)
		return err
	}
	var old heapTuple
	switch {
	case rec.Block(1) == nil:
		if old, err = heapUpdateOld(page, rec, newBlk, x); err != nil {
			return err
		}
	case rec.InitPage():
		page.Init(0)
	}
	return heapUpdateNew(page, rec, blk, x, old)
}

// heapUpdateOld marks the old tuple as updated.
func heapUpdateOld(page pg.Page, rec *xlog.Record, newBlk *xlog.BlockRef, x xlog.HeapUpdate) (heapTuple, error) {
	tup, err := normalTuple(page, x.OldOff)
	if err != nil {
		return nil, err
	}
	tup.setXmaxBits(x.OldInfobits)
	tup.setHotUpdated(rec.Op() == heapOpHotUpdate)
	tup.setXmax(x.OldXmax)
	tup.clearCid()
	tup.setCtid(pg.ItemPointer{Block: newBlk.Tag.Block, Offset: x.NewOff})
	page.SetPrunable(rec.XID)
	if x.Flags&xlhUpdateOldAllVisibleCleared != 0 {
		page.ClearFlag(pg.PDAllVisible)
	}
	return tup, nil
}

// xlNewTuple is block 0's data of an update: the new tuple, less what it has in
// common with the old one at either end of its data.
type xlNewTuple struct {
	prefix, suffix int
	header         xlHeapHeader
	data           []byte // null bitmap and padding, then the data between prefix and suffix
}

func parseXLNewTuple(b []byte, flags uint8) (n xlNewTuple, err error) {
	for _, l := range [...]struct {
		flag uint8
		dst  *int
	}{{xlhUpdatePrefixFromOld, &n.prefix}, {xlhUpdateSuffixFromOld, &n.suffix}} {
		if flags&l.flag == 0 {
			continue
		}
		if len(b) < 2 {
			return n, corrupt("new tuple is cut off")
		}
		*l.dst = int(binary.LittleEndian.Uint16(b))
		b = b[2:]
	}
	n.header, n.data, err = parseXLHeapHeader(b)
	return n, err
}

// heapUpdateNew adds the new tuple. The old one is nil if it is on another page.
func heapUpdateNew(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef, x xlog.HeapUpdate, old heapTuple) error {
	n, err := parseXLNewTuple(blk.Data, x.Flags)
	if err != nil {
		return err
	}
	self := pg.ItemPointer{Block: blk.Tag.Block, Offset: x.NewOff}
	tup, err := newTuple(page, n.header, rec.XID, self, len(n.data)+n.prefix+n.suffix)
	if err != nil {
		return err
	}
	tup.setXmax(x.NewXmax)
	if err := n.fill(tup[sizeofHeapTupleHeader:], old); err != nil {
		return err
	}
	if err := addTuple(page, tup, x.NewOff); err != nil {
		return err
	}
	if x.Flags&xlhUpdateNewAllVisibleCleared != 0 {
		page.ClearFlag(pg.PDAllVisible)
	}
	return nil
}

// fill writes what follows the new tuple's header: dst has just the room for it.
func (n xlNewTuple) fill(dst []byte, old heapTuple) error {
	if n.prefix+n.suffix > 0 && old == nil {
		return corrupt("new tuple shares data with an old one on another page")
	}
	data := n.data
	if n.prefix > 0 {
		bits := int(n.header.hoff) - sizeofHeapTupleHeader
		if bits < 0 || bits > len(data) || old.hoff()+n.prefix > len(old) {
			return corrupt("new tuple with header of %d and prefix of %d bytes", n.header.hoff, n.prefix)
		}
		copy(dst, data[:bits])
		copy(dst[bits:], old[old.hoff():old.hoff()+n.prefix])
		dst, data = dst[bits+n.prefix:], data[bits:]
	}
	copy(dst, data)
	if n.suffix > 0 {
		if n.suffix > len(old) {
			return corrupt("new tuple with suffix of %d bytes, old tuple has %d", n.suffix, len(old))
		}
		copy(dst[len(data):], old[len(old)-n.suffix:])
	}
	return nil
}
