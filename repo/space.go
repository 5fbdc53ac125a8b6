package repo

import (
	"fmt"
	"maps"
	"slices"

	"zenith/repo/store"
)

// How many bytes the versions of each timeline take in the store is counted as they are written and deleted, since
// the versions of one lie scattered among those of all others. The count is in memory, and in a row that is written
// with the flushed LSN and by collections. A crash costs it what was written since: it is good to tell users
// which branches are big, and for nothing else.

// spaceRow stores how many bytes of keys and values are a timeline's.
type spaceRow struct{ Bytes int64 }

// StoredBytes is how many bytes t's own versions take in the store, about; before it is compressed.
func (t *Timeline) StoredBytes() int64 { return max(0, t.stored.Load()) }

// spaceOp is the write that stores t's count.
func (t *Timeline) spaceOp() store.Op {
	return rowOp(timelineKey(kindSpace, t.no), spaceRow{t.StoredBytes()})
}

// bulk begins to write versions of t, and counts them.
func (t *Timeline) bulk() store.BulkWriter { return &countedBulk{t.r.store.Bulk(), t} }

// countedBulk counts what is put as the timeline's.
type countedBulk struct {
	store.BulkWriter
	t *Timeline
}

// Put implements store.BulkWriter.
func (b *countedBulk) Put(key, value []byte) error {
	b.t.stored.Add(int64(len(key) + len(value)))
	return b.BulkWriter.Put(key, value)
}

// storedBytes reads a timeline's count; 0 if there is none.
func (r *Repository) storedBytes(no timelineNo) (int64, error) {
	var row spaceRow
	_, err := readRow(r.store, timelineKey(kindSpace, no), &row)
	return row.Bytes, err
}

// settle takes what a collection has deleted from the timelines' counts.
func (c *collection) settle() error {
	var ops []store.Op
	for _, t := range c.r.Timelines() {
		if freed := c.freed[t.no]; freed != 0 {
			t.stored.Add(-freed)
			ops = append(ops, t.spaceOp())
		}
	}
	return c.r.updateAll(ops)
}

// updateAll writes any number of rows, not all at once.
func (r *Repository) updateAll(ops []store.Op) error {
	for some := range slices.Chunk(ops, 1000) {
		if err := r.store.Update(some); err != nil {
			return err
		}
	}
	return nil
}

// countSpace counts what is in a store that has no counts yet.
func countSpace(s store.Store) (err error) {
	bytes := map[timelineNo]int64{}
	for k := range kindNames {
		if err := countKind(s, k, bytes); err != nil {
			return err
		}
	}
	for _, no := range slices.Sorted(maps.Keys(bytes)) {
		if err := s.Update([]store.Op{rowOp(timelineKey(kindSpace, no), spaceRow{bytes[no]})}); err != nil {
			return err
		}
	}
	return nil
}

func countKind(s store.Store, k kind, bytes map[timelineNo]int64) (err error) {
	it := s.Iterator([]byte{byte(k)})
	defer closeIterator(it, &err)
	for it.Seek([]byte{byte(k)}); it.Valid(); it.Next() {
		_, no, _, ok := splitVersion(it.Key())
		if !ok {
			return fmt.Errorf("key %x: %w", it.Key(), ErrCorrupt)
		}
		bytes[no] += it.Size()
	}
	return nil
}
