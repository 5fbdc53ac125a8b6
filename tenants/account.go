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
	as, err := m.cfg.Accounts.Of(dir, m.cfg.Dir+" "+id.String(), m.log)
	return as.Via(m.cfg.Helper), err
}

// maker is the account that runs what this process reads the files of, or asks something of: its own, and instead of
// root's, as which PostgreSQL does not run, the account as.
func maker(as postgres.Account) postgres.Account {
	if own := postgres.OwnAccount(); own.UID != 0 {
		return own
	}
	return as
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
