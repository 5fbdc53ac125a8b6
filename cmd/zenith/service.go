package main

import (
	"context"
	"log/slog"
	"path/filepath"

	"zenith/internal/api"
	"zenith/tenants"
)

// settings is everything that the page server is told, flags and files taken together. It
// is made once, before anything is touched.
type settings struct {
	workdir string // absolute
	tenant  string // the default one
	serverConfig
}

// memoryTarget is where the garbage collector begins to work harder. What the windows of
// unflushed changes and the caches may hold together lies below it.
const memoryTarget = 600 << 20

// newService opens the tenants of a work directory. close ends everything that runs there.
func newService(s *settings, log *slog.Logger) (svc service, close func(context.Context) error, err error) {
	m, err := newManager(s, log)
	if err != nil {
		return nil, nil, err
	}
	m.Resume()
	return m, m.Close, nil
}

// service is all that the page server puts on the network.
type service interface {
	api.Service
	api.ReplicationService
}

func newManager(s *settings, log *slog.Logger) (*tenants.Manager, error) {
	return tenants.Open(tenants.Config{
		Dir:           s.workdir,
		DefaultTenant: s.tenant,
		PgDistrib:     s.PgDistrib,
		PgUser:        s.PgUser,
		NoChecksums:   s.NoChecksums,
		IdleTime:      s.IdleTime.duration(),
		MemoryTarget:  memoryTarget,
		MaxLag:        s.MaxLag.bytes(),
		Retention:     s.Retention.over(tenants.DefaultRetention),
		CollectEvery:  s.Retention.Interval.duration(),
		NoWriteback:   s.Through,
		Log:           log,
		Dial:          dialPeer,

		TenantRetention: s.tenantRetention(),
	})
}

// absWorkdir gives the work directory as the page server wants it.
func (e *environ) absWorkdir() (string, error) { return filepath.Abs(e.workdir) }
