package store

import "github.com/dgraph-io/badger/v4"

// Iterator implements Store.
func (s *badgerStore) Iterator(prefix []byte) Iterator {
	it := new(badgerIterator)
	it.open(s.read, prefix)
	return it
}

// badgerIterator turns badger's panics, at a damaged table or a closed store, into an error, which
// Value and Close return.
type badgerIterator struct {
	it  *badger.Iterator
	err error
}

func (it *badgerIterator) open(txn *badger.Txn, prefix []byte) {
	defer recovered("read store", &it.err)
	it.it = txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
}

// Seek implements Iterator.
func (it *badgerIterator) Seek(key []byte) {
	if it.err == nil {
		defer faults()()
		defer recovered("read store", &it.err)
		it.it.Seek(key)
	}
}

// Next implements Iterator.
func (it *badgerIterator) Next() {
	if it.Valid() {
		defer faults()()
		defer recovered("read store", &it.err)
		it.it.Next()
	}
}

// Valid implements Iterator.
func (it *badgerIterator) Valid() bool { return it.err == nil && it.it.Valid() }

// Key implements Iterator.
func (it *badgerIterator) Key() []byte { return it.it.Item().Key() }

// Value implements Iterator.
func (it *badgerIterator) Value() (value []byte, err error) {
	if it.err != nil {
		return nil, it.err
	}
	defer faults()()
	defer recovered("read store", &err)
	err = it.it.Item().Value(func(v []byte) error {
		value = v // badger keeps it valid until the next move, as Iterator promises
		return nil
	})
	return value, err
}

// Size implements Iterator.
func (it *badgerIterator) Size() int64 { return it.it.Item().EstimatedSize() }

// Close implements Iterator.
func (it *badgerIterator) Close() error {
	if it.it != nil {
		defer recovered("read store", &it.err)
		it.it.Close()
	}
	return it.err
}
