package repotest

import (
	"encoding/binary"
	"errors"
	"hash/fnv"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// Refused is the info of records that Redo refuses.
const Refused = 0x70

// ErrRefused is what Redo returns for a record with info Refused.
var ErrRefused = errors.New("refused record")

// Redo is a RedoFunc for tests. It mixes each record into a number in the page, so that the number is
// wrong if a record is missing, out of order or applied twice. Mixed reads the number, and Mix
// computes what it must be.
func Redo(page pg.Page, tag pg.BufferTag, rec *xlog.Record) error {
	if rec.Info == Refused {
		return ErrRefused
	}
	var mixed uint64
	if !restores(tag, rec) {
		mixed = Mixed(page)
	}
	clear(page)
	binary.LittleEndian.PutUint64(page[64:], Mix(mixed, tag, rec))
	page.SetLSN(rec.EndLSN)
	page.SetUpper(pg.BlockSize)
	return nil
}

func restores(tag pg.BufferTag, rec *xlog.Record) bool {
	for i := range rec.Blocks {
		if rec.Blocks[i].Tag == tag {
			return rec.Blocks[i].Restores()
		}
	}
	return false
}

// Mixed reads the number in a page.
func Mixed(page pg.Page) uint64 { return binary.LittleEndian.Uint64(page[64:]) }

// Mix gives the number in the page tag after rec, if it was old before.
func Mix(old uint64, tag pg.BufferTag, rec *xlog.Record) uint64 {
	h := fnv.New64a()
	var b [32]byte
	binary.LittleEndian.PutUint64(b[:], old)
	binary.LittleEndian.PutUint64(b[8:], uint64(rec.EndLSN))
	binary.LittleEndian.PutUint32(b[16:], uint32(tag.RelNumber))
	binary.LittleEndian.PutUint32(b[20:], uint32(tag.Block))
	binary.LittleEndian.PutUint32(b[24:], uint32(rec.XID))
	binary.LittleEndian.PutUint32(b[28:], uint32(len(rec.MainData)))
	h.Write(b[:])
	return h.Sum64()
}
