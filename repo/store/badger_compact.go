package store

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"
)

// badger has no call to flush its memtable, so one value is written over and over until the
// memtable is full.
const (
	padValue = 256 << 10 // bytes of it
	maxPads  = 8         // memtables that are filled at most
)

// padKey is the key of that value. It sorts before all of a repository's keys.
var padKey = []byte{0}

// Compact implements Store. A deletion gives space back only when a compaction merges it with what
// it deletes. So the memtable, where the newest deletions are, is made a table first, and then all
// levels are merged into one.
func (s *badgerStore) Compact(ctx context.Context) (err error) {
	defer recovered("compact store", &err)
	// badger does not compact level 0 while it has few tables and the levels below are empty.
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
		// Flatten fails if a compaction that badger has started itself holds the same tables.
		if err = s.db.Flatten(1); err == nil || ctx.Err() != nil {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("compact store: %w", err)
	}
	return ctx.Err()
}

// flushMemtable fills the memtable, and waits until badger has written it to a table.
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

// memtables lists the memtables' logs. badger removes a log when its memtable has become a table.
func (s *badgerStore) memtables() ([]string, error) {
	return filepath.Glob(filepath.Join(s.dir, "*.mem"))
}

// beneath reports whether any level below level 0 has tables.
func (s *badgerStore) beneath() bool {
	for _, l := range s.db.Levels() {
		if l.Level > 0 && l.NumTables > 0 {
			return true
		}
	}
	return false
}
