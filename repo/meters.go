package repo

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"zenith/internal/meter"
)

// Meters count what the repositories that share it do, since the process began. The zero value is ready.
type Meters struct {
	Reads       meter.Histogram // how long reads of pages took: one for each call, of one page or of several
	Pages       atomic.Int64    // pages that those reads gave
	ReadErrors  atomic.Int64    // reads that failed for another reason than that there is no such page
	CacheHits   atomic.Int64    // times that the cache had the page at the version that was looked for
	CacheMisses atomic.Int64    // times that it had not
	WALBytes    atomic.Int64    // bytes of WAL that were ingested
	Commits     atomic.Int64    // commit records in them
}

// Meters gives the counters of t's repository, to which package ingest adds.
func (t *Timeline) Meters() *Meters { return t.r.meters }

// read counts a read of n pages.
func (m *Meters) read(n int, took time.Duration, err error) {
	m.Reads.Observe(took)
	switch {
	case err == nil:
		m.Pages.Add(int64(n))
	case !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrOutOfRange) && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded):
		m.ReadErrors.Add(1)
	}
}

// looked counts a look into the cache.
func (m *Meters) looked(hit bool) {
	if hit {
		m.CacheHits.Add(1)
	} else {
		m.CacheMisses.Add(1)
	}
}
