package xlog

import (
	"bytes"
	"encoding/binary"

	"zenith/internal/pg"
)

// Patch is a piece of WAL to be written at a place. It lies in one segment.
type Patch struct {
	At    pg.LSN
	Bytes []byte
}

// ShutdownCheckpoint makes the record of a shutdown checkpoint that follows the record
// ending at at, which started at prev, so that a server finds a cleanly stopped cluster
// there and starts without recovery. cp.Redo is set to where the record starts, as such a
// checkpoint must have it; pg_control's checkPoint must be the same.
//
// The patches hold the record and every page header that it needs, so that applying them
// to WAL that is right up to at and zeros behind makes WAL that is right up to end.
// cfg has a Version.
func ShutdownCheckpoint(at, prev pg.LSN, cp *pg.CheckPoint, cfg Config) (patches []Patch, end pg.LSN) {
	cfg = cfg.withDefaults()
	if cfg.TLI == 0 {
		cfg.TLI = cp.ThisTLI
	}
	cp.Redo = RecordStart(at, cfg.SegSize)
	size := cfg.Version.CheckPointSize()
	raw := make([]byte, RecordHeaderSize, RecordHeaderSize+2+size)
	binary.LittleEndian.PutUint64(raw[8:], uint64(prev))
	raw[16], raw[17] = XLOGCheckpointShutdown, byte(RmXLOG)
	raw = append(raw, blockIDDataShort, byte(size))
	raw = cfg.Version.AppendCheckPoint(raw, cp)
	binary.LittleEndian.PutUint32(raw, uint32(len(raw)))
	binary.LittleEndian.PutUint32(raw[20:], RecordCRC(raw))
	return layRecord(at, raw, &cfg)
}

// PageImage makes a record that follows the one ending at at, which started at prev, and replaces
// the page tag by page: XLOG_FPI, as log_newpage logs it. start is where the record begins. The
// patches are as ShutdownCheckpoint's. cfg has a Version and a TLI.
func PageImage(at, prev pg.LSN, tag pg.BufferTag, page pg.Page, cfg Config) (patches []Patch, start, end pg.LSN) {
	const hasImage = 0x10 // BKPBLOCK_HAS_IMAGE
	cfg = cfg.withDefaults()
	raw := make([]byte, RecordHeaderSize, RecordHeaderSize+25+len(page))
	binary.LittleEndian.PutUint64(raw[8:], uint64(prev))
	raw[16], raw[17] = XLOGFPI, byte(RmXLOG)
	raw = append(raw, 0, byte(tag.Fork)|hasImage, 0, 0) // XLogRecordBlockHeader: block 0, without data
	raw = binary.LittleEndian.AppendUint16(raw, uint16(len(page)))
	raw = append(raw, 0, 0, cfg.Version.ImageBits.Apply) // XLogRecordBlockImageHeader: no hole
	for _, n := range []uint32{uint32(tag.SpcOID), uint32(tag.DBOID), uint32(tag.RelNumber), uint32(tag.Block)} {
		raw = binary.LittleEndian.AppendUint32(raw, n)
	}
	raw = append(raw, page...)
	binary.LittleEndian.PutUint32(raw, uint32(len(raw)))
	binary.LittleEndian.PutUint32(raw[20:], RecordCRC(raw))
	patches, end = layRecord(at, raw, &cfg)
	return patches, RecordStart(at, cfg.SegSize), end
}

// Noop makes a record that does nothing, XLOG_NOOP, to stand in the place of the record raw, which
// follows the one ending at at: it is as long, and records behind it need not change. The patches are as
// ShutdownCheckpoint's.
func Noop(at pg.LSN, raw []byte, cfg Config) []Patch {
	cfg = cfg.withDefaults()
	raw = bytes.Clone(raw)
	raw[16], raw[17] = XLOGNoop, byte(RmXLOG)
	binary.LittleEndian.PutUint32(raw[20:], RecordCRC(raw))
	patches, _ := layRecord(at, raw, &cfg)
	return patches
}

// OverwriteAborted makes the record with which WAL goes on on the page missing, the first of those that a record
// which began at aborted was to have and does not: from then on no reader looks for them
// (CreateOverwriteContrecordRecord). The record before the aborted one started at prev; now is the time. start is
// where the record begins. The patches are as ShutdownCheckpoint's. cfg has a Version and a TLI.
func OverwriteAborted(missing, prev, aborted pg.LSN, now pg.TimestampTz, cfg Config) (patches []Patch, start, end pg.LSN) {
	const size = 16 // sizeof(xl_overwrite_contrecord)
	cfg = cfg.withDefaults()
	raw := make([]byte, RecordHeaderSize, RecordHeaderSize+2+size)
	binary.LittleEndian.PutUint64(raw[8:], uint64(prev))
	raw[16], raw[17] = XLOGOverwriteContRecord, byte(RmXLOG)
	raw = append(raw, blockIDDataShort, size)
	raw = binary.LittleEndian.AppendUint64(raw, uint64(aborted))
	raw = binary.LittleEndian.AppendUint64(raw, uint64(now))
	binary.LittleEndian.PutUint32(raw, uint32(len(raw)))
	binary.LittleEndian.PutUint32(raw[20:], RecordCRC(raw))
	patches, end = layRecord(missing, raw, &cfg)
	header := patches[0].Bytes // of the page
	binary.LittleEndian.PutUint16(header[2:], binary.LittleEndian.Uint16(header[2:])|cfg.Version.OverwriteContRecord)
	return patches, RecordStart(missing, cfg.SegSize), end
}

// layRecord lays a record into WAL pages behind at: page headers before it, if at is on
// a page boundary, and wherever it runs on, and zeros up to its aligned end.
func layRecord(at pg.LSN, raw []byte, cfg *Config) (patches []Patch, end pg.LSN) {
	at = at.Align()
	patch := Patch{At: at}
	rest := uint32(0) // what a page header says is left of the record
	for len(raw) > 0 {
		if at%PageSize == 0 {
			if at&pg.LSN(cfg.SegSize-1) == 0 && len(patch.Bytes) > 0 {
				patches = append(patches, patch)
				patch = Patch{At: at}
			}
			patch.Bytes = appendPageHeader(patch.Bytes, at, rest, cfg)
		}
		at = patch.At + pg.LSN(len(patch.Bytes))
		n := min(len(raw), PageSize-int(at%PageSize))
		patch.Bytes = append(patch.Bytes, raw[:n]...)
		at, raw = at+pg.LSN(n), raw[n:]
		rest = uint32(len(raw))
	}
	end = at.Align()
	patch.Bytes = append(patch.Bytes, make([]byte, end-at)...)
	return append(patches, patch), end
}

// appendPageHeader appends the header of the page at, on which rest bytes of a record
// from before come first.
func appendPageHeader(b []byte, at pg.LSN, rest uint32, cfg *Config) []byte {
	h := PageHeader{Magic: cfg.Version.WALMagic, TLI: cfg.TLI, PageAddr: at, RemLen: rest}
	if rest > 0 {
		h.Info |= pageFirstIsContRecord
	}
	if at&pg.LSN(cfg.SegSize-1) == 0 {
		h.Info |= pageLongHeader
		h.SysID, h.SegSize, h.BlockSz = cfg.SysID, uint32(cfg.SegSize), PageSize
	}
	var buf [LongPageHeaderSize]byte
	return append(b, buf[:h.put(buf[:])]...)
}
