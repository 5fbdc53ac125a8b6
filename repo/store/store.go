// Package store is an ordered key space on disk, in which a repository keeps its index. Store is what
// it needs of one; OpenBadger is the implementation, and the only door to badger. Package storetest has
// the contract as tests, and a Store in memory for the tests of others.
//
// The store knows nothing of what is in its keys and values; package repo draws them.
package store

import "context"

// Store is an ordered key space on disk. It is safe for concurrent use.
type Store interface {
	// Iterator ranges over the keys that begin with prefix. It sees what was written
	// before the call; it may or may not see later writes. Call Seek before anything else, and
	// Close at the end, whose error may be the only sign of damage.
	Iterator(prefix []byte) Iterator
	// Update writes all of ops or none, up to MaxUpdate bytes of keys and values. Of two ops with
	// one key the later one counts. The writes are not durable before Sync.
	Update(ops []Op) error
	// Bulk begins to write any amount, cheapest in key order. After a crash any part of it may be
	// there.
	Bulk() BulkWriter
	// Sync makes durable what was written before the call.
	Sync() error
	// Verify reads all that is stored and calls found with each damage, until found returns an
	// error, which is then Verify's. It calls tell with its progress in bytes. Both are called by
	// several goroutines at once.
	Verify(ctx context.Context, found func(problem error) error, tell func(done, total int64)) error
	// Compact gives space back that deleted and replaced values have taken. It may take minutes;
	// reads and writes go on meanwhile.
	Compact(ctx context.Context) error
	// ReadyToClose reports an error if Close would find no room on the disk. A Close at such a time
	// leaves the store as a crash of the process would, which it is up to the caller to survive: what
	// is in memory stays there, and nobody can open the store before the process has ended.
	ReadyToClose() error
	// Close writes out what is in memory. A second call does nothing.
	Close() error
}

// MaxUpdate bounds one Update's keys and values, in bytes.
const MaxUpdate = 1 << 20

// Op sets Key to Value; a nil Value deletes it.
type Op struct{ Key, Value []byte }

// Iterator moves upwards through keys. It is for one goroutine. What Key and Value return is valid
// until the next move.
type Iterator interface {
	// Seek moves to the first key at or above key.
	Seek(key []byte)
	// Next moves to the next key. It is for a valid iterator.
	Next()
	// Valid reports whether the iterator is on a key. It is false at the end, and after damage,
	// which Close tells.
	Valid() bool
	// Key is the key that the iterator is on.
	Key() []byte
	// Value reads the value under Key.
	Value() ([]byte, error)
	// Size is how many bytes the key and its value have, about, without a look at the value.
	Size() int64
	// Close ends the iterator, and gives the first error that it met.
	Close() error
}

// BulkWriter is for one goroutine. The store owns the keys and values that it is given; the caller
// must not change them any more.
type BulkWriter interface {
	// Put sets key to value.
	Put(key, value []byte) error
	// Delete removes key, if it is there.
	Delete(key []byte) error
	// Flush writes what was not written yet: only then is all of it there. It ends the writer.
	Flush() error
	// Cancel drops what was not written yet. It does nothing after Flush.
	Cancel()
}
