package admin

import (
	"cmp"
	"net/http"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"zenith/internal/api"
	"zenith/internal/meter"
)

// maxBranches bounds how many branches have metrics of their own, over all tenants: each is a time series for ever in
// the memory of whoever collects them. zenith_branches counts all.
const maxBranches = 200

// exposed is what the metrics of one request are made from.
type exposed struct {
	*api.Stats
	version string
	wire    int // connections of the wire protocol
	gateway api.GatewayCounts
	lines   LogCounts // of the log
	all     bool      // the client may know what is about all tenants together

	shown map[string]bool // timelines whose branches have metrics of their own
}

// emit tells one value of a metric, with the values of its labels.
type emit func(value float64, labels ...string)

// metric is one row of the table: a name, and where its values come from.
type metric struct {
	name   string
	help   string
	kind   prometheus.ValueType
	labels []string
	server bool // it is about all tenants together: a client that may see only some does not get it
	values func(e *exposed, to emit)
}

const (
	gauge   = prometheus.GaugeValue
	counter = prometheus.CounterValue
)

// metrics are all metrics with plain values. docs/monitoring.md describes them; a test compares the two.
var metrics = []metric{
	{name: "zenith_build_info", help: "1, with the version of zenith.", kind: gauge, labels: []string{"version"}, server: true,
		values: func(e *exposed, to emit) { to(1, e.version) }},
	{name: "zenith_start_time_seconds", help: "When the page server started, in seconds since 1970.", kind: gauge, server: true,
		values: func(e *exposed, to emit) { to(float64(e.Began.UnixMilli()) / 1000) }},
	{name: "zenith_disk_size_bytes", help: "Size of the file system of the work directory.", kind: gauge, server: true,
		values: func(e *exposed, to emit) { to(float64(e.Disk.Size)) }},
	{name: "zenith_disk_free_bytes", help: "What may still be written to it.", kind: gauge, server: true,
		values: func(e *exposed, to emit) { to(float64(e.Disk.Free)) }},
	{name: "zenith_problems", help: "What is wrong now, as `zenith status` lists it.", kind: gauge, labels: []string{"severity"}, values: problemCounts},
	{name: "zenith_connections", help: "Connections of the wire protocol.", kind: gauge, server: true,
		values: func(e *exposed, to emit) { to(float64(e.wire)) }},
	{name: "zenith_gateway_connections", help: "Connections of the gateway, those that wait for a postgres included.", kind: gauge, server: true,
		values: func(e *exposed, to emit) { to(float64(e.gateway.Connections)) }},
	{name: "zenith_gateway_clients_total", help: "Clients of the gateway, by what became of them.", kind: counter, labels: []string{"result"}, server: true,
		values: func(e *exposed, to emit) {
			to(float64(e.gateway.Accepted), "connected")
			to(float64(e.gateway.Refused), "refused")
		}},
	{name: "zenith_gateway_cancel_requests_total", help: "Cancel requests that the gateway has passed on.", kind: counter, server: true,
		values: func(e *exposed, to emit) { to(float64(e.gateway.Cancels)) }},
	{name: "zenith_log_messages_total", help: "Lines of the log, by level.", kind: counter, labels: []string{"level"}, server: true,
		values: func(e *exposed, to emit) {
			to(float64(e.lines.Info), "info")
			to(float64(e.lines.Warn), "warn")
			to(float64(e.lines.Error), "error")
		}},

	{name: "zenith_tenants", help: "Tenants that exist.", kind: gauge,
		values: func(e *exposed, to emit) { to(float64(len(e.Tenants))) }},
	{name: "zenith_tenants_open", help: "Tenants that are in use: what follows by tenant is there for them only.", kind: gauge,
		values: func(e *exposed, to emit) { to(float64(len(e.Open))) }},
	{name: "zenith_branches", help: "Branches of a tenant.", kind: gauge, labels: []string{"tenant"},
		values: perTenant(func(t *api.TenantStats) float64 { return float64(len(t.Branches)) })},
	{name: "zenith_store_bytes", help: "What the index of a tenant's versions takes on disk.", kind: gauge, labels: []string{"tenant"},
		values: perTenant(func(t *api.TenantStats) float64 { return float64(t.StoreBytes) })},
	{name: "zenith_wal_bytes", help: "What the WAL of a tenant's branches takes on disk.", kind: gauge, labels: []string{"tenant"},
		values: perTenant(func(t *api.TenantStats) float64 { return float64(t.WALBytes) })},

	{name: "zenith_branch_head_lsn_bytes", help: "Head of a branch: its LSN as a number of bytes.", kind: gauge, labels: []string{"tenant", "branch"},
		values: perBranch(func(b *api.BranchStats) float64 { return float64(b.LatestValidLSN) })},
	{name: "zenith_branch_ingest_lag_bytes", help: "WAL of a branch that is written and cannot be read as pages yet.", kind: gauge, labels: []string{"tenant", "branch"},
		values: perBranch(func(b *api.BranchStats) float64 { return float64(b.Behind) })},
	{name: "zenith_branch_ingest_failed", help: "1 where the WAL of a branch cannot be ingested.", kind: gauge, labels: []string{"tenant", "branch"},
		values: perBranch(func(b *api.BranchStats) float64 { return number(b.IngestErr != "") })},

	{name: "zenith_receiver_streaming", help: "1 where a branch streams WAL from its server, 0 where it wants to and does not.", kind: gauge, labels: []string{"tenant", "branch"},
		values: perReceiver(func(r *api.Receiver, to emit) { to(number(r.Status == "streaming")) })},
	{name: "zenith_receiver_lag_bytes", help: "WAL that the server of a branch had when it was last heard of and the branch has not.", kind: gauge, labels: []string{"tenant", "branch"},
		values: perReceiver(func(r *api.Receiver, to emit) {
			if r.LagBytes != nil {
				to(float64(*r.LagBytes))
			}
		})},
	{name: "zenith_receiver_lag_seconds", help: "Age of the newest state of the server that is known to be here whole.", kind: gauge, labels: []string{"tenant", "branch"},
		values: perReceiver(func(r *api.Receiver, to emit) {
			if r.LagSeconds != nil {
				to(float64(*r.LagSeconds))
			}
		})},

	{name: "zenith_computes", help: "Postgres servers by state.", kind: gauge, labels: []string{"state"}, values: computeCounts},
	{name: "zenith_execs", help: "Throw-away postgres servers of pg exec that run.", kind: gauge, server: true,
		values: func(e *exposed, to emit) { to(float64(e.Execs)) }},
	{name: "zenith_mounts", help: "Mounts by mode.", kind: gauge, labels: []string{"mode"}, values: mountCounts},

	{name: "zenith_ingested_wal_bytes_total", help: "WAL that was ingested.", kind: counter, server: true,
		values: func(e *exposed, to emit) { to(float64(e.Counts.WALBytes)) }},
	{name: "zenith_commits_total", help: "Transactions that were committed in the WAL that was ingested.", kind: counter, server: true,
		values: func(e *exposed, to emit) { to(float64(e.Counts.Commits)) }},
	{name: "zenith_pages_read_total", help: "Pages that were read from the repository.", kind: counter, server: true,
		values: func(e *exposed, to emit) { to(float64(e.Counts.Pages)) }},
	{name: "zenith_page_read_errors_total", help: "Reads of pages that failed.", kind: counter, server: true,
		values: func(e *exposed, to emit) { to(float64(e.Counts.ReadErrors)) }},
	{name: "zenith_page_cache_hits_total", help: "Pages with records to apply that the cache had.", kind: counter, server: true,
		values: func(e *exposed, to emit) { to(float64(e.Counts.CacheHits)) }},
	{name: "zenith_page_cache_misses_total", help: "Pages with records to apply that the cache had not.", kind: counter, server: true,
		values: func(e *exposed, to emit) { to(float64(e.Counts.CacheMisses)) }},
	{name: "zenith_compute_start_failures_total", help: "Starts of postgres that failed.", kind: counter, server: true,
		values: func(e *exposed, to emit) { to(float64(e.Counts.FailedStarts)) }},
	{name: "zenith_compute_crashes_total", help: "Crashes of postgres servers.", kind: counter, server: true,
		values: func(e *exposed, to emit) { to(float64(e.Counts.Crashes)) }},
	{name: "zenith_collection_failures_total", help: "Collections of old history that failed.", kind: counter, server: true,
		values: func(e *exposed, to emit) { to(float64(e.Counts.FailedCollections)) }},
	{name: "zenith_collected_versions_total", help: "Versions that collections deleted.", kind: counter, server: true,
		values: func(e *exposed, to emit) { to(float64(e.Counts.Forgotten)) }},
}

// timing is a metric that is a histogram of seconds, over all tenants.
type timing struct {
	name, help string
	read       func(c *api.Counts) meter.Reading
}

var timings = []timing{
	{"zenith_page_read_seconds", "How long reads of pages from the repository took, of one page or of several at once.",
		func(c *api.Counts) meter.Reading { return c.Reads }},
	{"zenith_compute_start_seconds", "How long starts of postgres took.", func(c *api.Counts) meter.Reading { return c.Starts }},
	{"zenith_collection_seconds", "How long collections of old history took.", func(c *api.Counts) meter.Reading { return c.Collections }},
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func perTenant(value func(*api.TenantStats) float64) func(*exposed, emit) {
	return func(e *exposed, to emit) {
		for i := range e.Open {
			to(value(&e.Open[i]), e.Open[i].ID)
		}
	}
}

func perBranch(value func(*api.BranchStats) float64) func(*exposed, emit) {
	return func(e *exposed, to emit) {
		for _, t := range e.Open {
			for i := range t.Branches {
				if b := &t.Branches[i]; e.shown[b.TimelineID] {
					to(value(b), t.ID, b.Name)
				}
			}
		}
	}
}

// perReceiver tells of all receivers: there are few, and nobody may miss one that fails.
func perReceiver(value func(r *api.Receiver, to emit)) func(*exposed, emit) {
	return func(e *exposed, to emit) {
		for _, t := range e.Open {
			for i := range t.Receivers {
				r := &t.Receivers[i]
				value(r, func(v float64, _ ...string) { to(v, t.ID, r.Branch) })
			}
		}
	}
}

// computeStates and mountModes are told also where there is none: a time series that comes and goes cannot be watched.
var (
	computeStates = []string{api.ComputeRunning, api.ComputeStarting, api.ComputeStopping, api.ComputeStopped, api.ComputeCrashed, api.ComputeDamaged}
	mountModes    = []string{api.ModeReadOnly, api.ModeWritable, api.ModeScratch, api.ModeTree}
)

func computeCounts(e *exposed, to emit) {
	n := map[string]int{}
	for _, t := range e.Open {
		for _, c := range t.Computes {
			n[c.Status]++
		}
	}
	for _, state := range computeStates {
		to(float64(n[state]), state)
	}
}

func mountCounts(e *exposed, to emit) {
	n := map[string]int{}
	for _, m := range e.Mounts {
		n[m.Mode]++
	}
	for _, mode := range mountModes {
		to(float64(n[mode]), mode)
	}
}

func problemCounts(e *exposed, to emit) {
	n := map[api.Severity]int{}
	for _, p := range e.Problems() {
		n[p.Severity]++
	}
	for _, severity := range []api.Severity{api.Critical, api.Warning} {
		to(float64(n[severity]), string(severity))
	}
}

// choose picks the branches that have metrics of their own: those on which something runs or that follow a server, then
// roots and whichever has the newest head.
func choose(s *api.Stats) map[string]bool {
	type candidate struct {
		id   string
		busy bool
		root bool
		head uint64
	}
	var all []candidate
	for _, t := range s.Open {
		busy := map[string]bool{}
		for _, c := range t.Computes {
			if c.Status != api.ComputeStopped {
				busy[c.Timeline] = true
			}
		}
		following := map[string]bool{}
		for _, r := range t.Receivers {
			following[r.Branch] = true
		}
		for _, b := range t.Branches {
			all = append(all, candidate{b.TimelineID, busy[b.TimelineID] || following[b.Name] || b.IngestErr != "", b.AncestorID == nil, uint64(b.LatestValidLSN)})
		}
	}
	slices.SortStableFunc(all, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(number(b.busy), number(a.busy)), cmp.Compare(number(b.root), number(a.root)), cmp.Compare(b.head, a.head))
	})
	shown := map[string]bool{}
	for _, c := range all[:min(len(all), maxBranches)] {
		shown[c.id] = true
	}
	return shown
}

// metrics answers Prometheus.
func (s *Server) metrics(w http.ResponseWriter, r *http.Request) {
	stats, err := s.stats(r)
	if err != nil {
		s.opt.Log.Error("collect metrics", "err", err)
		http.Error(w, "the page server does not say what it does", http.StatusServiceUnavailable)
		return
	}
	e := &exposed{Stats: stats, version: s.opt.Version, all: seesAll(whoOf(r)), shown: choose(stats)}
	if s.opt.Wire != nil {
		e.wire = s.opt.Wire()
	}
	if s.opt.Gateway != nil {
		e.gateway = s.opt.Gateway()
	}
	if s.opt.Journal != nil {
		e.lines = s.opt.Journal.Counts()
	}
	e.serve(w, r)
}
