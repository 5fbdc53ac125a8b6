package xlog

import (
	"encoding/binary"

	"zenith/internal/pg"
)

// LayRecord is layRecord.
func LayRecord(at pg.LSN, raw []byte, cfg Config) ([]Patch, pg.LSN) {
	cfg = cfg.withDefaults()
	return layRecord(at, raw, &cfg)
}

// MarkOverwritten turns the header of a page, as LayRecord makes it for a record that
// starts on the page, into that of a page that overwrites a record never completed.
func MarkOverwritten(v *pg.Version, page []byte) {
	binary.LittleEndian.PutUint16(page[2:], binary.LittleEndian.Uint16(page[2:])|v.OverwriteContRecord)
}

// ImageInfo is imageInfo.
func ImageInfo(v *pg.Version, bimgInfo uint8) uint8 { return imageInfo(&v.ImageBits, bimgInfo) }
