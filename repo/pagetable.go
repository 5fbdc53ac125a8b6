package repo

import (
	"iter"
	"math/bits"
	"slices"

	"zenith/internal/pg"
)

// pageTable is a map from pages to V. Ingest looks up each page that a record changes, and mostly
// waits for memory then: so it is a table with open addressing, where an entry is found where the
// hash says, without a pointer in between. Entries are never removed one by one.
type pageTable[V any] struct {
	slots []pageSlot[V] // a power of two; a quarter at least are free
	n     int
}

// pageSlot is a slot of a pageTable: an entry if it is used.
type pageSlot[V any] struct {
	tag  pg.BufferTag
	used bool
	v    V
}

// minPageSlots is how many slots a table gets with its first entry.
const minPageSlots = 64

// slot gives the slot of tag, or the free one that it would get.
func (t *pageTable[V]) slot(tag pg.BufferTag) *pageSlot[V] {
	key := uint64(tag.RelNumber)<<32 | uint64(tag.Block)
	key ^= uint64(tag.DBOID)<<20 ^ uint64(tag.SpcOID)<<40 ^ uint64(tag.Fork)<<60
	const golden = 0x9E3779B97F4A7C15 // 2^64 over the golden ratio: neighbours are spread evenly
	mask := uint(len(t.slots) - 1)
	for i := uint(key * golden >> (64 - bits.Len(mask))); ; i++ {
		if s := &t.slots[i&mask]; !s.used || s.tag == tag {
			return s
		}
	}
}

// find gives the entry of tag; nil if there is none.
func (t *pageTable[V]) find(tag pg.BufferTag) *V {
	if t.n == 0 {
		return nil
	}
	if s := t.slot(tag); s.used {
		return &s.v
	}
	return nil
}

// add gives the entry of tag, which is made if it is not there: then fresh is true. v is valid until
// the next add.
func (t *pageTable[V]) add(tag pg.BufferTag) (v *V, fresh bool) {
	if 4*(t.n+1) > 3*len(t.slots) {
		t.grow()
	}
	s := t.slot(tag)
	if s.used {
		return &s.v, false
	}
	s.tag, s.used = tag, true
	t.n++
	return &s.v, true
}

// grow doubles the table.
func (t *pageTable[V]) grow() {
	old := t.slots
	t.slots = make([]pageSlot[V], max(minPageSlots, 2*len(old)))
	for i := range old {
		if old[i].used {
			*t.slot(old[i].tag) = old[i]
		}
	}
}

// clear removes all entries, and keeps the slots.
func (t *pageTable[V]) clear() {
	clear(t.slots)
	t.n = 0
}

// all gives the entries, in no order.
func (t *pageTable[V]) all() iter.Seq[*pageSlot[V]] {
	return func(yield func(*pageSlot[V]) bool) {
		for i := range t.slots {
			if s := &t.slots[i]; s.used && !yield(s) {
				return
			}
		}
	}
}

// sorted gives the entries in the order of their tags.
func (t *pageTable[V]) sorted() []*pageSlot[V] {
	all := slices.AppendSeq(make([]*pageSlot[V], 0, t.n), t.all())
	slices.SortFunc(all, func(a, b *pageSlot[V]) int { return compareTags(a.tag, b.tag) })
	return all
}
