package store

import (
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

// next gives the number of a new write, and lets badger drop what older writes replaced: readers
// always want the newest.
func (s *badgerStore) next() uint64 {
	ts := s.ts.Add(1)
	s.db.SetDiscardTs(ts - 1)
	return ts
}

// Update implements Store.
func (s *badgerStore) Update(ops []Op) (err error) {
	if err := s.room(reserveSmall); err != nil {
		return err
	}
	defer recovered("write to store", &err)
	ts := s.next()
	txn := s.db.NewTransactionAt(ts, true)
	defer txn.Discard()
	for _, op := range ops {
		if op.Value == nil {
			err = txn.Delete(op.Key)
		} else {
			s.note(op.Value)
			err = txn.Set(op.Key, op.Value)
		}
		if err != nil {
			return fmt.Errorf("write to store: %w", err)
		}
	}
	if err := txn.CommitAt(ts, nil); err != nil {
		return fmt.Errorf("write to store: %w", err)
	}
	return nil
}

// note sets apart if value goes to the value log.
func (s *badgerStore) note(value []byte) {
	if len(value) >= s.apartFrom {
		s.apartEver.Store(true)
		s.apart.Store(true)
	}
}

// bulkCheck is how many bytes a badgerBulk writes between two looks at the free space.
const bulkCheck = 4 << 20

// Bulk implements Store.
func (s *badgerStore) Bulk() BulkWriter {
	return &badgerBulk{s: s, wb: s.db.NewWriteBatchAt(s.next())}
}

type badgerBulk struct {
	s         *badgerStore
	wb        *badger.WriteBatch
	unchecked int // bytes written since the last look at the free space
	done      bool
}

// room reports an error if the disk is too full for n bytes more. It asks the file system once in a
// while only.
func (b *badgerBulk) room(n int) error {
	if b.unchecked += n; b.unchecked < bulkCheck {
		return nil
	}
	b.unchecked = 0
	return b.s.room(reserveBulk)
}

// Put implements BulkWriter.
func (b *badgerBulk) Put(key, value []byte) (err error) {
	if err := b.room(len(key) + len(value)); err != nil {
		return err
	}
	defer recovered("write to store", &err)
	b.s.note(value)
	return b.wb.Set(key, value)
}

// Delete implements BulkWriter.
func (b *badgerBulk) Delete(key []byte) (err error) {
	defer recovered("write to store", &err)
	return b.wb.Delete(key)
}

// Flush implements BulkWriter.
func (b *badgerBulk) Flush() (err error) {
	if err := b.s.room(reserveSmall); err != nil {
		return err
	}
	b.done = true
	defer recovered("write to store", &err)
	return b.wb.Flush()
}

// Cancel implements BulkWriter.
func (b *badgerBulk) Cancel() {
	if !b.done {
		b.done = true
		b.wb.Cancel()
	}
}
