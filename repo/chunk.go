package repo

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"sync"

	"github.com/klauspost/compress/s2"

	"zenith/internal/pg"
	"zenith/internal/varint"
	"zenith/internal/xlog"
	"zenith/repo/store"
)

// The values of page keys. All are stamped: see stamp.
//
//	image:   type u8 | s2-compressed page (valueImageS2) or the page itself (valueImageRaw)
//	chunk:   type u8 | flags u8 | uvarint before + 1 | uvarint after | uvarint n |
//	         uvarint (last end - first end) | body
//	body:    n records, oldest first, as places in the WAL:
//	         uvarint (end - previous end) / 8 (the first: 0, its end is the key's LSN)
//	         uvarint (end - start) / 8 | uvarint length << 1 | restores
//	trimmed: as a chunk up to the body (type, flags, ..., end of the last - the key's LSN) | uvarint n |
//	         n images, oldest first: uvarint end - previous end (the first: - the key's LSN) |
//	         uvarint depth + 1 | uvarint len | what an image's value has || body, behind the last image
//
// The bytes of records are in the WAL and nowhere else: to copy and compress them was half of
// what ingest cost, and made the store bigger than the WAL. Segments are mapped into memory,
// so that the records of a page are a few loads away; see package segment.
//
// before counts the records from the chain's base to the one before the chunk (-1: not
// known), after those from the chain's base, which may lie in the chunk, to its end. They
// let a read prove that no part of the chain is missing, and a flush know how long it is.
//
// A trimmed chunk is what a collection makes of a chunk: images in place of the records up to the
// horizon. Its key and its counts are the chunk's. The depth of an image is how many records the
// chain had up to it (-1: not known), so that a chunk that is written behind it counts the same
// whether the collection comes before or after.
const (
	valueImageRaw byte = 1
	valueImageS2  byte = 2
	valueChunk    byte = 3
	valueTrimmed  byte = 4
)

// A chunk's flags.
const (
	chunkNoRedo byte = 1 << iota // the chain has a record that redo refused
	chunkOpen                    // after is a lower bound, since it is not known where the base is
)

// linkFlags say what a link is to a page.
type linkFlags uint8

const (
	linkRestore linkFlags = 1 << iota // a record that makes the page whatever it was before
	linkImage                         // no record but a page, of a window or a trimmed chunk
)

// link is one record of a page's chain, or an image.
type link struct {
	end, start pg.LSN
	flags      linkFlags
	size       int    // bytes of the record, or of raw
	raw        []byte // of a linkImage: the page
	stored     bool   // of a linkImage in a trimmed chunk: raw is not the page but the value of an image
	depth      int    // of such a linkImage: the records of the chain up to it, -1 if not known
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// stamp makes the value to be stored under key: b, and the CRC-32C of key and b, so that a value is
// never taken for that of another key. It may append to b in place.
func stamp(key, b []byte) []byte {
	return binary.LittleEndian.AppendUint32(b, sum(key, b))
}

// stampedOp is the write that sets key to b, stamped.
func stampedOp(key, b []byte) store.Op { return store.Op{Key: key, Value: stamp(key, b)} }

// putStamped sets key to b, stamped. key and b belong to out from then on.
func putStamped(out store.BulkWriter, key, b []byte) error { return out.Put(key, stamp(key, b)) }

func sum(key, b []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, b)
}

// unstamp undoes stamp. ErrCorrupt if the checksum is wrong, or b is too short to have one.
func unstamp(key, b []byte) ([]byte, error) {
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

// encodeImage makes the value of an image.
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

// decodeImage undoes encodeImage. body is not empty.
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

// encodeChunk makes the value of a chunk with links, oldest first. The LSN of its key is
// links[0].end.
func encodeChunk(links []link, before, after int, flags byte) []byte {
	v := make([]byte, 0, 2+4*binary.MaxVarintLen32+len(links)*linkBytes+4)
	v = append(v, valueChunk, flags)
	for _, n := range [...]uint64{uint64(before + 1), uint64(after), uint64(len(links)), uint64(links[len(links)-1].end - links[0].end)} {
		v = binary.AppendUvarint(v, n)
	}
	return appendLinks(v, links, links[0].end)
}

// encodeTrimmed makes the value of a trimmed chunk, to take the place of the chunk with header h
// under the key with LSN first: images, and the links above the last image. All are oldest first.
func encodeTrimmed(first pg.LSN, images, links []link, h *chunkHeader) []byte {
	last, flags := images[len(images)-1], h.flags&^chunkOpen
	after, known := chainLength(links, last.depth)
	if !known {
		flags |= chunkOpen
	}
	end := last.end
	if len(links) > 0 {
		end = links[len(links)-1].end
	}
	v := append(make([]byte, 0, len(images)*pg.BlockSize/2+len(links)*linkBytes+64), valueTrimmed, flags)
	for _, n := range [...]uint64{uint64(h.before + 1), uint64(after), uint64(len(links)), uint64(end - first), uint64(len(images))} {
		v = binary.AppendUvarint(v, n)
	}
	for i := range images {
		l := &images[i]
		for _, n := range [...]uint64{uint64(l.end - first), uint64(l.depth + 1), uint64(len(l.raw))} {
			v = binary.AppendUvarint(v, n)
		}
		v = append(v, l.raw...)
		first = l.end
	}
	return appendLinks(v, links, last.end)
}

// linkBytes is how many bytes a link takes in a body, about.
const linkBytes = 8

// appendLinks appends a body. last is the end of the record or image before the first link.
func appendLinks(b []byte, links []link, last pg.LSN) []byte {
	for i := range links {
		l := &links[i]
		b = binary.AppendUvarint(b, uint64(l.end-last)/8)
		b = binary.AppendUvarint(b, uint64(l.end-l.start)/8)
		b = binary.AppendUvarint(b, uint64(l.size)<<1|uint64(l.flags&linkRestore))
		last = l.end
	}
	return b
}

// chunkHeader is what precedes the records of a chunk, trimmed or not.
type chunkHeader struct {
	trimmed       bool // it has images
	flags         byte
	before, after int
	n             int
	span          pg.LSN // from the key's LSN to the end of the last record
	body          []byte // of a trimmed chunk: the images too
}

// decodeChunkHeader takes the value of a chunk apart. body is not empty.
func decodeChunkHeader(body []byte) (h chunkHeader, err error) {
	if len(body) < 2 || body[0] != valueChunk && body[0] != valueTrimmed {
		return h, fmt.Errorf("value of type %d: %w", body[0], ErrCorrupt)
	}
	d := varint.Reader{Rest: body[2:]}
	h.flags, h.before, h.after, h.n, h.span = body[1], int(d.Uint())-1, int(d.Uint()), int(d.Uint()), pg.LSN(d.Uint())
	h.trimmed, h.body = body[0] == valueTrimmed, d.Rest
	if d.Bad || h.n < 1 && !h.trimmed || h.before < -1 || h.after < 0 {
		return h, fmt.Errorf("chunk header: %w", ErrCorrupt)
	}
	return h, nil
}

// chunkDecoder takes the chunks of one page apart.
type chunkDecoder struct {
	vals []byte // the bytes of all images that were decoded; the caller empties it for the next page
}

// links appends the links of the chunk with header h, oldest first, to dst. first is the LSN of its
// key. The images' raw is in d.vals.
func (d *chunkDecoder) links(dst []link, h *chunkHeader, first pg.LSN) ([]link, error) {
	in := varint.Reader{Rest: h.body}
	if h.trimmed {
		if dst, first = d.images(dst, &in, first); in.Bad {
			return dst, fmt.Errorf("chunk of images and %d records is too short: %w", h.n, ErrCorrupt)
		}
	}
	end := first
	for range h.n {
		end += pg.LSN(in.Uint() * 8)
		start := end - pg.LSN(in.Uint()*8)
		v := in.Uint()
		if in.Bad || v>>1 > xlog.MaxRecord {
			return dst, fmt.Errorf("chunk of %d records is too short: %w", h.n, ErrCorrupt)
		}
		dst = append(dst, link{end: end, start: start, flags: linkFlags(v & 1), size: int(v >> 1)})
	}
	return dst, nil
}

// images appends the images of a trimmed chunk, whose key has LSN end, and gives the LSN of the last.
func (d *chunkDecoder) images(dst []link, in *varint.Reader, end pg.LSN) ([]link, pg.LSN) {
	for range in.Uint() {
		end += pg.LSN(in.Uint())
		l := link{end: end, start: end, flags: linkImage, stored: true, depth: int(in.Uint()) - 1}
		from := len(d.vals)
		d.vals = append(d.vals, in.Bytes(int(in.Uint()))...)
		l.raw = d.vals[from:len(d.vals):len(d.vals)]
		l.size = len(l.raw)
		if in.Bad = in.Bad || l.size == 0 || !isImage(l.raw); in.Bad {
			break
		}
		dst = append(dst, l)
	}
	return dst, end
}
