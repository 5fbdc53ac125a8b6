package api

import (
	"time"

	"zenith/internal/meter"
	"zenith/internal/pg"
)

// Stats is what a page server is and does at one moment, for its operator. To collect it opens no tenant: a tenant
// that nobody uses appears in Tenants only.
type Stats struct {
	Now     time.Time
	Began   time.Time // when the page server started
	Dir     string    // the work directory
	Disk    Disk      // the file system of Dir
	Tenants []string  // ids of all tenants, sorted
	Open    []TenantStats
	Mounts  []Mount
	Execs   int // throw-away servers of pg exec that run

	Replaced bool // the page server's program was replaced on disk since it started
	Counts   Counts
}

// Disk is the size of a file system, in bytes. Free is what an ordinary user may still write.
type Disk struct{ Size, Free int64 }

// TenantStats is the part of Stats that is about one open tenant.
type TenantStats struct {
	ID         string
	StoreBytes int64 // on disk, of the index of versions
	WALBytes   int64 // on disk, of all branches together
	Branches   []BranchStats
	Computes   []Compute
	Receivers  []Receiver
	Outdated   []Outdated
}

// Outdated is a postgres that runs a release which was replaced on disk since it started.
type Outdated struct{ Name, Runs, Installed string }

// BranchStats is the part of Stats that is about one branch.
type BranchStats struct {
	Branch
	Behind    pg.LSN // bytes of WAL that are written and not ingested
	IngestErr string // why its WAL cannot be ingested, in one line; "": it can
}

// Counts are events since the page server started, over all tenants.
type Counts struct {
	Reads       meter.Reading // how long reads of pages from the repository took, of one page or of several
	Pages       int64         // pages that those reads gave
	ReadErrors  int64
	CacheHits   int64
	CacheMisses int64
	WALBytes    int64 // bytes of WAL that were ingested
	Commits     int64 // transactions that were committed in them

	Starts       meter.Reading // how long starts of postgres took, those included that failed
	FailedStarts int64
	Crashes      int64 // of postgres servers

	Collections       meter.Reading // how long collections of old history took, those included that failed
	FailedCollections int64
	Forgotten         int64 // versions that collections deleted
}

// Only gives the stats without what is about tenants of which may says false, and without what would tell of them: the
// counts, which are over all tenants.
func (s *Stats) Only(may func(tenant string) bool) *Stats {
	less := *s
	less.Tenants, less.Open, less.Mounts, less.Counts, less.Execs = nil, nil, nil, Counts{}, 0
	for _, id := range s.Tenants {
		if may(id) {
			less.Tenants = append(less.Tenants, id)
		}
	}
	for _, t := range s.Open {
		if may(t.ID) {
			less.Open = append(less.Open, t)
		}
	}
	for _, m := range s.Mounts {
		if m.Tenant != "" && may(m.Tenant) {
			less.Mounts = append(less.Mounts, m)
		}
	}
	return &less
}
