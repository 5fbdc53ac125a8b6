package main

import (
	"cmp"
	"context"
	"log/slog"
	"path/filepath"

	"zenith/internal/admin"
	"zenith/internal/api"
	"zenith/internal/privileged"
	"zenith/tenants"
)

// settings is everything that the page server is told, by flags and files together. It is made once,
// before the page server touches anything.
type settings struct {
	workdir string            // absolute
	tenant  string            // the default tenant's id; "" if there is none
	damage  error             // of the settings of the command line, which name the default tenant
	helper  privileged.Helper // does what takes root; nil: this process does
	gateway string            // where the gateway listens, HOST:PORT; "": there is none
	serverConfig
}

// memoryTarget is, where the memory setting does not say, how many bytes of memory may be in use before Go's garbage collector works harder. It is
// above what windows of unflushed changes and caches may hold together, so they alone never reach it.
const memoryTarget = 600 << 20

// newService opens the tenants of a work directory, and resumes what ran before a restart. close ends
// everything that runs there.
func newService(s *settings, log *slog.Logger) (svc service, close func(context.Context) error, err error) {
	m, err := newManager(s, log)
	if err != nil {
		return nil, nil, err
	}
	m.Resume()
	return m, m.Close, nil
}

// service is everything that the page server offers on the network.
type service interface {
	api.Service
	api.ReplicationService
	admin.Source
	api.Waker
	retainer
}

func newManager(s *settings, log *slog.Logger) (*tenants.Manager, error) {
	return tenants.Open(tenants.Config{
		Dir:           s.workdir,
		DefaultTenant: s.tenant,
		PgDistribs:    s.distribs(),
		PgUser:        s.PgUser,
		NoChecksums:   s.NoChecksums,
		IdleTime:      s.IdleTime.duration(),
		MemoryTarget:  cmp.Or(s.Memory.bytes(), memoryTarget),
		MaxLag:        s.MaxLag.bytes(),
		Retention:     s.Retention.over(tenants.DefaultRetention),
		CollectEvery:  s.Retention.Interval.duration(),
		NoWriteback:   s.Through,
		Log:           log,
		Dial:          dialPeer,
		Egress:        s.Egress.lists(),
		Helper:        s.helper,
		Accounts:      s.Accounts.accounts(),
		Wake:          s.Gateway.limits(),
		Gateway:       s.gateway,
		Autostart:     tenants.Autostart(s.Autostart),

		TenantRetention: s.tenantRetention(),
	})
}

// absWorkdir gives the work directory as an absolute path, which the page server needs.
func (e *environ) absWorkdir() (string, error) { return filepath.Abs(e.workdir) }
