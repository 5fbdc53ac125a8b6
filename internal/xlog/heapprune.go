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
