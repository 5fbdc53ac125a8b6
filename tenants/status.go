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
	ids, err := m.TenantList(ctx)
	if err != nil {
		return nil, err
	}
	mounts, err := m.MountList(ctx)
	if err != nil {
		return nil, err
	}
	if m.cfg.DefaultTenant != "" {
		_, release, err := m.tenant(ctx, "")
		switch {
		case err == nil:
			defer release()
		case !errors.Is(err, api.ErrNotFound):
			return nil, err
		}
	}
	failed := int64(0)
	for _, m := range mounts {
		failed += m.Errors
	}
	open, branches, running, slow, receivers := m.openTenants(), 0, 0, 0, 0
	behind, age := int64(0), int64(0) // bytes and seconds by which the receiver lags that lags most
	for _, t := range open {
		branches += len(t.repo.Timelines())
		for _, r := range t.listReceivers() {
			receivers++
			if r.LagBytes != nil {
				behind, age = max(behind, *r.LagBytes), max(age, *r.LagSeconds)
			}
		}
		for _, c := range t.listComputes() {
			d := c.describe()
			if d.Status == api.ComputeRunning {
				running++
			}
			if d.WAL == api.WALThroughMount {
				slow++
			}
		}
	}
	row := func(name string, n int) api.StatusRow {
		return api.StatusRow{Name: name, Value: strconv.Itoa(n)}
	}
	uptime := time.Since(m.began).Round(time.Second)
	stats, err := m.Stats(ctx)
	if err != nil {
		return nil, err
	}
	var problems []api.StatusRow
	for _, p := range stats.Problems() {
		problems = append(problems, api.StatusRow{Name: api.ProblemRow, Value: p.String()})
	}
	var store, wal int64
	for _, t := range stats.Open {
		store, wal = store+t.StoreBytes, wal+t.WALBytes
	}
	rows := append(problems, []api.StatusRow{
		{Name: "uptime", Value: uptime.String()},
		row("uptime_seconds", int(uptime/time.Second)),
		{Name: machineRow, Value: Machine()},
		{Name: "workdir", Value: m.cfg.Dir},
		{Name: "default_tenant", Value: m.cfg.DefaultTenant},
		row("tenants", len(ids)),
		row("tenants_open", m.countOpen()),
		row("branches", branches),
		row("mounts", len(mounts)),
		row("mounts_errors", int(failed)), // zenith mount list says why
		row("postgres_running", running),
		{Name: api.GatewayRow, Value: m.cfg.Gateway},
		row("postgres_wal_through_mount", slow), // those servers commit more slowly
		row("receivers", receivers),
		{Name: "receivers_lag_bytes", Value: strconv.FormatInt(behind, 10)},
		{Name: "receivers_lag_seconds", Value: strconv.FormatInt(age, 10)},
		{Name: "store_bytes", Value: strconv.FormatInt(store, 10)},
		{Name: "wal_bytes", Value: strconv.FormatInt(wal, 10)},
		{Name: "disk_free_bytes", Value: strconv.FormatInt(stats.Disk.Free, 10)},
		{Name: "disk_size_bytes", Value: strconv.FormatInt(stats.Disk.Size, 10)},
	}...)
	if waiting := waitingText(open); waiting != "" {
		rows = append(rows, api.StatusRow{Name: "expired", Value: waiting})
	}
	return rows, nil
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
