package store

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"
)

// What makes badger flush its memtable, for which it has no call: a value that is written over
// and over until the memtable is full.
const (
	padValue = 256 << 10
	maxPads  = 8 // memtables, at most
)

var padKey = []byte{0}

// Compact implements Store. Deletions take effect when they meet what they delete in a
// compaction: first they must get out of memory, then all levels be merged into one.
func (s *badgerStore) Compact(ctx context.Context) (err error) {
	defer recovered("compact store", &err)
	// Badger leaves level 0 alone as long as it has few tables and nothing is below it.
	for range maxPads {
		if err := s.flushMemtable(ctx); err != nil {
			return fmt.Errorf("compact store: %w", err)
		}
		if s.beneath() {
			break
		}
	}
	s.db.SetDiscardTs(s.ts.Load())
	for range 3 {
		// It fails if a compaction of badger's own has the same tables.
		if err = s.db.Flatten(1); err == nil || ctx.Err() != nil {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("compact store: %w", err)
	}
	return ctx.Err()
}

// flushMemtable has what is in memory become a table.
func (s *badgerStore) flushMemtable(ctx context.Context) error {
	before, err := s.memtables()
	if err != nil {
		return err
	}
	for range s.db.Opts().MemTableSize/padValue + 1 {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.Update([]Op{{padKey, make([]byte, padValue)}}); err != nil {
			return err
		}
	}
	if err := s.Update([]Op{{Key: padKey}}); err != nil {
		return err
	}
	for {
		now, err := s.memtables()
		if err != nil || !slices.ContainsFunc(now, func(name string) bool { return slices.Contains(before, name) }) {
			return err
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// memtables lists the memtables' logs: each goes when its memtable has become a table.
func (s *badgerStore) memtables() ([]string, error) {
	return filepath.Glob(filepath.Join(s.dir, "*.mem"))
}

// beneath reports whether there are tables below level 0.
func (s *badgerStore) beneath() bool {
	for _, l := range s.db.Levels() {
		if l.Level > 0 && l.NumTables > 0 {
			return true
		}
	}
	return false
}
