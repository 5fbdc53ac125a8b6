package xlog

import "zenith/internal/pg"

// Since 16, tuples that are frozen alike share a plan, and since 17 pruning and freezing of a page
// are one record: XLOG_HEAP2_PRUNE_ON_ACCESS, _VACUUM_SCAN or _VACUUM_CLEANUP (access/heapam_xlog.h).

// FreezePlan is xl_heap_freeze_plan or xlhp_freeze_plan: what some tuples of a page become.
type FreezePlan struct {
	Xmax                pg.TransactionID
	Infomask2, Infomask uint16
	Flags               uint8 // XLH_FREEZE_XVAC, XLH_INVALID_XVAC
	NTuples             int
}

const sizeofFreezePlan = 12

// FreezePlans is an array of FreezePlan. The numbers of the tuples are elsewhere, in the order of
// the plans.
type FreezePlans struct{ b []byte }

// Len counts them.
func (p FreezePlans) Len() int { return len(p.b) / sizeofFreezePlan }

// At is the one at i, from 0.
func (p FreezePlans) At(i int) FreezePlan {
	s := cstruct(p.b[i*sizeofFreezePlan:])
	return FreezePlan{Xmax: s.xid(0), Infomask2: s.u16(4), Infomask: s.u16(6), Flags: s[8], NTuples: int(s.u16(10))}
}

// tuples checks that items are the numbers of the plans' tuples, no more and no less.
func (p FreezePlans) tuples(items []byte) (Offsets, error) {
	n := 0
	for i := range p.Len() {
		n += p.At(i).NTuples
	}
	return wholeOffsets(items, n)
}

// cutFreezePlans takes n plans off the front of b.
func cutFreezePlans(b []byte, n int) (FreezePlans, []byte, error) {
	if _, err := structOf(b, "freeze plans", n*sizeofFreezePlan); err != nil {
		return FreezePlans{}, nil, err
	}
	return FreezePlans{b[:n*sizeofFreezePlan]}, b[n*sizeofFreezePlan:], nil
}

// Bits of HeapPruneFreeze.Flags: XLHP_*.
const (
	PruneCatalogRel  = 1 << 1 // the relation is a catalog
	PruneCleanupLock = 1 << 2 // tuples may be moved
	pruneHasHorizon  = 1 << 3
	pruneHasPlans    = 1 << 4
	pruneHasRedirect = 1 << 5
	pruneHasDead     = 1 << 6
	pruneHasUnused   = 1 << 7

	pruneVMAllVisible = 1 << 8 // and 1 << 9: all frozen
)

// VMBits gives the bits that the record sets in the visibility map: 1 for all visible, 2 for all frozen, which is there with
// the first only.
func (x *HeapPruneFreeze) VMBits() uint8 {
	if x.Flags&pruneVMAllVisible == 0 {
		return 0
	}
	return uint8(x.Flags >> 8 & 3)
}

// ChangesItems reports whether the record changes tuples or line pointers of the heap page.
func (x *HeapPruneFreeze) ChangesItems() bool {
	return x.Flags&(pruneHasPlans|pruneHasRedirect|pruneHasDead|pruneHasUnused) != 0
}

// HeapPruneFreeze is xl_heap_prune since 17.
type HeapPruneFreeze struct {
	Flags           uint16
	HasHorizon      bool
	ConflictHorizon pg.TransactionID // if there is one
}

// ParseHeapPruneFreeze reads the body of a PRUNE_ON_ACCESS, PRUNE_VACUUM_SCAN or PRUNE_VACUUM_CLEANUP record:
// the reason, which nobody needs, and the flags, or wider flags, and, if they say so, the horizon.
func ParseHeapPruneFreeze(rec *Record) (x HeapPruneFreeze, err error) {
	const name = "xl_heap_prune"
	s, err := structOf(rec.MainData, name, 2)
	if err != nil {
		return x, err
	}
	if x.Flags = uint16(s[1]); rec.V.PruneSetsVM {
		x.Flags = s.u16(0)
	}
	if x.HasHorizon = x.Flags&pruneHasHorizon != 0; !x.HasHorizon {
		_, err = wholeStruct(rec.MainData, name, 2)
		return x, err
	}
	if s, err = wholeStruct(rec.MainData, name, 6); err != nil {
		return x, err
	}
	x.ConflictHorizon = s.xid(2)
	return x, nil
}

// PruneItems is the data of block 0 of such a record.
type PruneItems struct {
	Redirected Offsets // pairs: from and to
	Dead       Offsets
	Unused     Offsets
	Plans      FreezePlans
	Frozen     Offsets // the tuples of Plans
}

// ParsePruneItems takes the data apart. Which parts there are, flags say.
func ParsePruneItems(data []byte, flags uint16) (p PruneItems, err error) {
	if flags&pruneHasPlans != 0 {
		const head = 4 // the number of plans, and padding
		s, err := structOf(data, "xlhp_freeze_plans", head)
		if err != nil {
			return p, err
		}
		if p.Plans, data, err = cutFreezePlans(data[head:], int(s.u16(0))); err != nil {
			return p, err
		}
	}
	for _, part := range [...]struct {
		flag  uint16
		width int // numbers for each item
		items *Offsets
	}{{pruneHasRedirect, 2, &p.Redirected}, {pruneHasDead, 1, &p.Dead}, {pruneHasUnused, 1, &p.Unused}} {
		if flags&part.flag == 0 {
			continue
		}
		s, err := structOf(data, "xlhp_prune_items", 2)
		if err != nil {
			return p, err
		}
		if *part.items, data, err = CutOffsets(data[2:], part.width*int(s.u16(0))); err != nil {
			return p, err
		}
	}
	p.Frozen, err = p.Plans.tuples(data)
	return p, err
}

// ParseFreezePlans takes apart the data of the block of a FREEZE_PAGE record of 16 with n plans: the
// plans, and the numbers of their tuples.
func ParseFreezePlans(data []byte, n int) (plans FreezePlans, items Offsets, err error) {
	plans, rest, err := cutFreezePlans(data, n)
	if err != nil {
		return plans, nil, err
	}
	items, err = plans.tuples(rest)
	return plans, items, err
}
