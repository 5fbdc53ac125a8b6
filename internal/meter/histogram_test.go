package meter_test

import (
	"sync"
	"testing"
	"time"

	"zenith/internal/meter"
)

// TestHistogram: a duration counts in the bucket whose bound it does not exceed, and in all longer ones.
func TestHistogram(t *testing.T) {
	var h meter.Histogram
	for _, d := range []time.Duration{0, 10 * time.Microsecond, 11 * time.Microsecond, time.Second, time.Hour} {
		h.Observe(d)
	}
	r := h.Read()
	if r.Count != 5 || r.Sum != time.Hour+time.Second+21*time.Microsecond {
		t.Errorf("got %d, %v", r.Count, r.Sum)
	}
	for bound, want := range map[time.Duration]uint64{10 * time.Microsecond: 2, 25 * time.Microsecond: 3, 500 * time.Millisecond: 3, time.Second: 4, 10 * time.Second: 4} {
		if r.Buckets[bound] != want {
			t.Errorf("at most %v: %d, want %d", bound, r.Buckets[bound], want)
		}
	}
}

// TestHistogramOfMany: no observation of many goroutines is lost.
func TestHistogramOfMany(t *testing.T) {
	var h meter.Histogram
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				h.Observe(time.Millisecond)
			}
		})
	}
	wg.Wait()
	if r := h.Read(); r.Count != 8000 || r.Sum != 8*time.Second || r.Buckets[time.Millisecond] != 8000 || r.Buckets[500*time.Microsecond] != 0 {
		t.Errorf("got %+v", r)
	}
}
