package repo

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"zenith/internal/pg"
)

// Memory bounds, for all repositories that share it, the bytes of their windows, the pages in their
// caches, and the number of flushes at the same time.
type Memory struct {
	limit int64         // bytes of windows
	pages atomic.Int64  // how many pages the caches may still add
	slots chan struct{} // has a token for each flush that runs

	mu      sync.Mutex
	used    int64 // bytes of windows
	waiting int   // sealed windows that are not flushed
	users   map[*Repository]bool
	changed chan struct{} // closed, and replaced by a new one, when a window was flushed or could not be
}

const (
	defaultMemory = 256 << 20
	defaultCaches = 128 << 20
	flushSlots    = 2
	minSeal       = 1 << 20 // a smaller window is not sealed to free memory
)

// NewMemory makes a bound of limit bytes for windows; 0 means 256 MiB.
func NewMemory(limit int64) *Memory {
	if limit <= 0 {
		limit = defaultMemory
	}
	m := &Memory{
		limit: limit, slots: make(chan struct{}, flushSlots),
		users: make(map[*Repository]bool), changed: make(chan struct{}),
	}
	m.pages.Store(defaultCaches / pg.BlockSize)
	return m
}

// sealSize is the size in bytes at which a window is sealed. Two more of that size may wait to be
// flushed before the limit is reached.
func (m *Memory) sealSize() int64 { return m.limit / 4 }

func (m *Memory) add(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.used += n
}

func (m *Memory) join(r *Repository) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.users[r] = true
}

func (m *Memory) leave(r *Repository) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.users, r)
}

// sealLargest seals the largest open window of all timelines, if nobody has its turn. It leaves out
// not, whose turn the caller has.
func (m *Memory) sealLargest(not *Timeline) {
	m.mu.Lock()
	users := slices.Collect(maps.Keys(m.users))
	m.mu.Unlock()
	var largest *Timeline
	var size int64 = minSeal
	for _, r := range users {
		for _, t := range r.Timelines() {
			if n := t.view.Load().open().memory(); t != not && n >= size {
				largest, size = t, n
			}
		}
	}
	if largest == nil {
		return
	}
	select {
	case <-largest.turn:
		largest.sealOpen()
		largest.giveTurn()
	default: // its Writer seals it at Commit, or when it begins the next batch
	}
}

// sealed counts a window that waits to be flushed.
func (m *Memory) sealed() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.waiting++
}

// flushed counts a sealed window of size bytes as flushed.
func (m *Memory) flushed(size int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.waiting--
	m.used -= size
	m.wakeLocked()
}

// wake wakes all goroutines that wait for memory, to look again.
func (m *Memory) wake() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.wakeLocked()
}

func (m *Memory) wakeLocked() {
	close(m.changed)
	m.changed = make(chan struct{})
}

// over reports whether windows take more than the limit, and whether there are sealed ones to be
// flushed. changed is closed when that may have changed.
func (m *Memory) over() (over, flushing bool, changed <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.used > m.limit, m.waiting > 0, m.changed
}

// takeSlot waits for the right to flush a window. giveSlot ends it.
func (m *Memory) takeSlot(ctx context.Context) error {
	select {
	case m.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (m *Memory) giveSlot() { <-m.slots }
