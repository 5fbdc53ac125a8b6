package walredo

import (
	"encoding/binary"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// btDedupIntervals is an array of BTDedupInterval: {base item, number of items}, each
// a run of items that became one posting list.
type btDedupIntervals []byte

const sizeofBTDedupInterval = 4

func parseBTDedupIntervals(b []byte, n int) (btDedupIntervals, error) {
	if len(b) != n*sizeofBTDedupInterval {
		return nil, corrupt("%d deduplication intervals in %d bytes", n, len(b))
	}
	return b, nil
}

// first is the first interval; of none it is {0, 0}, which no item matches.
func (v btDedupIntervals) first() (base pg.OffsetNumber, nItems int) {
	if len(v) == 0 {
		return 0, 0
	}
	return pg.OffsetNumber(binary.LittleEndian.Uint16(v)), int(binary.LittleEndian.Uint16(v[2:]))
}

// btreeDedup is btree_xlog_dedup. It repeats _bt_dedup_pass, told by the record which
// items to merge; all others are copied, so that the items end up in the order of
// their numbers.
func btreeDedup(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	n, err := xlog.ParseBtreeDedup(rec)
	if err != nil {
		return err
	}
	intervals, err := parseBTDedupIntervals(blk.Data, n)
	if err != nil {
		return err
	}
	o, err := btOpaque(page)
	if err != nil {
		return err
	}
	o.clearFlags(btpHasGarbage)
	first := o.firstKey()

	var old [pg.BlockSize]byte
	copy(old[:], page)
	page.Init(btOpaqueSize)
	copy(page[btOpaqueAt:], old[btOpaqueAt:])
	items := appendItems(page)
	if first == btFirstKey {
		highKey, err := pg.Page(old[:]).Item(btHighKey)
		if err != nil {
			return err
		}
		if err := items.add(highKey); err != nil {
			return err
		}
	}
	if err := btDedupItems(&items, old[:], first, intervals); err != nil {
		return err
	}
	items.done()
	return nil
}

// btDedupItems adds old's items from the first data item on, those of each interval as
// one.
func btDedupItems(items *itemAppender, old pg.Page, first pg.OffsetNumber, intervals btDedupIntervals) error {
	for off, last := first, old.MaxOffset(); off <= last; {
		n := 1
		if base, nItems := intervals.first(); base == off {
			if err := btMergeItems(items, old, off, nItems); err != nil {
				return err
			}
			n, intervals = nItems, intervals[sizeofBTDedupInterval:]
		} else if err := btCopyItem(items, old, off); err != nil {
			return err
		}
		off += pg.OffsetNumber(n)
	}
	if len(intervals) != 0 {
		return corrupt("%d deduplication intervals left over", len(intervals)/sizeofBTDedupInterval)
	}
	return nil
}

// btCopyItem adds old's item, as long as the tuple itself is.
func btCopyItem(items *itemAppender, old pg.Page, off pg.OffsetNumber) error {
	t, err := btItem(old, off)
	if err != nil {
		return err
	}
	return items.add(t)
}

// btMergeItems adds one posting list tuple of n items of old, the key being that of
// the first.
func btMergeItems(items *itemAppender, old pg.Page, off pg.OffsetNumber, n int) error {
	if n < 2 || int(off)+n-1 > int(old.MaxOffset()) {
		return corrupt("deduplication of %d items from %d", n, off)
	}
	base, err := btItem(old, off)
	if err != nil {
		return err
	}
	var tids, tuple [btMaxItemSize]byte
	size := 0
	for i := range n {
		t, err := btItem(old, off+pg.OffsetNumber(i))
		if err != nil {
			return err
		}
		more := t.heapTIDs()
		if size+len(more) > len(tids) {
			return corrupt("deduplication of %d items from %d gives too long a posting list", n, off)
		}
		size += copy(tids[size:], more)
	}
	merged, err := btFormPosting(tuple[:], base, tids[:size])
	if err != nil {
		return err
	}
	return items.add(merged)
}
