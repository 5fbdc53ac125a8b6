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

// At is the one at i, from 0.
func (o OIDs) At(i int) pg.OID { return cstruct(o.b).oid(i * sizeofOID) }

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

// StatsItem is xl_xact_stats_item: statistics that a transaction dropped.
type StatsItem struct {
	Kind   int32
	DBOID  pg.OID
	Object uint64 // an OID, or in wide items any number
}

// StatsItems is an array of StatsItem.
type StatsItems struct {
	b    []byte
	size int // of an item
}

// sizeofWideStatsItem is the size of items whose object is 64 bits, in two halves, the lower
// one first.
const sizeofWideStatsItem = 16

// Len counts them.
func (s StatsItems) Len() int {
	if len(s.b) == 0 {
		return 0
	}
	return len(s.b) / s.size
}

// At is the one at i, from 0.
func (s StatsItems) At(i int) StatsItem {
	c := cstruct(s.b[i*s.size:])
	item := StatsItem{Kind: c.i32(0), DBOID: c.oid(4), Object: uint64(c.u32(8))}
	if s.size == sizeofWideStatsItem {
		item.Object |= uint64(c.u32(12)) << 32
	}
	return item
}

// InvalMessage is SharedInvalidationMessage (storage/sinval.h): what a cache must forget.
// The id tells the kind of message, and with it what Object is: a catalog, a relation, or
// the hash of a key in the catalog cache with that id.
type InvalMessage struct {
	ID     int8
	DBOID  pg.OID
	Object uint32
}

// InvalMessages is an array of InvalMessage.
type InvalMessages struct{ b []byte }

// Len counts them.
func (m InvalMessages) Len() int { return len(m.b) / sizeofInvalMessage }

// At is the one at i, from 0.
func (m InvalMessages) At(i int) InvalMessage {
	c := cstruct(m.b[i*sizeofInvalMessage:])
	return InvalMessage{ID: int8(c[0]), DBOID: c.oid(4), Object: c.u32(8)}
}

// HeldLock is xl_standby_lock: an AccessExclusiveLock that a transaction holds.
type HeldLock struct {
	XID           pg.TransactionID
	DBOID, RelOID pg.OID
}

// HeldLocks is an array of HeldLock.
type HeldLocks struct{ b []byte }

// Len counts them.
func (l HeldLocks) Len() int { return len(l.b) / sizeofHeldLock }

// At is the one at i, from 0.
func (l HeldLocks) At(i int) HeldLock {
	c := cstruct(l.b[i*sizeofHeldLock:])
	return HeldLock{XID: c.xid(0), DBOID: c.oid(4), RelOID: c.oid(8)}
}

// MultiXactMember is a transaction in a multixact and what it did (MultiXactStatus).
type MultiXactMember struct {
	XID    pg.TransactionID
	Status uint32
}

// MultiXactMembers is an array of MultiXactMember.
type MultiXactMembers struct{ b []byte }

// Len counts them.
func (m MultiXactMembers) Len() int { return len(m.b) / sizeofMultiXactMember }

// At is the one at i, from 0.
func (m MultiXactMembers) At(i int) MultiXactMember {
	c := cstruct(m.b[i*sizeofMultiXactMember:])
	return MultiXactMember{XID: c.xid(0), Status: c.u32(4)}
}

// Sizes of elements.
const (
	sizeofXID             = 4
	sizeofOID             = 4
	sizeofLocator         = 12
	sizeofOffset          = 2
	sizeofInvalMessage    = 16
	sizeofHeldLock        = 12
	sizeofMultiXactMember = 8
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

// wholeOffsets gives b as n of them, which must be all of b.
func wholeOffsets(b []byte, n int) (Offsets, error) {
	if len(b) != sizeofOffset*n {
		return nil, errOffsets(n, len(b))
	}
	return Offsets(b), nil
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
