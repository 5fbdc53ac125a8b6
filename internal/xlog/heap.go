package xlog

import "zenith/internal/pg"

// The bodies of Heap's records (access/heapam_xlog.h). What their flags mean to a page is
// package walredo's.

// HeapInsert is xl_heap_insert.
type HeapInsert struct {
	Off   pg.OffsetNumber
	Flags uint8
}

// ParseHeapInsert reads the body of an INSERT record.
func ParseHeapInsert(rec *Record) (HeapInsert, error) {
	s, err := structOf(rec.MainData, "xl_heap_insert", 3)
	if err != nil {
		return HeapInsert{}, err
	}
	return HeapInsert{Off: s.item(0), Flags: s[2]}, nil
}

// HeapDelete is xl_heap_delete. The structs xl_heap_lock and xl_heap_lock_updated have the
// same layout.
type HeapDelete struct {
	Xmax     pg.TransactionID
	Off      pg.OffsetNumber
	Infobits uint8 // XLHL_*: what to set in the tuple's infomasks
	Flags    uint8
}

// ParseHeapDelete reads the body of a record of Heap DELETE, Heap LOCK or Heap2 LOCK_UPDATED.
func ParseHeapDelete(rec *Record) (HeapDelete, error) {
	s, err := structOf(rec.MainData, "xl_heap_delete or xl_heap_lock", 8)
	if err != nil {
		return HeapDelete{}, err
	}
	return HeapDelete{Xmax: s.xid(0), Off: s.item(4), Infobits: s[6], Flags: s[7]}, nil
}

// HeapUpdate is xl_heap_update.
type HeapUpdate struct {
	OldXmax     pg.TransactionID
	OldOff      pg.OffsetNumber
	OldInfobits uint8 // XLHL_*
	Flags       uint8
	NewXmax     pg.TransactionID
	NewOff      pg.OffsetNumber
}

// ParseHeapUpdate reads the body of an UPDATE or HOT_UPDATE record.
func ParseHeapUpdate(rec *Record) (HeapUpdate, error) {
	s, err := structOf(rec.MainData, "xl_heap_update", 14)
	if err != nil {
		return HeapUpdate{}, err
	}
	return HeapUpdate{
		OldXmax: s.xid(0), OldOff: s.item(4), OldInfobits: s[6], Flags: s[7],
		NewXmax: s.xid(8), NewOff: s.item(12),
	}, nil
}

// HeapTruncate is xl_heap_truncate, for logical decoding.
type HeapTruncate struct {
	DBOID  pg.OID
	Flags  uint8 // HeapTruncate*
	RelIDs OIDs
}

// The bits of HeapTruncate.Flags.
const (
	HeapTruncateCascade     = 1 << 0
	HeapTruncateRestartSeqs = 1 << 1
)

// ParseHeapTruncate reads the body of a TRUNCATE record.
func ParseHeapTruncate(rec *Record) (HeapTruncate, error) {
	f := fields{in: rec.MainData}
	t := HeapTruncate{DBOID: f.oid()}
	n := f.i32()
	t.Flags = f.u8()
	f.skip(3)
	t.RelIDs = f.oids(f.room(n, sizeofOID))
	return t, f.done("xl_heap_truncate")
}

// ParseHeapConfirm reads xl_heap_confirm: the item whose speculative insertion is final.
func ParseHeapConfirm(rec *Record) (pg.OffsetNumber, error) {
	return parseItem(rec, "xl_heap_confirm")
}

// HeapInplace is xl_heap_inplace.
type HeapInplace struct {
	Off    pg.OffsetNumber // of the item that is overwritten
	Invals Invalidations   // in the versions that log them
}

// ParseHeapInplace reads the body of an INPLACE record.
func ParseHeapInplace(rec *Record) (HeapInplace, error) {
	f := fields{in: rec.MainData}
	x := HeapInplace{Off: f.item()}
	if rec.V.InplaceInvals {
		f.skip(2)
		x.Invals = f.invalidations()
	}
	return x, f.end("xl_heap_inplace")
}

// parseItem reads a struct that is one item number.
func parseItem(rec *Record, name string) (pg.OffsetNumber, error) {
	s, err := structOf(rec.MainData, name, 2)
	if err != nil {
		return 0, err
	}
	return s.item(0), nil
}
