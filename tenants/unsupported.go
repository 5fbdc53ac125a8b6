package tenants

import (
	"context"
	"time"

	"zenith/internal/pg"
	"zenith/repo/pageserver"
)

// What the control surface knows and this page server cannot do yet. Each says so.

func notYet(what string) error {
	return pageserver.Errorf(pageserver.ErrUnsupported, "%s: not supported by this version", what)
}

// GC will forget history.
func (m *Manager) GC(context.Context, string, string, pageserver.Retain, pageserver.Progress) (pageserver.GCResult, error) {
	return pageserver.GCResult{}, notYet("gc")
}

// Lease will keep an LSN from being collected. As nothing is collected, it is not needed.
func (m *Manager) Lease(context.Context, string, string, pg.LSN) (time.Time, error) {
	return time.Time{}, notYet("lease")
}
