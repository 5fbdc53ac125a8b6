package tenants

import (
	"context"
	"path/filepath"

	"zenith/repo"
	"zenith/repo/store"
)

// Repair mends a tenant's store, if it is damaged in a way that can be mended without loss. A store that
// is open needs none: it was sound when it was opened.
func (m *Manager) Repair(_ context.Context, tenant string) (done string, err error) {
	id, err := m.tenantID(tenant)
	if err != nil {
		return "", err
	}
	// Whoever opens the tenant meanwhile waits, and then tries anew.
	_, err, _ = m.opening.Do(id.String(), func() (any, error) {
		if open, err := m.waitClosed(id); open || err != nil {
			return nil, err
		}
		if err := m.checkExists(id); err != nil {
			return nil, err
		}
		done, err = store.Repair(filepath.Join(m.tenantDir(id), repo.StoreDir), m.log.With("tenant", id.String()))
		return nil, err
	})
	return done, classify(err)
}
