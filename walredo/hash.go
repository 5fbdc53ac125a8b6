package walredo

import (
	"encoding/binary"
	"math"
	"math/bits"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// hashRmgr is Hash, in access/hash/hash_xlog.c.
var hashRmgr = rmgr{
	name: "Hash",
	ops: ops{
		0x0: {name: "INIT_META_PAGE", redo: hashInitMetaPage},
		0x1: {name: "INIT_BITMAP_PAGE", redo: hashInitBitmapPage},
		0x2: {name: "INSERT", redo: hashInsert},
		0x3: {name: "ADD_OVFL_PAGE", redo: hashAddOverflowPage},
		0x4: {name: "SPLIT_ALLOCATE_PAGE", redo: hashSplitAllocatePage, afterImage: block0},
		0x5: {name: "SPLIT_PAGE", redo: hashSplitPage},
		0x6: {name: "SPLIT_COMPLETE", redo: hashSplitComplete, afterImage: block0 | block1},
		0x7: {name: "MOVE_PAGE_CONTENTS", redo: hashMovePageContents, untouched: block0},
		0x8: {name: "SQUEEZE_PAGE", redo: hashSqueezePage, untouched: block0},
		0x9: {name: "DELETE", redo: hashDelete, untouched: block0},
		0xA: {name: "SPLIT_CLEANUP", redo: hashSplitCleanup},
		0xB: {name: "UPDATE_META_PAGE", redo: hashUpdateMetaPage},
		0xC: {name: "VACUUM_ONE_PAGE", redo: hashVacuumOnePage},
	},
	mask: hashMask,
}

// Bits of hasho_flag (access/hash.h).
const (
	lhOverflowPage      = 1 << 0
	lhBucketPage        = 1 << 1
	lhBitmapPage        = 1 << 2
	lhMetaPage          = 1 << 3
	lhNeedsSplitCleanup = 1 << 6
	lhHasDeadTuples     = 1 << 7
	lhPageType          = lhOverflowPage | lhBucketPage | lhBitmapPage | lhMetaPage
	lhUnusedPage        = 0
)

// Constants of access/hash.h.
const (
	hashMagic      = 0x6440640
	hashVersion    = 4
	hashPageID     = 0xFF80
	hashOpaqueSize = 16
	hashOpaqueAt   = pg.BlockSize - hashOpaqueSize
	hashBitmapSize = hashOpaqueAt - pg.PageHeaderSize // HashGetMaxBitmapSize
	hashMetaSize   = 4544                             // sizeof(HashMetaPageData)
	hashSpares     = 98                               // HASH_MAX_SPLITPOINTS
	hashMaps       = 1024                             // HASH_MAX_BITMAPS
	noBucket       = 0xFFFFFFFF                       // InvalidBucket
)

// hashOpaque is HashPageOpaqueData, in place in the special area of a page.
type hashOpaque []byte

// hashPageOpaque finds the special area of an existing page.
func hashPageOpaque(page pg.Page) (hashOpaque, error) {
	if page.Special() != hashOpaqueAt {
		return nil, corrupt("special area of a hash page at %d, want %d", page.Special(), hashOpaqueAt)
	}
	return hashOpaque(page[hashOpaqueAt:pg.BlockSize]), nil
}

// hashInitPage is _hash_pageinit and the filling of the special area that follows
// it everywhere.
func hashInitPage(page pg.Page, prev pg.BlockNumber, bucket uint32, flags uint16) {
	page.Init(hashOpaqueSize)
	o := hashOpaque(page[hashOpaqueAt:pg.BlockSize])
	o.setPrev(prev)
	o.setNext(pg.InvalidBlockNumber)
	binary.LittleEndian.PutUint32(o[8:], bucket)
	o.setFlags(flags)
	binary.LittleEndian.PutUint16(o[14:], hashPageID)
}

func (o hashOpaque) setPrev(b pg.BlockNumber) { binary.LittleEndian.PutUint32(o, uint32(b)) }
func (o hashOpaque) setNext(b pg.BlockNumber) { binary.LittleEndian.PutUint32(o[4:], uint32(b)) }
func (o hashOpaque) flags() uint16            { return binary.LittleEndian.Uint16(o[12:]) }
func (o hashOpaque) setFlags(f uint16)        { binary.LittleEndian.PutUint16(o[12:], f) }
func (o hashOpaque) clearFlags(f uint16)      { o.setFlags(o.flags() &^ f) }

// hashMeta is HashMetaPageData, in place. Its fields are uint32 at the offsets below,
// but for ntuples, and spares and mapp, which are arrays of them.
type hashMeta []byte

const (
	hashMetaNTuples   = 8 // double
	hashMetaMaxBucket = 24
	hashMetaHighMask  = 28
	hashMetaLowMask   = 32
	hashMetaOvflPoint = 36
	hashMetaFirstFree = 40
	hashMetaNMaps     = 44
	hashMetaSpares    = 52
	hashMetaMapp      = hashMetaSpares + 4*hashSpares
)

// hashPageMeta finds the metadata of an existing metapage.
func hashPageMeta(page pg.Page) (hashMeta, error) {
	o, err := hashPageOpaque(page)
	if err != nil {
		return nil, err
	}
	if o.flags()&lhPageType != lhMetaPage {
		return nil, corrupt("hash page with flags %#x, want the metapage", o.flags())
	}
	return hashMeta(page[pg.PageHeaderSize : pg.PageHeaderSize+hashMetaSize]), nil
}

func (m hashMeta) get(at int) uint32    { return binary.LittleEndian.Uint32(m[at:]) }
func (m hashMeta) set(at int, v uint32) { binary.LittleEndian.PutUint32(m[at:], v) }

func (m hashMeta) nTuples() float64 {
	return math.Float64frombits(binary.LittleEndian.Uint64(m[hashMetaNTuples:]))
}
func (m hashMeta) setNTuples(n float64) {
	binary.LittleEndian.PutUint64(m[hashMetaNTuples:], math.Float64bits(n))
}

// spare is where hashm_spares has the splitpoint's number of overflow pages.
func (m hashMeta) spare(splitpoint uint32) (int, error) {
	if splitpoint >= hashSpares {
		return 0, corrupt("hash splitpoint %d", splitpoint)
	}
	return hashMetaSpares + 4*int(splitpoint), nil
}

// addSpare counts another overflow page of the current splitpoint.
func (m hashMeta) addSpare() error {
	at, err := m.spare(m.get(hashMetaOvflPoint))
	if err != nil {
		return err
	}
	m.set(at, m.get(at)+1)
	return nil
}

// addBitmap appends a bitmap page to hashm_mapp.
func (m hashMeta) addBitmap(b pg.BlockNumber) error {
	n := m.get(hashMetaNMaps)
	if n >= hashMaps {
		return corrupt("hash index has %d bitmap pages", n)
	}
	m.set(hashMetaMapp+4*int(n), uint32(b))
	m.set(hashMetaNMaps, n+1)
	return nil
}

// uint32s reads n values of a block's data.
func uint32s(b []byte, n int) ([4]uint32, error) {
	var v [4]uint32
	if len(b) < 4*n {
		return v, corrupt("block data is %d bytes, want %d", len(b), 4*n)
	}
	for i := range n {
		v[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	return v, nil
}

// hashInitMetaPage is hash_xlog_init_meta_page, with _hash_init_metabuffer. What
// follows from the block size is constant: a bitmap of 2^12 bytes, 2^15 bits.
func hashInitMetaPage(page pg.Page, rec *xlog.Record, _ *xlog.BlockRef) error {
	xl, err := xlog.ParseHashInitMetaPage(rec)
	if err != nil {
		return err
	}
	nBuckets := hashInitialBuckets(xl.NTuples / float64(xl.FillFactor))
	splitpoint := hashSpareIndex(nBuckets)

	hashInitPage(page, pg.InvalidBlockNumber, noBucket, lhMetaPage)
	m := hashMeta(page[pg.PageHeaderSize : pg.PageHeaderSize+hashMetaSize])
	m.set(0, hashMagic)
	m.set(4, hashVersion)
	binary.LittleEndian.PutUint16(m[16:], xl.FillFactor)
	binary.LittleEndian.PutUint16(m[18:], hashBitmapSize)
	binary.LittleEndian.PutUint16(m[20:], 1<<12)
	binary.LittleEndian.PutUint16(m[22:], 12+3)
	m.set(hashMetaMaxBucket, nBuckets-1)
	highMask := uint32(1)<<bits.Len32(nBuckets) - 1 // pg_nextpower2_32(nBuckets + 1) - 1
	m.set(hashMetaHighMask, highMask)
	m.set(hashMetaLowMask, highMask>>1)
	m.set(hashMetaOvflPoint, splitpoint)
	m.set(48, uint32(xl.ProcID))
	page.SetLower(pg.PageHeaderSize + hashMetaSize)
	return m.addSpare() // the first bitmap page
}

// hashInitialBuckets rounds the wanted number of buckets up to one that an index can
// have. A number that makes no sense (0/0) counts as few, as in the C comparison.
func hashInitialBuckets(want float64) uint32 {
	switch {
	case want >= 0x40000000:
		return 0x40000000
	case want > 2:
		return hashTotalBuckets(hashSpareIndex(uint32(want)))
	default:
		return 2
	}
}

// The number of buckets doubles from splitpoint group to group; from group 10 on a
// group is allocated in four phases.
const (
	hashSinglePhaseGroups = 10 // HASH_SPLITPOINT_GROUPS_WITH_ONE_PHASE
	hashPhaseBits         = 2  // HASH_SPLITPOINT_PHASE_BITS
	hashPhaseMask         = 1<<hashPhaseBits - 1
)

// hashSpareIndex is _hash_spareindex: the splitpoint phase in which that many buckets
// are reached. n is not 0.
func hashSpareIndex(n uint32) uint32 {
	group := uint32(bits.Len32(n - 1)) // pg_ceil_log2_32
	if group < hashSinglePhaseGroups {
		return group
	}
	return hashSinglePhaseGroups + (group-hashSinglePhaseGroups)<<hashPhaseBits +
		(n-1)>>(group-hashPhaseBits-1)&hashPhaseMask
}

// hashTotalBuckets is _hash_get_totalbuckets: how many there are in that phase.
func hashTotalBuckets(phase uint32) uint32 {
	if phase < hashSinglePhaseGroups {
		return 1 << phase
	}
	group := hashSinglePhaseGroups + (phase-hashSinglePhaseGroups)>>hashPhaseBits
	half := uint32(1) << (group - 1)
	return half + half>>hashPhaseBits*((phase-hashSinglePhaseGroups)&hashPhaseMask+1)
}

// hashMask is hash_mask.
func hashMask(page pg.Page, _ pg.BlockNumber) {
	maskLSN(page)
	maskHints(page)
	maskUnused(page)
	o, err := hashPageOpaque(page)
	if err != nil {
		return
	}
	switch o.flags() & lhPageType {
	case lhUnusedPage:
		maskContent(page)
	case lhBucketPage, lhOverflowPage:
		maskLPFlags(page)
	}
	o.clearFlags(lhHasDeadTuples)
}
