package xlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"zenith/internal/pg"
)

// Sizes and flags of WAL pages (access/xlog_internal.h, xlogdefs.h).
const (
	PageSize            = 8192 // XLOG_BLCKSZ
	ShortPageHeaderSize = 24   // SizeOfXLogShortPHD
	LongPageHeaderSize  = 40   // SizeOfXLogLongPHD: a segment's first page
	MinSegSize          = 1 << 20
	MaxSegSize          = 1 << 30
	DefaultSegSize      = 16 << 20

	pageFirstIsContRecord = 0x0001
	pageLongHeader        = 0x0002
)

// ValidSegSize is IsValidWalSegSize: a power of two from 1 MiB to 1 GiB.
func ValidSegSize(n int) bool {
	return n >= MinSegSize && n <= MaxSegSize && n&(n-1) == 0
}

// pageHeaderSizeAt is the size of the header of the page that starts at lsn.
func pageHeaderSizeAt(page pg.LSN, segSize int) int {
	if page&pg.LSN(segSize-1) == 0 {
		return LongPageHeaderSize
	}
	return ShortPageHeaderSize
}

// RecordStart says where a record that follows one ending at end starts: there, or
// behind the page header if end is on a page boundary.
func RecordStart(end pg.LSN, segSize int) pg.LSN {
	end = end.Align()
	if end%PageSize == 0 {
		return end + pg.LSN(pageHeaderSizeAt(end, segSize))
	}
	return end
}

// SegmentName is XLogFileName: the name of the segment file that holds lsn.
func SegmentName(tli pg.TLI, lsn pg.LSN, segSize int) string {
	segno := uint64(lsn) / uint64(segSize)
	perID := uint64(1<<32) / uint64(segSize)
	return fmt.Sprintf("%08X%08X%08X", uint32(tli), segno/perID, segno%perID)
}

// SegmentNameIn is the name of the segment file that holds lsn in WAL with that history.
func SegmentNameIn(history pg.History, lsn pg.LSN, segSize int) string {
	return SegmentName(history.OfSegment(lsn, segSize), lsn, segSize)
}

// ParseSegmentName is XLogFromFileName: the timeline and the first LSN of the segment
// with that name. ok is false for any other name, history and partial files too.
func ParseSegmentName(name string, segSize int) (tli pg.TLI, start pg.LSN, ok bool) {
	if len(name) != 24 || !ValidSegSize(segSize) {
		return 0, 0, false
	}
	var part [3]uint32
	for i := range part {
		for _, c := range []byte(name[i*8 : i*8+8]) {
			switch {
			case c >= '0' && c <= '9':
				part[i] = part[i]<<4 | uint32(c-'0')
			case c >= 'A' && c <= 'F':
				part[i] = part[i]<<4 | uint32(c-'A'+10)
			default:
				return 0, 0, false
			}
		}
	}
	offset := uint64(part[2]) * uint64(segSize)
	if offset >= 1<<32 {
		return 0, 0, false
	}
	return pg.TLI(part[0]), pg.LSN(uint64(part[1])<<32 | offset), true
}

// PageHeader is XLogPageHeaderData, with the long header's fields on a segment's
// first page.
type PageHeader struct {
	Magic    uint16
	Info     uint16
	TLI      pg.TLI
	PageAddr pg.LSN
	RemLen   uint32 // bytes of a record from the page before, this page's and later ones'

	SysID   uint64 // long header only
	SegSize uint32
	BlockSz uint32
}

// Size is XLogPageHeaderSize.
func (h *PageHeader) Size() int {
	if h.Info&pageLongHeader != 0 {
		return LongPageHeaderSize
	}
	return ShortPageHeaderSize
}

// parsePageHeader reads a header without judging it. Bytes that are not there count
// as zeros.
func parsePageHeader(b []byte) PageHeader {
	var pad [LongPageHeaderSize]byte
	if len(b) < len(pad) {
		copy(pad[:], b)
		b = pad[:]
	}
	h := PageHeader{
		Magic:    binary.LittleEndian.Uint16(b),
		Info:     binary.LittleEndian.Uint16(b[2:]),
		TLI:      pg.TLI(binary.LittleEndian.Uint32(b[4:])),
		PageAddr: pg.LSN(binary.LittleEndian.Uint64(b[8:])),
		RemLen:   binary.LittleEndian.Uint32(b[16:]),
	}
	if h.Info&pageLongHeader != 0 {
		h.SysID = binary.LittleEndian.Uint64(b[24:])
		h.SegSize = binary.LittleEndian.Uint32(b[32:])
		h.BlockSz = binary.LittleEndian.Uint32(b[36:])
	}
	return h
}

// WrittenPages finds out how far a segment that begins at start is written, in bytes: its pages
// are written in order, and each begins with its own address. The last may be written in part. The pages before the
// LSN from are not looked at: a branch's first segment has holes there, which are an ancestor's WAL.
func WrittenPages(segment io.ReaderAt, start pg.LSN, segSize int, from pg.LSN) (int64, error) {
	low, high := 0, segSize/PageSize // pages below low are written, from high on none
	if from > start {
		low = min(int((from-start)/PageSize), high)
	}
	for low < high {
		page := (low + high) / 2
		var b [ShortPageHeaderSize]byte
		if _, err := segment.ReadAt(b[:], int64(page)*PageSize); err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		if h := parsePageHeader(b[:]); h.PageAddr == start+pg.LSN(page)*PageSize {
			low = page + 1
		} else {
			high = page
		}
	}
	return int64(low) * PageSize, nil
}

// check is XLogReaderValidatePageHeader for the page that should start at addr. An
// ErrVersion or errForeign cannot be the mere end of the WAL; other errors can.
func (h *PageHeader) check(addr pg.LSN, cfg *Config) error {
	if want := cfg.Version.WALMagic; h.Magic != want {
		// Known and at its address, it is another major's page; else it is garbage.
		if r, ok := pg.ReleaseByMagic(h.Magic); ok && h.PageAddr == addr {
			return fmt.Errorf("wal page %v has magic %04X, %v, want %v: %w", addr, h.Magic, r, cfg.Version, ErrVersion)
		}
		return fmt.Errorf("wal page %v has magic %04X, want %04X", addr, h.Magic, want)
	}
	if h.Info&^cfg.Version.PageFlags != 0 {
		return fmt.Errorf("wal page %v has info bits %04X", addr, h.Info)
	}
	if h.PageAddr != addr {
		return fmt.Errorf("wal page %v says it is %v", addr, h.PageAddr)
	}
	if h.Info&pageLongHeader == 0 {
		if addr&pg.LSN(cfg.SegSize-1) == 0 {
			return fmt.Errorf("wal page %v starts a segment without a long header", addr)
		}
		return nil
	}
	if cfg.SysID != 0 && h.SysID != cfg.SysID {
		return fmt.Errorf("wal page %v is of system %d, not %d: %w", addr, h.SysID, cfg.SysID, errForeign)
	}
	if h.SegSize != uint32(cfg.SegSize) || h.BlockSz != PageSize {
		return fmt.Errorf("wal page %v has segments of %d bytes and pages of %d, want %d and %d: %w",
			addr, h.SegSize, h.BlockSz, cfg.SegSize, PageSize, errForeign)
	}
	return nil
}

// put writes the header and returns its size.
func (h *PageHeader) put(b []byte) int {
	binary.LittleEndian.PutUint16(b, h.Magic)
	binary.LittleEndian.PutUint16(b[2:], h.Info)
	binary.LittleEndian.PutUint32(b[4:], uint32(h.TLI))
	binary.LittleEndian.PutUint64(b[8:], uint64(h.PageAddr))
	binary.LittleEndian.PutUint32(b[16:], h.RemLen)
	binary.LittleEndian.PutUint32(b[20:], 0)
	if h.Info&pageLongHeader == 0 {
		return ShortPageHeaderSize
	}
	binary.LittleEndian.PutUint64(b[24:], h.SysID)
	binary.LittleEndian.PutUint32(b[32:], h.SegSize)
	binary.LittleEndian.PutUint32(b[36:], h.BlockSz)
	return LongPageHeaderSize
}
