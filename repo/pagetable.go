package repo

import (
	"iter"
	"math/bits"
	"slices"

	"zenith/internal/pg"
)

// pageLog is what a window has of a page.
type pageLog struct {
	tag      pg.BufferTag
	versions []version // nil: the slot is free
}

// pageTable finds the logs of pages. Ingest asks it for each page that a record changes, and
// mostly waits for memory then: so it is a table with open addressing, where a log is found
// where the hash says, without a pointer in between. Nothing is ever taken out.
type pageTable struct {
	slots []pageLog // a power of two; a quarter at least are free
	n     int
}

// minPageSlots is the size of a table with anything in it.
const minPageSlots = 64

// slot gives the place of tag, or the free one where it would be.
func (t *pageTable) slot(tag pg.BufferTag) *pageLog {
	key := uint64(tag.RelNumber)<<32 | uint64(tag.Block)
	key ^= uint64(tag.DBOID)<<20 ^ uint64(tag.SpcOID)<<40 ^ uint64(tag.Fork)<<60
	const golden = 0x9E3779B97F4A7C15 // 2^64 over the golden ratio: neighbours are spread evenly
	mask := uint(len(t.slots) - 1)
	for i := uint(key * golden >> (64 - bits.Len(mask))); ; i++ {
		if l := &t.slots[i&mask]; l.versions == nil || l.tag == tag {
			return l
		}
	}
}

// find gives the log of tag, nil if there is none.
func (t *pageTable) find(tag pg.BufferTag) *pageLog {
	if t.n == 0 {
		return nil
	}
	if l := t.slot(tag); l.versions != nil {
		return l
	}
	return nil
}

// add gives the log of tag, good until the next add, and whether it is new.
func (t *pageTable) add(tag pg.BufferTag) (l *pageLog, fresh bool) {
	if 4*(t.n+1) > 3*len(t.slots) {
		t.grow()
	}
	l = t.slot(tag)
	if l.versions != nil {
		return l, false
	}
	*l = pageLog{tag, make([]version, 0, 4)}
	t.n++
	return l, true
}

func (t *pageTable) grow() {
	old := t.slots
	t.slots = make([]pageLog, max(minPageSlots, 2*len(old)))
	for i := range old {
		if old[i].versions != nil {
			*t.slot(old[i].tag) = old[i]
		}
	}
}

// all goes through the logs.
func (t *pageTable) all() iter.Seq[*pageLog] {
	return func(yield func(*pageLog) bool) {
		for i := range t.slots {
			if l := &t.slots[i]; l.versions != nil && !yield(l) {
				return
			}
		}
	}
}

// sorted gives the logs in the order of their tags.
func (t *pageTable) sorted() []*pageLog {
	logs := slices.AppendSeq(make([]*pageLog, 0, t.n), t.all())
	slices.SortFunc(logs, func(a, b *pageLog) int { return compareTags(a.tag, b.tag) })
	return logs
}
