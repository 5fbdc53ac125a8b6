package tenants

import (
	"path/filepath"
	"strings"

	"zenith/internal/postgres"
	"zenith/repo"
)

// accountOf gives the account under which a tenant's servers run. Where root runs the page server, and has named
// no account, each tenant has one of its own.
func (m *Manager) accountOf(id repo.TenantID, dir string) (postgres.Account, error) {
	if !m.apart {
		return m.as, nil
	}
	m.accounts.Lock()
	defer m.accounts.Unlock()
	return m.cfg.Accounts.Of(dir, m.cfg.Dir+" "+id.String(), m.log)
}

// reaching is an account that must be able to pass through the directories above a tenant's.
func (m *Manager) reaching() postgres.Account {
	if m.apart {
		return m.cfg.Accounts.Any()
	}
	return m.as
}

// enclose lets no other tenant's account into a tenant's directory. One that is being made is open to the account
// that runs initdb.
func (t *tenant) enclose() error {
	if strings.HasSuffix(filepath.Base(t.dir), unfinished) {
		return nil
	}
	return t.as.Enclose(t.dir)
}
