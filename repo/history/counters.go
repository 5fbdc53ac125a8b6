package history

import (
	"bytes"
	"encoding/binary"
	"slices"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// counters count what a record of a transaction does, by resource manager.
var counters = [xlog.RmMax + 1]func(t *Tracker, of *tally, rec *xlog.Record) error{
	xlog.RmHeap:  heap,
	xlog.RmHeap2: heap2,
	xlog.RmXLOG:  images,
	xlog.RmSmgr:  storage,
	xlog.RmSeq:   sequence,
	xlog.RmDbase: database,
}

// The operations of Heap and Heap2 that change rows (access/heapam_xlog.h).
const (
	heapInsert    = 0x00
	heapDelete    = 0x10
	heapUpdate    = 0x20
	heapHotUpdate = 0x40

	heap2MultiInsert = 0x50

	deleteIsSuper = 0x08 // XLH_DELETE_IS_SUPER: a speculative insertion is taken back
)

func heap(t *Tracker, of *tally, rec *xlog.Record) error {
	if len(rec.Blocks) == 0 {
		return nil
	}
	rel := rec.Blocks[0].Tag.RelFileLocator
	switch rec.Op() {
	case heapInsert:
		of.of(rel).Inserted++
		if len(t.fresh) > 0 {
			return t.claim(of, rec)
		}
	case heapUpdate, heapHotUpdate:
		of.of(rel).Updated++
	case heapDelete:
		x, err := xlog.ParseHeapDelete(rec)
		if err != nil {
			return err
		}
		switch c := of.of(rel); {
		case x.Flags&deleteIsSuper == 0:
			c.Deleted++
		case c.Inserted > 0:
			c.Inserted--
		}
	}
	return nil
}

func heap2(_ *Tracker, of *tally, rec *xlog.Record) error {
	if rec.Op() != heap2MultiInsert || len(rec.Blocks) == 0 {
		return nil
	}
	x, err := xlog.ParseHeapMultiInsert(rec)
	if err != nil {
		return err
	}
	of.of(rec.Blocks[0].Tag.RelFileLocator).Inserted += uint64(x.NTuples)
	return nil
}

// images counts blocks that were logged whole, for themselves.
func images(_ *Tracker, of *tally, rec *xlog.Record) error {
	if rec.Op() != xlog.XLOGFPI {
		return nil
	}
	for i := range rec.Blocks {
		if rec.Blocks[i].Tag.Fork == pg.MainFork {
			of.of(rec.Blocks[i].Tag.RelFileLocator).Images++
		}
	}
	return nil
}

func storage(_ *Tracker, of *tally, rec *xlog.Record) error {
	switch rec.Op() {
	case xlog.SmgrCreate:
		rf, err := xlog.ParseSmgrCreate(rec)
		if err != nil || rf.Fork != pg.MainFork {
			return err
		}
		of.of(rf.RelFileLocator).What |= Created
	case xlog.SmgrTruncate:
		x, err := xlog.ParseSmgrTruncate(rec)
		if err != nil || x.Blocks > 0 {
			return err
		}
		of.of(x.Rel).What |= Emptied
	}
	return nil
}

func sequence(_ *Tracker, of *tally, rec *xlog.Record) error {
	x, err := xlog.ParseSeq(rec)
	if err != nil {
		return err
	}
	of.of(x.Rel).What |= Advanced
	return nil
}

func database(_ *Tracker, of *tally, rec *xlog.Record) error {
	dropped := rec.Op() == xlog.DbaseDrop || rec.V.Major == 14 && rec.Op() == xlog.DbaseDrop14
	if !dropped {
		x, err := xlog.ParseDbaseCreate(rec)
		if err != nil {
			return err
		}
		of.of(pg.RelFileLocator{SpcOID: x.SpcOID, DBOID: x.DBOID}).What |= Created | Database
		return nil
	}
	x, err := xlog.ParseDbaseDrop(rec)
	if err != nil {
		return err
	}
	for _, spc := range x.SpcOIDs {
		of.of(pg.RelFileLocator{SpcOID: spc, DBOID: x.DBOID}).What |= Dropped | Database
	}
	return nil
}

// Where pg_class has the number of a relation's storage: behind its oid, relname, relnamespace, reltype,
// reloftype, relowner and relam (catalog/pg_class.h).
const classFileNode = 4 + 64 + 5*4

// claim gives a fresh relation to the transaction that inserts its row into pg_class.
func (t *Tracker) claim(of *tally, rec *xlog.Record) error {
	row, err := inserted(rec)
	if err != nil || len(row) < classFileNode+4 {
		return err
	}
	db, number := rec.Blocks[0].Tag.DBOID, pg.OID(binary.LittleEndian.Uint32(row[classFileNode:]))
	i := slices.IndexFunc(t.fresh, func(r pg.RelFileLocator) bool {
		return r.RelNumber == number && (r.DBOID == db || r.DBOID == 0)
	})
	if i < 0 || bytes.IndexByte(row[4:4+64], 0) <= 0 { // relname is a name
		return nil
	}
	of.of(t.fresh[i]).What |= Created
	t.fresh = slices.Delete(t.fresh, i, i+1)
	return nil
}

// inserted gives the columns of the row that an INSERT record has, nil if it has none.
func inserted(rec *xlog.Record) ([]byte, error) {
	const (
		headerSize  = 5  // xl_heap_header: two infomasks, t_hoff
		tupleHeader = 23 // SizeofHeapTupleHeader
		tupleHoff   = 22
	)
	blk := &rec.Blocks[0]
	if len(blk.Data) > headerSize {
		hoff := int(blk.Data[4])
		if at := headerSize + hoff - tupleHeader; hoff >= tupleHeader && at <= len(blk.Data) {
			return blk.Data[at:], nil
		}
		return nil, nil
	}
	if !blk.HasImage {
		return nil, nil
	}
	x, err := xlog.ParseHeapInsert(rec)
	if err != nil {
		return nil, err
	}
	page := make(pg.Page, pg.BlockSize)
	if err := blk.Image.Restore(page); err != nil {
		return nil, err
	}
	if !page.HasItem(x.Off) {
		return nil, nil
	}
	tuple, err := page.Item(x.Off)
	if err != nil || len(tuple) < tupleHeader || int(tuple[tupleHoff]) > len(tuple) {
		return nil, err
	}
	return tuple[tuple[tupleHoff]:], nil
}
