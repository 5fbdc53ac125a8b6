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
	// before the call; it may or may not see later writes. Seek comes first. Close it.
	Iterator(prefix []byte) Iterator
	// Update writes all of ops or none: up to MaxUpdate bytes. Later ops win.
	Update(ops []Op) error
	// Bulk writes any amount, in no promised order, best in key order.
	Bulk() BulkWriter
	// Sync makes what was written before it durable.
	Sync() error
	// Verify reads all that is stored and calls found with each damage, until found
	// returns an error. It may call found and tell, which is told bytes, concurrently.
	Verify(ctx context.Context, found func(problem error) error, tell func(done, total int64)) error
	// Compact gives space back that deleted and replaced values have taken. It may take long;
	// reads and writes go on meanwhile.
	Compact(ctx context.Context) error
	Close() error
}

// MaxUpdate bounds one Update's keys and values.
const MaxUpdate = 1 << 20

// Op sets Key to Value; a nil Value deletes it.
type Op struct{ Key, Value []byte }

// Iterator moves upwards through keys. Key and Value are valid until the next move.
type Iterator interface {
	Seek(key []byte)
	Next()
	Valid() bool
	Key() []byte
	Value() ([]byte, error)
	Close() error
}

// BulkWriter is for one goroutine. Keys and values are the store's from then on.
type BulkWriter interface {
	Put(key, value []byte) error
	Delete(key []byte) error
	// Flush writes what is left: only then all of it is there. No use after it.
	Flush() error
	// Cancel drops what was not written yet.
	Cancel()
}
