// Package meter counts how long things take, cheaply enough for the path of every page read: an Observe is three
// atomic additions and no lock. internal/admin shows what was counted as metrics; nothing here knows their format.
package meter

import (
	"slices"
	"sync/atomic"
	"time"
)

// bounds are the upper bounds of the buckets of every Histogram, in ascending order. They reach from a page that is
// in memory to a server that starts on a cold disk.
var bounds = [...]time.Duration{
	10 * time.Microsecond, 25 * time.Microsecond, 50 * time.Microsecond, 100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second,
}

// Histogram counts durations by their size. The zero value is empty and ready; it must not be copied.
type Histogram struct {
	counts [len(bounds) + 1]atomic.Uint64 // the last one counts what is longer than every bound
	sum    atomic.Int64                   // in nanoseconds
}

// Observe counts one duration.
func (h *Histogram) Observe(d time.Duration) {
	i, _ := slices.BinarySearch(bounds[:], d)
	h.counts[i].Add(1)
	h.sum.Add(int64(d))
}

// Reading is what a Histogram had counted at one moment.
type Reading struct {
	Count   uint64
	Sum     time.Duration
	Buckets map[time.Duration]uint64 // upper bound -> how many durations were at most that long
}

// Read gives what was counted up to now.
func (h *Histogram) Read() Reading {
	r := Reading{Buckets: make(map[time.Duration]uint64, len(bounds))}
	for i, bound := range bounds {
		r.Count += h.counts[i].Load()
		r.Buckets[bound] = r.Count
	}
	r.Count += h.counts[len(bounds)].Load()
	r.Sum = time.Duration(h.sum.Load())
	return r
}
