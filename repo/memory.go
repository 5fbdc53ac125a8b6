package repo

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"zenith/internal/pg"
)

// Memory bounds what the open windows of all repositories that share it hold, what their
// caches of pages hold together, and how many of them write to their stores at the same time.
type Memory struct {
	limit int64
	pages atomic.Int64  // that the caches may still add
	slots chan struct{} // a token for each flush that may run

	mu      sync.Mutex
	used    int64
	waiting int // sealed windows that are not flushed
	users   map[*Repository]bool
	changed chan struct{} // closed and renewed when memory or a place becomes free
}

const (
	defaultMemory = 256 << 20
	defaultCaches = 128 << 20
	flushSlots    = 2
	// minSeal is the size below which sealing a window frees too little to be worth it.
	minSeal = 1 << 20
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

// sealSize is the size at which a window is sealed: two more may be behind it.
func (m *Memory) sealSize() int64 { return m.limit / 4 }

// Used gives the bytes in use.
func (m *Memory) Used() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.used
}

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

// sealLargest seals the largest open window of all, but that of not, whose turn the
// caller has, if its turn can be had at once.
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
	default: // its Writer will do so
	}
}

// sealed counts a window that waits to be flushed.
func (m *Memory) sealed() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.waiting++
}

// flushed says that a sealed window of size bytes is gone.
func (m *Memory) flushed(size int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.waiting--
	m.used -= size
	m.wakeLocked()
}

// wake lets all who wait look again.
func (m *Memory) wake() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.wakeLocked()
}

func (m *Memory) wakeLocked() {
	close(m.changed)
	m.changed = make(chan struct{})
}

// over reports whether too much is used, whether flushes are on their way, and what to
// wait for.
func (m *Memory) over() (over, flushing bool, changed <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.used > m.limit, m.waiting > 0, m.changed
}

// takeSlot waits for the right to flush.
func (m *Memory) takeSlot(ctx context.Context) error {
	select {
	case m.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (m *Memory) giveSlot() { <-m.slots }
