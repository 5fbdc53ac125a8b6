package admin

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// serve writes the metrics in the form that the client asks for. Each request has a registry of its own: what a client
// may see depends on who it is.
func (e *exposed) serve(w http.ResponseWriter, r *http.Request) {
	reg := prometheus.NewRegistry()
	reg.MustRegister(e)
	if e.all {
		reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	}
	promhttp.HandlerFor(reg, promhttp.HandlerOpts{}).ServeHTTP(w, r)
}

func (m *metric) desc() *prometheus.Desc { return prometheus.NewDesc(m.name, m.help, m.labels, nil) }

// Describe implements prometheus.Collector.
func (e *exposed) Describe(to chan<- *prometheus.Desc) {
	for i := range metrics {
		to <- metrics[i].desc()
	}
	for _, t := range timings {
		to <- prometheus.NewDesc(t.name, t.help, nil, nil)
	}
}

// Collect implements prometheus.Collector.
func (e *exposed) Collect(to chan<- prometheus.Metric) {
	for i := range metrics {
		m := &metrics[i]
		if m.server && !e.all {
			continue
		}
		desc := m.desc()
		m.values(e, func(v float64, labels ...string) {
			to <- prometheus.MustNewConstMetric(desc, m.kind, v, labels...)
		})
	}
	if !e.all {
		return
	}
	for _, t := range timings {
		r := t.read(&e.Counts)
		to <- prometheus.MustNewConstHistogram(prometheus.NewDesc(t.name, t.help, nil, nil), r.Count, r.Sum.Seconds(), seconds(r.Buckets))
	}
}

func seconds(buckets map[time.Duration]uint64) map[float64]uint64 {
	out := make(map[float64]uint64, len(buckets))
	for bound, n := range buckets {
		out[bound.Seconds()] = n
	}
	return out
}
