package repo

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"sync"

	"github.com/klauspost/compress/s2"

	"zenith/internal/pg"
)

// The values of page keys. All are sealed: see seal.
//
//	image: type u8 | s2-compressed page (imageS2) or the page itself (imageRaw)
//	chunk: type u8 | flags u8 | uvarint before + 1 | uvarint after | uvarint n | n records, oldest first:
//	       uvarint end - previous end (the first: 0, its end is the key's LSN)
//	       uvarint (end - start) | uvarint len << 2 | flags
//	       [len bytes of the record, unless linkPointer]
//
// before counts the records from the chain's base to the one before the chunk (-1: not
// known), after those from the chain's base, which may lie in the chunk, to its end. They
// let a read prove that no part of the chain is missing, and a flush know how long it is.
const (
	valueImageRaw byte = 1
	valueImageS2  byte = 2
	valueChunk    byte = 3
)

// chunkNoRedo in a chunk's flags says that its chain has a record that redo refused.
const chunkNoRedo byte = 1

// linkFlags say what a record is to a page.
type linkFlags uint8

const (
	linkRestore linkFlags = 1 << iota // the page after the record needs nothing of the page before
	linkPointer                       // the record's bytes are in the WAL only
	linkImage                         // not a record but a page (in windows only)
)

// link is one record of a page's chain.
type link struct {
	end, start pg.LSN
	flags      linkFlags
	size       int    // of the record
	raw        []byte // nil if linkPointer
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal makes the value to be stored under key: b and the CRC-32C of both, so that no
// value is ever taken for another's.
func seal(key, b []byte) []byte {
	return binary.LittleEndian.AppendUint32(b, sum(key, b))
}

func sealedOp(key, b []byte) Op { return Op{key, seal(key, b)} }

func sum(key, b []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, b)
}

func unseal(key, b []byte) ([]byte, error) {
	n := len(b) - 4
	if n < 1 {
		return nil, fmt.Errorf("value of %d bytes: %w", len(b), ErrCorrupt)
	}
	if sum(key, b[:n]) != binary.LittleEndian.Uint32(b[n:]) {
		return nil, fmt.Errorf("value's checksum is wrong: %w", ErrCorrupt)
	}
	return b[:n], nil
}

var imageBuffers = sync.Pool{New: func() any { return new([]byte) }}

// encodeImage makes the value for a page.
func encodeImage(page pg.Page) []byte {
	page = page[:pg.BlockSize]
	buf := imageBuffers.Get().(*[]byte)
	defer imageBuffers.Put(buf)
	if *buf == nil {
		*buf = make([]byte, s2.MaxEncodedLen(pg.BlockSize))
	}
	kind, body := valueImageS2, s2.Encode(*buf, page)
	if len(body) > pg.BlockSize*15/16 {
		kind, body = valueImageRaw, page
	}
	return append(append(make([]byte, 0, 1+len(body)+4), kind), body...)
}

func isImage(body []byte) bool { return body[0] == valueImageRaw || body[0] == valueImageS2 }

func decodeImage(body []byte, dst pg.Page) error {
	if body[0] == valueImageRaw {
		if len(body) != 1+pg.BlockSize {
			return fmt.Errorf("page image of %d bytes: %w", len(body)-1, ErrCorrupt)
		}
		copy(dst, body[1:])
		return nil
	}
	if n, err := s2.DecodedLen(body[1:]); err != nil || n != pg.BlockSize {
		return fmt.Errorf("page image of %d bytes: %w", n, ErrCorrupt)
	}
	if _, err := s2.Decode(dst[:pg.BlockSize], body[1:]); err != nil {
		return fmt.Errorf("page image: %v: %w", err, ErrCorrupt)
	}
	return nil
}

// encodeChunk makes the value for links, oldest first, whose key has links[0].end.
func encodeChunk(links []link, before, after int, flags byte) []byte {
	size := 32
	for i := range links {
		size += 24 + len(links[i].raw)
	}
	b := make([]byte, 0, size)
	b = append(b, valueChunk, flags)
	b = binary.AppendUvarint(b, uint64(before+1))
	b = binary.AppendUvarint(b, uint64(after))
	b = binary.AppendUvarint(b, uint64(len(links)))
	last := links[0].end
	for i := range links {
		l := &links[i]
		b = binary.AppendUvarint(b, uint64(l.end-last))
		b = binary.AppendUvarint(b, uint64(l.end-l.start))
		b = binary.AppendUvarint(b, uint64(l.size)<<2|uint64(l.flags))
		if l.flags&linkPointer == 0 {
			b = append(b, l.raw...)
		}
		last = l.end
	}
	return b
}

// chunkHeader is what precedes a chunk's records.
type chunkHeader struct {
	flags         byte
	before, after int
	n             int
	body          []byte
}

func decodeChunkHeader(body []byte) (h chunkHeader, err error) {
	if len(body) < 2 || body[0] != valueChunk {
		return h, fmt.Errorf("value of type %d: %w", body[0], ErrCorrupt)
	}
	d := decoder{b: body[2:]}
	h.flags, h.before, h.after, h.n = body[1], int(d.uvarint())-1, int(d.uvarint()), int(d.uvarint())
	h.body = d.b
	if d.bad || h.n < 1 || h.before < -1 || h.after < 0 {
		return h, fmt.Errorf("chunk header: %w", ErrCorrupt)
	}
	return h, nil
}

// decodeLinks appends the chunk's links, oldest first, to dst. They point into body.
func (h chunkHeader) decodeLinks(dst []link, first pg.LSN) ([]link, error) {
	d := decoder{b: h.body}
	end := first
	for range h.n {
		var l link
		end += pg.LSN(d.uvarint())
		l.end = end
		l.start = end - pg.LSN(d.uvarint())
		v := d.uvarint()
		l.flags, l.size = linkFlags(v&3), int(v>>2)
		if l.flags&linkPointer == 0 {
			l.raw = d.bytes(l.size)
		}
		if d.bad {
			return dst, fmt.Errorf("chunk of %d records is cut off: %w", h.n, ErrCorrupt)
		}
		dst = append(dst, l)
	}
	return dst, nil
}

// decoder reads varints and bytes, and remembers that there were too few.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) bytes(n int) []byte {
	if n < 0 || n > len(d.b) {
		d.bad, d.b = true, nil
		return nil
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}
