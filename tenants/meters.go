package tenants

import (
	"sync/atomic"
	"time"

	"zenith/internal/api"
	"zenith/internal/meter"
	"zenith/repo"
)

// meters count what a Manager does, since it was opened.
type meters struct {
	repo repo.Meters // shared by all repositories

	starts       meter.Histogram // of postgres
	failedStarts atomic.Int64
	crashes      atomic.Int64

	collections       meter.Histogram
	failedCollections atomic.Int64
	forgotten         atomic.Int64
}

// started counts a start of postgres that began then and ended now, with *err.
func (m *meters) started(began time.Time, err *error) {
	m.starts.Observe(time.Since(began))
	if *err != nil {
		m.failedStarts.Add(1)
	}
}

// collected counts a collection that began then and ended now.
func (m *meters) collected(began time.Time, res repo.Collected, err error) {
	m.collections.Observe(time.Since(began))
	m.forgotten.Add(res.Deleted)
	if err != nil {
		m.failedCollections.Add(1)
	}
}

// read gives the counts up to now.
func (m *meters) read() api.Counts {
	r := &m.repo
	return api.Counts{
		Reads: r.Reads.Read(), Pages: r.Pages.Load(), ReadErrors: r.ReadErrors.Load(),
		CacheHits: r.CacheHits.Load(), CacheMisses: r.CacheMisses.Load(), WALBytes: r.WALBytes.Load(), Commits: r.Commits.Load(),
		Starts: m.starts.Read(), FailedStarts: m.failedStarts.Load(), Crashes: m.crashes.Load(),
		Collections: m.collections.Read(), FailedCollections: m.failedCollections.Load(), Forgotten: m.forgotten.Load(),
	}
}
