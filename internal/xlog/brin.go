package xlog

import "zenith/internal/pg"

// The bodies of BRIN's records (access/brin_xlog.h).

// BrinCreateIndex is xl_brin_createidx.
type BrinCreateIndex struct {
	PagesPerRange uint32
	Version       uint16
}

// ParseBrinCreateIndex reads the body of a CREATE_INDEX record.
func ParseBrinCreateIndex(rec *Record) (BrinCreateIndex, error) {
	s, err := structOf(rec.MainData, "xl_brin_createidx", 6)
	if err != nil {
		return BrinCreateIndex{}, err
	}
	return BrinCreateIndex{PagesPerRange: s.u32(0), Version: s.u16(4)}, nil
}

// BrinInsert is xl_brin_insert.
type BrinInsert struct {
	HeapBlock     pg.BlockNumber
	PagesPerRange uint32
	Off           pg.OffsetNumber
}

func brinInsertAt(s cstruct, off int) BrinInsert {
	return BrinInsert{HeapBlock: s.block(off), PagesPerRange: s.u32(off + 4), Off: s.item(off + 8)}
}

// ParseBrinInsert reads the body of an INSERT record.
func ParseBrinInsert(rec *Record) (BrinInsert, error) {
	s, err := structOf(rec.MainData, "xl_brin_insert", 10)
	if err != nil {
		return BrinInsert{}, err
	}
	return brinInsertAt(s, 0), nil
}

// BrinUpdate is xl_brin_update.
type BrinUpdate struct {
	OldOff pg.OffsetNumber
	Insert BrinInsert
}

// ParseBrinUpdate reads the body of an UPDATE record.
func ParseBrinUpdate(rec *Record) (BrinUpdate, error) {
	s, err := structOf(rec.MainData, "xl_brin_update", 14)
	if err != nil {
		return BrinUpdate{}, err
	}
	return BrinUpdate{OldOff: s.item(0), Insert: brinInsertAt(s, 4)}, nil
}

// ParseBrinSamePageUpdate reads xl_brin_samepage_update: the item that is overwritten.
func ParseBrinSamePageUpdate(rec *Record) (pg.OffsetNumber, error) {
	return parseItem(rec, "xl_brin_samepage_update")
}

// ParseBrinRevmapExtend reads xl_brin_revmap_extend: the new page of the range map, which
// is block 1 of the record.
func ParseBrinRevmapExtend(rec *Record) (target pg.BlockNumber, err error) {
	s, err := structOf(rec.MainData, "xl_brin_revmap_extend", 4)
	if err != nil {
		return 0, err
	}
	return s.block(0), nil
}

// BrinDesummarize is xl_brin_desummarize.
type BrinDesummarize struct {
	PagesPerRange uint32
	HeapBlock     pg.BlockNumber
	Off           pg.OffsetNumber // regOffset
}

// ParseBrinDesummarize reads the body of a DESUMMARIZE record.
func ParseBrinDesummarize(rec *Record) (BrinDesummarize, error) {
	s, err := structOf(rec.MainData, "xl_brin_desummarize", 10)
	if err != nil {
		return BrinDesummarize{}, err
	}
	return BrinDesummarize{PagesPerRange: s.u32(0), HeapBlock: s.block(4), Off: s.item(8)}, nil
}
