package xlog

import (
	"encoding/binary"

	"zenith/internal/pg"
)

// A packed record is a record less what one who keeps it with a page it changed knows
// anyway, or can derive:
//
//	info u8 | rmid u8 | varint xid - that of the record packed before | uvarint start - xl_prev
//	the fragment headers, where of a block's the locator and the number are left out if
//	they are the page's, which two bits of its id say | the payload
//
// The length is the keeper's to note. xl_crc is not kept: whoever stores packed records
// has a checksum of their own over them.
const (
	packedLocator = 0x40 // in a block's id: the locator is left out
	packedNumber  = 0x80 // and so is the block's number
)

// Packer packs and unpacks records that are kept with one page, in the order in which
// they were packed.
type Packer struct {
	locator [12]byte
	number  [4]byte
	xid     uint32 // of the record before
}

// NewPacker makes a Packer for the records of the page tag.
func NewPacker(tag pg.BufferTag) (p Packer) {
	binary.LittleEndian.PutUint32(p.locator[:], uint32(tag.SpcOID))
	binary.LittleEndian.PutUint32(p.locator[4:], uint32(tag.DBOID))
	binary.LittleEndian.PutUint32(p.locator[8:], uint32(tag.RelNumber))
	binary.LittleEndian.PutUint32(p.number[:], uint32(tag.Block))
	return p
}

// fragment is one header between a record's own and its payload.
type fragment struct {
	fixed   int  // bytes of it, for a block up to the locator
	block   bool // a locator, unless sameRel, and a number follow
	sameRel bool
	last    bool // it is the main data's
	payload int  // bytes that it announces, but for the main data's
}

// parseFragment looks at the header that begins in, whose first byte is id.
func parseFragment(id byte, in []byte) (f fragment, ok bool) {
	switch {
	case id == blockIDDataShort:
		f = fragment{fixed: 2, last: true}
	case id == blockIDDataLong:
		f = fragment{fixed: 5, last: true}
	case id == blockIDOrigin:
		f = fragment{fixed: 3}
	case id == blockIDTopXID:
		f = fragment{fixed: 5}
	case id <= MaxBlockID && len(in) >= 4:
		f = fragment{fixed: 4, block: true, sameRel: in[1]&blockSameRel != 0, payload: int(binary.LittleEndian.Uint16(in[2:]))}
		if in[1]&blockHasImage == 0 {
			break
		}
		if len(in) < 9 {
			return f, false
		}
		f.fixed += 5
		f.payload += int(binary.LittleEndian.Uint16(in[4:]))
		if info := in[8]; info&ImageHasHole != 0 && info&imageCompressed != 0 {
			f.fixed += 2
		}
	default:
		return f, false
	}
	return f, len(in) >= f.fixed
}

// Pack appends the record raw, which starts at start, to dst. ok is false, and dst as it
// was, for a record that Unpack could not give back.
func (p *Packer) Pack(dst, raw []byte, start pg.LSN) (packed []byte, ok bool) {
	le := binary.LittleEndian
	if len(raw) < RecordHeaderSize || int(le.Uint32(raw)) != len(raw) || le.Uint16(raw[18:]) != 0 {
		return dst, false
	}
	prev := pg.LSN(le.Uint64(raw[8:]))
	if prev >= start {
		return dst, false
	}
	xid := le.Uint32(raw[4:])
	packed = append(dst, raw[16], raw[17])
	packed = binary.AppendVarint(packed, int64(int32(xid-p.xid)))
	packed = binary.AppendUvarint(packed, uint64(start-prev))
	in, payload := raw[RecordHeaderSize:], 0
	for last := false; len(in) > payload && !last; {
		f, ok := parseFragment(in[0], in)
		if !ok || f.block && !p.fits(&f, in) {
			return dst, false
		}
		at := len(packed)
		packed = append(packed, in[:f.fixed]...)
		in = in[f.fixed:]
		payload, last = payload+f.payload, f.last
		if f.block {
			packed, in = p.packBlock(packed, at, &f, in)
		}
	}
	p.xid = xid
	return append(packed, in...), true
}

// fits reports whether the block's header is whole.
func (p *Packer) fits(f *fragment, in []byte) bool {
	need := f.fixed + len(p.number)
	if !f.sameRel {
		need += len(p.locator)
	}
	return len(in) >= need
}

// packBlock appends a block's locator and number, which begin in, or notes in its id at
// at that they are the page's.
func (p *Packer) packBlock(dst []byte, at int, f *fragment, in []byte) (packed, rest []byte) {
	if !f.sameRel {
		if [12]byte(in) == p.locator {
			dst[at] |= packedLocator
		} else {
			dst = append(dst, in[:len(p.locator)]...)
		}
		in = in[len(p.locator):]
	}
	if [4]byte(in) == p.number {
		dst[at] |= packedNumber
	} else {
		dst = append(dst, in[:len(p.number)]...)
	}
	return dst, in[len(p.number):]
}

// Unpack appends the record of size bytes that starts at start, and is the first in
// packed, to dst, and gives what follows it in packed. Its checksum is left zero. ok is
// false if packed is no such record.
func (p *Packer) Unpack(dst, packed []byte, start pg.LSN, size int) (raw, rest []byte, ok bool) {
	if len(packed) < 4 || size < RecordHeaderSize {
		return dst, nil, false
	}
	info, rmid, in := packed[0], packed[1], packed[2:]
	delta, n := binary.Varint(in)
	if n <= 0 {
		return dst, nil, false
	}
	back, m := binary.Uvarint(in[n:])
	if m <= 0 {
		return dst, nil, false
	}
	in = in[n+m:]
	p.xid += uint32(delta)
	from, le := len(dst), binary.LittleEndian
	raw = le.AppendUint32(dst, uint32(size))
	raw = le.AppendUint32(raw, p.xid)
	raw = le.AppendUint64(raw, uint64(start)-back)
	raw = append(raw, info, rmid, 0, 0, 0, 0, 0, 0)
	raw, in, ok = p.unpackFragments(raw, in, from+size)
	left := from + size - len(raw)
	if !ok || left < 0 || left > len(in) {
		return dst, nil, false
	}
	return append(raw, in[:left]...), in[left:], true
}

// unpackFragments appends the fragment headers of a record that ends where dst's length
// is end.
func (p *Packer) unpackFragments(dst, in []byte, end int) (raw, rest []byte, ok bool) {
	payload := 0
	for last := false; end-len(dst) > payload && !last; {
		if len(in) == 0 {
			return dst, in, false
		}
		id, left := in[0], byte(0)
		if id < blockIDTopXID {
			id, left = id&^(packedLocator|packedNumber), id&(packedLocator|packedNumber)
		}
		f, ok := parseFragment(id, in)
		if !ok {
			return dst, in, false
		}
		dst = append(append(dst, id), in[1:f.fixed]...)
		in = in[f.fixed:]
		payload, last = payload+f.payload, f.last
		if !f.block {
			continue
		}
		if !f.sameRel {
			if dst, in, ok = unpackPart(dst, in, p.locator[:], left&packedLocator != 0); !ok {
				return dst, in, false
			}
		}
		if dst, in, ok = unpackPart(dst, in, p.number[:], left&packedNumber != 0); !ok {
			return dst, in, false
		}
	}
	return dst, in, true
}

// unpackPart appends the page's part, or as many bytes of in.
func unpackPart(dst, in, page []byte, leftOut bool) (raw, rest []byte, ok bool) {
	if leftOut {
		return append(dst, page...), in, true
	}
	if len(in) < len(page) {
		return dst, in, false
	}
	return append(dst, in[:len(page)]...), in[len(page):], true
}
