package storetest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"

	"zenith/repo/store"
)

// Mem is a Store in memory, for tests. It remembers its contents at the last Sync, so that Crash
// can lose what was written since.
type Mem struct {
	mu     sync.RWMutex
	tree   memTree
	synced memTree
	closed bool
}

// memTree is the entries in the order of their keys, cut into blocks. Blocks are never changed in
// place, so a copy of the outer slice is a snapshot.
type memTree struct{ blocks [][]store.Op }

// memBlock is how many entries a block has at most.
const memBlock = 512

// NewMem makes an empty store.
func NewMem() *Mem { return &Mem{} }

// Crash gives a store with what a crash leaves of s: of the process if keepAll is true, which loses
// nothing, else of the machine, which loses what was not synced. s is closed.
func (s *Mem) Crash(keepAll bool) *Mem {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if keepAll {
		return &Mem{tree: s.tree, synced: s.synced}
	}
	return &Mem{tree: s.synced, synced: s.synced}
}

// Reopen gives a store with the contents of s, which is closed.
func (s *Mem) Reopen() *Mem { return s.Crash(true) }

var errMemClosed = errors.New("memory store is closed")

// Update implements Store.
func (s *Mem) Update(ops []store.Op) error { return s.apply(ops) }

func (s *Mem) apply(ops []store.Op) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errMemClosed
	}
	s.tree = s.tree.apply(ops)
	return nil
}

// Verify implements Store. It finds nothing.
func (s *Mem) Verify(ctx context.Context, _ func(problem error) error, _ func(done, total int64)) error {
	return ctx.Err()
}

// ReadyToClose implements store.Store.
func (s *Mem) ReadyToClose() error { return nil }

// Compact implements Store. There is nothing to do: deleted entries take no space.
func (s *Mem) Compact(ctx context.Context) error { return ctx.Err() }

// Sync implements Store.
func (s *Mem) Sync() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errMemClosed
	}
	s.synced = s.tree
	return nil
}

// Close implements Store.
func (s *Mem) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed, s.synced = true, s.tree
	return nil
}

// Bulk implements Store.
func (s *Mem) Bulk() store.BulkWriter { return &memBulk{s: s} }

// Iterator implements Store.
func (s *Mem) Iterator(prefix []byte) store.Iterator {
	s.mu.RLock()
	defer s.mu.RUnlock()
	it := &memIterator{tree: s.tree, prefix: bytes.Clone(prefix)}
	it.Seek(prefix)
	return it
}

type memBulk struct {
	s   *Mem
	ops []store.Op
}

func (b *memBulk) Put(key, value []byte) error { return b.add(store.Op{Key: key, Value: value}) }
func (b *memBulk) Delete(key []byte) error     { return b.add(store.Op{Key: key}) }
func (b *memBulk) Cancel()                     { b.ops = nil }

func (b *memBulk) add(op store.Op) error {
	b.ops = append(b.ops, op)
	if len(b.ops) < 4*memBlock {
		return nil
	}
	return b.Flush()
}

func (b *memBulk) Flush() error {
	ops := b.ops
	b.ops = nil
	return b.s.apply(ops)
}

func compareOps(a, b store.Op) int { return bytes.Compare(a.Key, b.Key) }

// block gives the index of the block that has key, if any has.
func (t memTree) block(key []byte) int {
	i, found := slices.BinarySearchFunc(t.blocks, key, func(b []store.Op, k []byte) int { return bytes.Compare(b[0].Key, k) })
	if !found && i > 0 {
		i--
	}
	return i
}

// apply gives a tree that is t after ops. Blocks that ops do not touch are shared.
func (t memTree) apply(ops []store.Op) memTree {
	ops = slices.Clone(ops)
	slices.SortStableFunc(ops, compareOps)
	if len(ops) == 0 {
		return t
	}
	var out memTree
	for len(ops) > 0 && len(t.blocks) > 0 {
		i := t.block(ops[0].Key)
		out.blocks = append(out.blocks, t.blocks[:i]...)
		n := len(ops)
		if i+1 < len(t.blocks) {
			n, _ = slices.BinarySearchFunc(ops, t.blocks[i+1][0], compareOps)
		}
		out.blocks = append(out.blocks, merge(t.blocks[i], ops[:n])...)
		ops, t.blocks = ops[n:], t.blocks[i+1:]
	}
	out.blocks = append(out.blocks, t.blocks...)
	out.blocks = append(out.blocks, merge(nil, ops)...)
	return out
}

// merge gives the entries of block after ops, in new blocks.
func merge(block, ops []store.Op) [][]store.Op {
	var all []store.Op
	for len(block) > 0 || len(ops) > 0 {
		if len(ops) == 0 || len(block) > 0 && compareOps(block[0], ops[0]) < 0 {
			all, block = append(all, block[0]), block[1:]
			continue
		}
		op := ops[0]
		for len(ops) > 0 && bytes.Equal(ops[0].Key, op.Key) {
			op, ops = ops[0], ops[1:]
		}
		if len(block) > 0 && bytes.Equal(block[0].Key, op.Key) {
			block = block[1:]
		}
		if op.Value != nil {
			all = append(all, op)
		}
	}
	return slices.Collect(slices.Chunk(all, memBlock))
}

type memIterator struct {
	tree   memTree
	prefix []byte
	b, i   int
}

func (it *memIterator) Seek(key []byte) {
	if bytes.Compare(key, it.prefix) < 0 {
		key = it.prefix
	}
	it.b, it.i = it.tree.block(key), 0
	if it.b < len(it.tree.blocks) {
		it.i, _ = slices.BinarySearchFunc(it.tree.blocks[it.b], store.Op{Key: key}, compareOps)
	}
	it.settle()
}

func (it *memIterator) settle() {
	if it.b < len(it.tree.blocks) && it.i == len(it.tree.blocks[it.b]) {
		it.b, it.i = it.b+1, 0
	}
}

func (it *memIterator) Next() { it.i++; it.settle() }

func (it *memIterator) Valid() bool {
	return it.b < len(it.tree.blocks) && bytes.HasPrefix(it.Key(), it.prefix)
}

func (it *memIterator) Key() []byte            { return it.tree.blocks[it.b][it.i].Key }
func (it *memIterator) Value() ([]byte, error) { return it.tree.blocks[it.b][it.i].Value, nil }
func (it *memIterator) Size() int64 {
	op := it.tree.blocks[it.b][it.i]
	return int64(len(op.Key) + len(op.Value))
}
func (it *memIterator) Close() error { return nil }
