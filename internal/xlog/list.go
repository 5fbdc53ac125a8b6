package xlog

import (
	"encoding/binary"
	"iter"

	"zenith/internal/pg"
)

// XIDs is an array of transaction ids as it lies in a record: to parse it costs no memory.
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

// Locators is an array of relations' names as it lies in a record.
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
	sizeofLocator = 12
)
