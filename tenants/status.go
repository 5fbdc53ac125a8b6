package tenants

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"zenith/internal/api"
)

// Status says what there is and what runs, of the tenants that are open.
func (m *Manager) Status(ctx context.Context) ([]api.StatusRow, error) {
	if m.cfg.DefaultTenant != "" {
		_, release, err := m.tenant(ctx, "")
		switch {
		case err == nil:
			defer release()
		case !errors.Is(err, api.ErrNotFound):
			return nil, err
		}
	}
	open := m.openTenants()
	n := countOpen(open)
	stats, err := m.Stats(ctx)
	if err != nil {
		return nil, err
	}
	for _, mnt := range stats.Mounts {
		n.failed += mnt.Errors
	}
	for _, t := range stats.Open {
		n.store, n.wal = n.store+t.StoreBytes, n.wal+t.WALBytes
	}
	var rows []api.StatusRow
	for _, p := range stats.Problems() {
		rows = append(rows, api.StatusRow{Name: api.ProblemRow, Value: p.String()})
	}
	rows = append(rows, m.statusRows(stats, n)...)
	if waiting := waitingText(open); waiting != "" {
		rows = append(rows, api.StatusRow{Name: "expired", Value: waiting})
	}
	return rows, nil
}

// openCounts is what is counted for Status.
type openCounts struct {
	branches, running, slow, receivers int
	behind, age                        int64 // bytes and seconds by which the receiver lags that lags most
	failed                             int64 // reads of mounts
	store, wal                         int64 // bytes on disk
}

func countOpen(open []*tenant) (n openCounts) {
	for _, t := range open {
		n.branches += len(t.repo.Timelines())
		for _, r := range t.listReceivers() {
			n.receivers++
			if r.LagBytes != nil {
				n.behind, n.age = max(n.behind, *r.LagBytes), max(n.age, *r.LagSeconds)
			}
		}
		for _, c := range t.listComputes() {
			d := c.describe()
			if d.Status == api.ComputeRunning {
				n.running++
			}
			if d.WAL == api.WALThroughMount {
				n.slow++
			}
		}
	}
	return n
}

// statusRows are the rows of Status that are always there.
func (m *Manager) statusRows(stats *api.Stats, n openCounts) []api.StatusRow {
	number := func(name string, n int64) api.StatusRow {
		return api.StatusRow{Name: name, Value: strconv.FormatInt(n, 10)}
	}
	row := func(name string, n int) api.StatusRow { return number(name, int64(n)) }
	uptime := time.Since(m.began).Round(time.Second)
	return []api.StatusRow{
		{Name: "uptime", Value: uptime.String()},
		row("uptime_seconds", int(uptime/time.Second)),
		{Name: machineRow, Value: Machine()},
		{Name: "workdir", Value: m.cfg.Dir},
		{Name: "default_tenant", Value: m.cfg.DefaultTenant},
		row("tenants", len(stats.Tenants)),
		row("tenants_open", m.countOpen()),
		row("branches", n.branches),
		row("mounts", len(stats.Mounts)),
		number("mounts_errors", n.failed), // zenith mount list says why
		row("postgres_running", n.running),
		{Name: api.GatewayRow, Value: m.cfg.Gateway},
		row("postgres_wal_through_mount", n.slow), // those servers commit more slowly
		row("receivers", n.receivers),
		number("receivers_lag_bytes", n.behind),
		number("receivers_lag_seconds", n.age),
		number("store_bytes", n.store),
		number("wal_bytes", n.wal),
		number("disk_free_bytes", stats.Disk.Free),
		number("disk_size_bytes", stats.Disk.Size),
	}
}

// waitingText says which branches have expired and are still there, and why.
func waitingText(open []*tenant) string {
	var all []string
	for _, t := range open {
		for _, tl := range t.repo.Timelines() {
			t.mu.Lock()
			why := t.waits[tl.ID()]
			t.mu.Unlock()
			if why != "" {
				all = append(all, tl.Name()+": "+why)
			}
		}
	}
	return strings.Join(all, "; ")
}
