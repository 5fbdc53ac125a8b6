package xlog

import (
	"encoding/binary"
	"fmt"
	"iter"

	"zenith/internal/pg"
)

// Arrays are kept as they lie in the record: to parse them costs no memory.

// XIDs is an array of transaction ids.
type XIDs struct{ b []byte }

// Len counts them.
func (x XIDs) Len() int { return len(x.b) / sizeofXID }

// At is the one at i, from 0.
func (x XIDs) At(i int) pg.TransactionID {
	return pg.TransactionID(binary.LittleEndian.Uint32(x.b[i*sizeofXID:]))
}

// All goes through them.
func (x XIDs) All() iter.Seq[pg.TransactionID] {
	return func(yield func(pg.TransactionID) bool) {
		for i := range x.Len() {
			if !yield(x.At(i)) {
				return
			}
		}
	}
}

// OIDs is an array of object ids.
type OIDs struct{ b []byte }

// Len counts them.
func (o OIDs) Len() int { return len(o.b) / sizeofOID }

// All goes through them.
func (o OIDs) All() iter.Seq[pg.OID] {
	return func(yield func(pg.OID) bool) {
		for b := o.b; len(b) > 0; b = b[sizeofOID:] {
			if !yield(pg.OID(binary.LittleEndian.Uint32(b))) {
				return
			}
		}
	}
}

// Locators is an array of relations' names.
type Locators struct{ b []byte }

// Len counts them.
func (l Locators) Len() int { return len(l.b) / sizeofLocator }

// All goes through them.
func (l Locators) All() iter.Seq[pg.RelFileLocator] {
	return func(yield func(pg.RelFileLocator) bool) {
		for i := range l.Len() {
			if !yield(getLocator(l.b[i*sizeofLocator:])) {
				return
			}
		}
	}
}

// Sizes of elements.
const (
	sizeofXID     = 4
	sizeofOID     = 4
	sizeofLocator = 12
	sizeofOffset  = 2
)

// Offsets is an array of uint16: numbers of items, or indexes into a posting list.
type Offsets []byte

// CutOffsets takes n of them off the front of b.
func CutOffsets(b []byte, n int) (Offsets, []byte, error) {
	if len(b) < sizeofOffset*n {
		return nil, nil, errOffsets(n, len(b))
	}
	return Offsets(b[:sizeofOffset*n]), b[sizeofOffset*n:], nil
}

func errOffsets(n, have int) error {
	return fmt.Errorf("%d offsets in %d bytes: %w", n, have, ErrCorrupt)
}

// Len counts them.
func (o Offsets) Len() int { return len(o) / sizeofOffset }

// At is the one at i, from 0.
func (o Offsets) At(i int) pg.OffsetNumber {
	return pg.OffsetNumber(binary.LittleEndian.Uint16(o[sizeofOffset*i:]))
}
