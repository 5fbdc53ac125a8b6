package tenants

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"zenith/internal/api"
	"zenith/internal/durable"
	"zenith/internal/pg"
	"zenith/internal/postgres"
	"zenith/repo"
	"zenith/repo/ingest"
)

// MainBranch is the name of a tenant's first branch.
const MainBranch = api.MainBranch

// InitOptions say what a new tenant's main branch is made from.
type InitOptions struct {
	Tenant     string // id; "" for a random one
	FromPGData string // a cleanly stopped data directory
	FromServer string // the connection string of a running server; if both are "": a fresh initdb
	Major      int    // major version of PostgreSQL of a fresh cluster; 0: that of the default installation
	Progress   api.Progress
	LeftOut    func(path, why string) // is told each file that is not imported; may be nil
}

// TenantCreate makes a tenant with a fresh initdb as its main branch.
func (m *Manager) TenantCreate(ctx context.Context, id string, o api.TenantOptions, p api.Progress) (api.TenantInfo, error) {
	return m.CreateTenant(ctx, InitOptions{Tenant: id, Major: o.Major, Progress: p})
}

// CreateTenant makes a tenant and loads its main branch. If that fails or is killed, there is no tenant: its
// directory gets its final name only when everything is in it.
func (m *Manager) CreateTenant(ctx context.Context, o InitOptions) (api.TenantInfo, error) {
	id := repo.RandomTenantID()
	if o.Tenant != "" {
		var err error
		if id, err = m.tenantID(o.Tenant); err != nil {
			return api.TenantInfo{}, err
		}
	}
	if _, err := os.Stat(m.tenantDir(id)); !errors.Is(err, fs.ErrNotExist) {
		return api.TenantInfo{}, api.Errorf(api.ErrExists, "tenant %v: already exists", id)
	}
	if err := m.checkInstalled(ctx, o); err != nil {
		return api.TenantInfo{}, err
	}
	if err := m.reaching().CheckReach(m.tenantDir(id)); err != nil {
		return api.TenantInfo{}, err
	}
	building := m.tenantDir(id) + unfinished
	if err := os.Mkdir(building, 0o711); err != nil {
		return api.TenantInfo{}, fmt.Errorf("create tenant %v: %w", id, err)
	}
	defer os.RemoveAll(building)
	info, err := m.load(ctx, id, building, o)
	if err != nil {
		return api.TenantInfo{}, classify(err)
	}
	return info, durable.Rename(building, m.tenantDir(id))
}

// load fills a new tenant's repository in dir.
func (m *Manager) load(ctx context.Context, id repo.TenantID, dir string, o InitOptions) (info api.TenantInfo, err error) {
	t, err := m.newTenant(id, dir)
	if err != nil {
		return info, err
	}
	defer func() { err = errors.Join(err, t.repo.Close()) }()
	loadMain := m.loadDir
	if o.FromServer != "" {
		loadMain = m.loadServer
	}
	tl, err := loadMain(ctx, t, o)
	if err == nil && o.LeftOut != nil {
		err = tellIncludes(ctx, tl, o.LeftOut)
	}
	if err != nil {
		return info, err
	}
	info = api.TenantInfo{ID: id.String(), TimelineID: tl.ID().String(), LSN: tl.LastLSN(), Major: tl.Version().Major}
	return info, t.as.Enclose(dir)
}

// loadDir makes the main branch from a data directory: a stopped server's, or a fresh one.
func (m *Manager) loadDir(ctx context.Context, t *tenant, o InitOptions) (*repo.Timeline, error) {
	from, leftOut := o.FromPGData, o.LeftOut
	if from == "" {
		leftOut = nil // nothing of a fresh cluster is missed
		home := filepath.Join(t.dir, "initdb")
		from = filepath.Join(home, "data")
		if err := os.Mkdir(home, 0o700); err != nil {
			return nil, err
		}
		defer os.RemoveAll(home)
		password := filepath.Join(home, PasswordName)
		if err := t.newPassword(maker(m.as), password); err != nil {
			return nil, err
		}
		err := withPassage(home, func() error { return m.initdb(ctx, o, from, password) })
		if err != nil {
			return nil, err
		}
	}
	return ingest.Import(ctx, t.repo, from, ingest.ImportOptions{Name: MainBranch, Progress: o.Progress, LeftOut: leftOut})
}

// tellIncludes tells which files the configuration of an imported cluster includes that did not come with it.
func tellIncludes(ctx context.Context, tl *repo.Timeline, leftOut func(path, why string)) error {
	snap, err := tl.AtHead(ctx)
	if err != nil {
		return err
	}
	view, err := compose(ctx, snap)
	if err != nil {
		return err
	}
	list, err := postgres.MissingIncludes(viewFiles{ctx, view})
	if err != nil {
		return err
	}
	for _, i := range list {
		leftOut(i.Path, "included by "+i.File+", and not in the data directory")
	}
	return nil
}

// checkInstalled makes sure that there is an installation for what the new main branch will be, as far as that
// is known: of which version a running server is, only that server says.
func (m *Manager) checkInstalled(ctx context.Context, o InitOptions) error {
	if o.FromServer != "" {
		return nil
	}
	if o.FromPGData == "" {
		_, err := m.fresh(ctx, o)
		return err
	}
	text, err := os.ReadFile(filepath.Join(o.FromPGData, "PG_VERSION"))
	if err != nil {
		return nil //nolint:nilerr // the import says what is wrong with the directory
	}
	v, err := pg.ParseMajor(strings.TrimSpace(string(text)))
	if err != nil {
		return fmt.Errorf("%s: %w", o.FromPGData, err)
	}
	_, err = m.pg.For(ctx, v)
	return err
}

// fresh gives the installation that makes the cluster of a new tenant.
func (m *Manager) fresh(ctx context.Context, o InitOptions) (postgres.Distrib, error) {
	if o.Major == 0 {
		return m.pg.Default(ctx)
	}
	v, err := pg.ByMajor(o.Major)
	if err != nil {
		return postgres.Distrib{}, api.Errorf(api.ErrBadArgument, "%v", err)
	}
	return m.pg.For(ctx, v)
}

// initdb makes a fresh cluster in dir, a directory that must not be there yet; its superuser has the password that
// the file passwordFile has.
func (m *Manager) initdb(ctx context.Context, o InitOptions, dir, passwordFile string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	if err := maker(m.as).Own(dir); err != nil {
		return err
	}
	distrib, err := m.fresh(ctx, o)
	if err != nil {
		return err
	}
	return distrib.Initdb(ctx, maker(m.as), dir, passwordFile, !m.cfg.NoChecksums)
}
