package xlog

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"zenith/internal/pg"
)

// Sizes and flags of access/xlogrecord.h.
const (
	RecordHeaderSize = 24 // SizeOfXLogRecord
	MaxBlockID       = 32 // XLR_MAX_BLOCK_ID

	// CheckConsistency is XLR_CHECK_CONSISTENCY in Info: wal_consistency_checking
	// put an image of the block after the change into the record.
	CheckConsistency = 0x02

	blockIDDataShort = 255
	blockIDDataLong  = 254
	blockIDOrigin    = 253
	blockIDTopXID    = 252

	blockForkMask = 0x0F
	blockHasImage = 0x10
	blockHasData  = 0x20
	blockWillInit = 0x40
	blockSameRel  = 0x80
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// RecordCRC is the checksum that a record must carry in its header (bytes 20 to 23):
// CRC-32C over everything behind the header, then the header before xl_crc. raw is at
// least RecordHeaderSize long.
func RecordCRC(raw []byte) uint32 {
	return crc32.Update(crc32.Checksum(raw[RecordHeaderSize:], castagnoli), castagnoli, raw[:20])
}

// CheckCRC is ValidXLogRecord: raw is one whole record and its checksum is right.
func CheckCRC(raw []byte) error {
	if len(raw) < RecordHeaderSize {
		return errLength(raw)
	}
	if stored, want := binary.LittleEndian.Uint32(raw[20:]), RecordCRC(raw); stored != want {
		return fmt.Errorf("record checksum is %08X, should be %08X: %w", stored, want, ErrCorrupt)
	}
	return nil
}

// Decode is DecodeXLogRecord: take one whole record of PostgreSQL v apart. start and end
// become StartLSN and EndLSN. rec's slices point into raw; rec.Blocks is used again, so a
// Record that lives through many calls costs no allocation. Every length is checked
// against raw, but not the checksum: that is CheckCRC.
func Decode(v *pg.Version, raw []byte, start, end pg.LSN, rec *Record) error {
	if v == nil {
		return errNoVersion
	}
	if len(raw) < RecordHeaderSize || uint64(binary.LittleEndian.Uint32(raw)) != uint64(len(raw)) {
		return errLength(raw)
	}
	rec.V, rec.StartLSN, rec.EndLSN, rec.Raw = v, start, end, raw
	rec.XID = pg.TransactionID(binary.LittleEndian.Uint32(raw[4:]))
	rec.Prev = pg.LSN(binary.LittleEndian.Uint64(raw[8:]))
	rec.Info, rec.RmgrID = raw[16], RmgrID(raw[17])
	rec.Blocks, rec.MainData, rec.Origin, rec.TopXID = rec.Blocks[:0], nil, 0, 0

	d := decoder{in: raw[RecordHeaderSize:]}
	mainLen, err := d.headers(rec)
	if err != nil {
		return fmt.Errorf("record at %v: %w", start, err)
	}
	// headers has made sure that the lengths add up to what is left.
	for i := range rec.Blocks {
		blk := &rec.Blocks[i]
		if n := int(d.lens[i].image); blk.HasImage {
			blk.Image.Bytes, d.in = d.in[:n:n], d.in[n:]
		}
		if n := int(d.lens[i].data); blk.HasData {
			blk.Data, d.in = d.in[:n:n], d.in[n:]
		}
	}
	if mainLen > 0 {
		rec.MainData = d.in
	}
	return nil
}

func errLength(raw []byte) error {
	if len(raw) < 4 {
		return fmt.Errorf("record of %d bytes: %w", len(raw), ErrCorrupt)
	}
	return fmt.Errorf("record of %d bytes states a length of %d: %w", len(raw), binary.LittleEndian.Uint32(raw), ErrCorrupt)
}

// decoder is the state of one Decode: what is left of the record, and how long each
// block's payload will be.
type decoder struct {
	in   []byte
	lens [MaxBlockID + 1]struct{ image, data uint16 }
}

// headers reads the fragment headers and leaves d.in at the payload, whose length is
// then exactly what the headers promise. It returns the main data's length.
func (d *decoder) headers(rec *Record) (mainLen int, err error) {
	payload, lastID := 0, -1
	for len(d.in) > payload {
		id := d.in[0]
		switch {
		case id == blockIDDataShort || id == blockIDDataLong:
			if mainLen, err = d.mainHeader(id); err != nil {
				return 0, err
			}
			// By convention nothing follows the main data's header.
			if len(d.in) != payload+mainLen {
				return 0, d.errPayload(payload + mainLen)
			}
			return mainLen, nil
		case id == blockIDOrigin:
			if len(d.in) < 3 {
				return 0, errShort
			}
			rec.Origin = binary.LittleEndian.Uint16(d.in[1:])
			d.in = d.in[3:]
		case id == blockIDTopXID:
			if len(d.in) < 5 {
				return 0, errShort
			}
			rec.TopXID = pg.TransactionID(binary.LittleEndian.Uint32(d.in[1:]))
			d.in = d.in[5:]
		case int(id) > lastID && id <= MaxBlockID:
			n, err := d.blockHeader(rec)
			if err != nil {
				return 0, fmt.Errorf("block reference %d: %w", id, err)
			}
			payload += n
			lastID = int(id)
		default:
			return 0, fmt.Errorf("block id %d after %d: %w", id, lastID, ErrCorrupt)
		}
	}
	if len(d.in) != payload {
		return 0, d.errPayload(payload)
	}
	return 0, nil
}

var errShort = fmt.Errorf("record ends within its headers: %w", ErrCorrupt)

func (d *decoder) errPayload(want int) error {
	return fmt.Errorf("payload is %d bytes, headers say %d: %w", len(d.in), want, ErrCorrupt)
}

// mainHeader is XLogRecordDataHeaderShort or -Long.
func (d *decoder) mainHeader(id uint8) (int, error) {
	if id == blockIDDataShort {
		if len(d.in) < 2 {
			return 0, errShort
		}
		n := int(d.in[1])
		d.in = d.in[2:]
		return n, nil
	}
	if len(d.in) < 5 {
		return 0, errShort
	}
	n := int(binary.LittleEndian.Uint32(d.in[1:]))
	d.in = d.in[5:]
	return n, nil
}

// blockHeader is XLogRecordBlockHeader and what follows it, appended to rec.Blocks. It
// returns how many bytes of payload the block has.
func (d *decoder) blockHeader(rec *Record) (int, error) {
	in := d.in
	if len(in) < 4 {
		return 0, errShort
	}
	n := len(rec.Blocks)
	if n < cap(rec.Blocks) {
		rec.Blocks = rec.Blocks[:n+1]
		rec.Blocks[n] = BlockRef{}
	} else {
		rec.Blocks = append(rec.Blocks, BlockRef{})
	}
	blk := &rec.Blocks[n]
	flags, dataLen := in[1], binary.LittleEndian.Uint16(in[2:])
	blk.ID = in[0]
	blk.Tag.Fork = pg.ForkNumber(flags & blockForkMask)
	blk.WillInit = flags&blockWillInit != 0
	blk.HasData = flags&blockHasData != 0
	blk.HasImage = flags&blockHasImage != 0
	if blk.HasData != (dataLen != 0) || blk.Tag.Fork > pg.MaxFork {
		return 0, fmt.Errorf("flags %02X with %d bytes of data: %w", flags, dataLen, ErrCorrupt)
	}
	in = in[4:]
	imageLen := uint16(0)
	if blk.HasImage {
		size, err := blk.imageHeader(rec.V, in, &imageLen)
		if err != nil {
			return 0, err
		}
		in = in[size:]
	}
	if flags&blockSameRel == 0 {
		if len(in) < 16 {
			return 0, errShort
		}
		blk.Tag.RelFileLocator = getLocator(in)
		in = in[12:]
	} else if n == 0 {
		return 0, fmt.Errorf("same relation as none before: %w", ErrCorrupt)
	} else {
		blk.Tag.RelFileLocator = rec.Blocks[n-1].Tag.RelFileLocator
	}
	if len(in) < 4 {
		return 0, errShort
	}
	blk.Tag.Block = pg.BlockNumber(binary.LittleEndian.Uint32(in))
	if blk.Tag.SpcOID == pg.SLRUSpace || blk.Tag.Block == pg.InvalidBlockNumber {
		return 0, fmt.Errorf("no such block: %v: %w", blk.Tag, ErrCorrupt)
	}
	d.in = in[4:]
	d.lens[n].image, d.lens[n].data = imageLen, dataLen
	return int(imageLen) + int(dataLen), nil
}

// getLocator reads a RelFileNode, 12 bytes.
func getLocator(b []byte) pg.RelFileLocator {
	_ = b[11]
	return pg.RelFileLocator{
		SpcOID:    pg.OID(binary.LittleEndian.Uint32(b)),
		DBOID:     pg.OID(binary.LittleEndian.Uint32(b[4:])),
		RelNumber: pg.OID(binary.LittleEndian.Uint32(b[8:])),
	}
}
