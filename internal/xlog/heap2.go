package xlog

import "zenith/internal/pg"

// The bodies of Heap2's records (access/heapam_xlog.h).

// HeapPrune is xl_heap_prune.
type HeapPrune struct {
	LatestRemovedXID   pg.TransactionID
	NRedirected, NDead int
	CatalogRel         bool // isCatalogRel: in the versions that log it
}

// ParseHeapPrune reads the body of a PRUNE record.
func ParseHeapPrune(rec *Record) (HeapPrune, error) {
	s, catalogRel, err := conflictStruct(rec.V, rec.MainData, "xl_heap_prune", 8)
	if err != nil {
		return HeapPrune{}, err
	}
	return HeapPrune{LatestRemovedXID: s.xid(0), NRedirected: int(s.u16(4)), NDead: int(s.u16(6)), CatalogRel: catalogRel}, nil
}

// ParseHeapVacuum reads xl_heap_vacuum: how many line pointers become unused.
func ParseHeapVacuum(rec *Record) (nunused int, err error) {
	s, err := wholeStruct(rec.MainData, "xl_heap_vacuum", 2)
	if err != nil {
		return 0, err
	}
	return int(s.u16(0)), nil
}

// HeapFreezePage is xl_heap_freeze_page.
type HeapFreezePage struct {
	CutoffXID  pg.TransactionID
	N          int  // of xl_heap_freeze_tuples up to 15, of FreezePlans in 16
	CatalogRel bool // isCatalogRel: in the versions that log it
}

// ParseHeapFreezePage reads the body of a FREEZE_PAGE record.
func ParseHeapFreezePage(rec *Record) (HeapFreezePage, error) {
	s, catalogRel, err := conflictStruct(rec.V, rec.MainData, "xl_heap_freeze_page", 6)
	if err != nil {
		return HeapFreezePage{}, err
	}
	return HeapFreezePage{CutoffXID: s.xid(0), N: int(s.u16(4)), CatalogRel: catalogRel}, nil
}

// HeapVisible is xl_heap_visible.
type HeapVisible struct {
	CutoffXID pg.TransactionID
	Flags     uint8 // bits for the visibility map, and in 16 to 18 VisibleCatalogRel
}

// VisibleCatalogRel is VISIBILITYMAP_XLOG_CATALOG_REL in the flags of a VISIBLE record: the relation is
// a catalog. It is no bit of the map.
const VisibleCatalogRel = 0x04

// ParseHeapVisible reads the body of a VISIBLE record.
func ParseHeapVisible(rec *Record) (HeapVisible, error) {
	s, err := wholeStruct(rec.MainData, "xl_heap_visible", 5)
	if err != nil {
		return HeapVisible{}, err
	}
	return HeapVisible{CutoffXID: s.xid(0), Flags: s[4]}, nil
}

// HeapMultiInsert is xl_heap_multi_insert.
type HeapMultiInsert struct {
	Flags   uint8
	NTuples int
	Items   Offsets // where the tuples go; none if the page is made anew: then they count from 1
}

// ParseHeapMultiInsert reads the body of a MULTI_INSERT record.
func ParseHeapMultiInsert(rec *Record) (HeapMultiInsert, error) {
	s, err := structOf(rec.MainData, "xl_heap_multi_insert", 4)
	if err != nil {
		return HeapMultiInsert{}, err
	}
	x := HeapMultiInsert{Flags: s[0], NTuples: int(s.u16(2))}
	if !rec.InitPage() {
		x.Items, _, err = CutOffsets(s[4:], x.NTuples)
	}
	return x, err
}

// HeapNewCID is xl_heap_new_cid, for logical decoding: which command made or removed a
// tuple of a catalog.
type HeapNewCID struct {
	TopXID               pg.TransactionID
	Cmin, Cmax, ComboCID uint32
	Rel                  pg.RelFileLocator
	TID                  pg.ItemPointer
}

// ParseHeapNewCID reads the body of a NEW_CID record.
func ParseHeapNewCID(rec *Record) (HeapNewCID, error) {
	s, err := structOf(rec.MainData, "xl_heap_new_cid", 34)
	if err != nil {
		return HeapNewCID{}, err
	}
	return HeapNewCID{
		TopXID: s.xid(0), Cmin: s.u32(4), Cmax: s.u32(8), ComboCID: s.u32(12),
		Rel: s.rel(16), TID: s.tid(28),
	}, nil
}
