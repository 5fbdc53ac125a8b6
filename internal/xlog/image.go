package xlog

import (
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"zenith/internal/pg"
)

// Bits of Image.Info: those of bimg_info (access/xlogrecord.h) in PostgreSQL 15 to 19, whatever
// the record's version.
const (
	ImageHasHole = 0x01
	ImageApply   = 0x02
	ImagePGLZ    = 0x04
	ImageLZ4     = 0x08
	ImageZSTD    = 0x10

	imageCompressed = ImagePGLZ | ImageLZ4 | ImageZSTD
)

// imageHeader reads XLogRecordBlockImageHeader and, if one follows, the hole's
// length, and makes the cross-checks of DecodeXLogRecord. It returns the header's size.
func (b *BlockRef) imageHeader(v *pg.Version, in []byte, imageLen *uint16) (int, error) {
	if len(in) < 7 {
		return 0, errShort // the shortest has a block number behind it
	}
	img := &b.Image
	n, size := binary.LittleEndian.Uint16(in), 5
	img.HoleOffset, img.Info = binary.LittleEndian.Uint16(in[2:]), imageInfo(&v.ImageBits, in[4])
	b.Apply = img.Info&ImageApply != 0
	hasHole, compressed := img.Info&ImageHasHole != 0, img.Info&imageCompressed != 0
	switch {
	case !compressed:
		img.HoleLength = pg.BlockSize - n
	case hasHole:
		img.HoleLength = binary.LittleEndian.Uint16(in[5:])
		size = 7
	}
	if n > pg.BlockSize || compressed && n == pg.BlockSize ||
		hasHole != (img.HoleLength != 0) || hasHole != (img.HoleOffset != 0) ||
		int(img.HoleOffset)+int(img.HoleLength) > pg.BlockSize {
		return 0, fmt.Errorf("image of %d bytes, info %02X, hole of %d at %d: %w",
			n, img.Info, img.HoleLength, img.HoleOffset, ErrCorrupt)
	}
	*imageLen = n
	return size, nil
}

// imageInfo gives a bimg_info in the bits of Image.Info.
func imageInfo(bits *pg.ImageBits, bimgInfo uint8) (info uint8) {
	if bimgInfo&bits.HasHole != 0 {
		info |= ImageHasHole
	}
	if bimgInfo&bits.Apply != 0 {
		info |= ImageApply
	}
	if bimgInfo&bits.PGLZ != 0 {
		info |= ImagePGLZ
	}
	if bimgInfo&bits.LZ4 != 0 {
		info |= ImageLZ4
	}
	if bimgInfo&bits.ZSTD != 0 {
		info |= ImageZSTD
	}
	return info
}

// Restore is RestoreBlockImage: page becomes the image, its hole zeros. The page's LSN
// and checksum are those inside the image, which are older than the record.
func (img *Image) Restore(page pg.Page) error {
	page = page[:pg.BlockSize]
	hole, end := int(img.HoleOffset), int(img.HoleOffset)+int(img.HoleLength)
	if end > pg.BlockSize {
		return fmt.Errorf("page image with a hole from %d to %d: %w", hole, end, ErrCorrupt)
	}
	size := pg.BlockSize - int(img.HoleLength)
	if err := img.unpack(page[:size]); err != nil {
		return fmt.Errorf("page image: %w", err)
	}
	if img.HoleLength != 0 {
		copy(page[end:], page[hole:size])
		clear(page[hole:end])
	}
	return nil
}

// unpack fills dst with the image as it is without its hole.
func (img *Image) unpack(dst []byte) error {
	switch {
	case img.Info&imageCompressed == 0:
		if len(img.Bytes) != len(dst) {
			return fmt.Errorf("%d bytes, want %d: %w", len(img.Bytes), len(dst), ErrCorrupt)
		}
		copy(dst, img.Bytes)
		return nil
	case img.Info&ImagePGLZ != 0:
		return pglzDecompress(dst, img.Bytes)
	case img.Info&ImageLZ4 != 0:
		if n, err := lz4.UncompressBlock(img.Bytes, dst); err != nil || n != len(dst) {
			return fmt.Errorf("lz4: %d of %d bytes: %v: %w", n, len(dst), err, ErrCorrupt)
		}
		return nil
	default:
		return zstdDecompress(dst, img.Bytes)
	}
}

// zstdDecoder is made when the first zstd image is met. It keeps no state between
// calls and may be used by many at once.
var zstdDecoder = sync.OnceValues(func() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(1<<20), zstd.WithDecodeAllCapLimit(true))
})

func zstdDecompress(dst, src []byte) error {
	dec, err := zstdDecoder()
	if err != nil {
		return fmt.Errorf("start zstd: %w", err)
	}
	out, err := dec.DecodeAll(src, dst[:0:len(dst)])
	if err != nil || len(out) != len(dst) {
		return fmt.Errorf("zstd: %d of %d bytes: %v: %w", len(out), len(dst), err, ErrCorrupt)
	}
	if len(out) > 0 && &out[0] != &dst[0] {
		copy(dst, out)
	}
	return nil
}
