package tenants

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"zenith/internal/postgres"
)

// cleanComputes ends what a killed page server left running in dir, the directory of a
// tenant's computes: a postgres whose mount is gone can do nothing any more but commit, where
// its WAL does not pass through the mount.
func (m *Manager) cleanComputes(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		compute := filepath.Join(dir, e.Name())
		err = errors.Join(err, postgres.EndLeftover(m.cfg.Helper, compute))
		data := filepath.Join(compute, "data")
		mounted, merr := m.mounter.isMounted(data)
		if mounted {
			postgres.EndOrphans(m.cfg.Helper, data) // before it is unmounted: then their directories have no paths
		}
		_, stale := m.mounter.cleanStale(data)
		err = errors.Join(err, merr, stale)
		if err == nil && strings.HasPrefix(e.Name(), postgres.ThrowawayPrefix) {
			err = os.RemoveAll(compute)
		}
	}
	return err
}
