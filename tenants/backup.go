package tenants

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"zenith/internal/api"
	"zenith/internal/pg"
	"zenith/internal/postgres"
	"zenith/repo"
	"zenith/repo/ingest"
	"zenith/repo/receiver"
)

// loadServer makes a tenant's main branch from a running server: a base backup, which is
// copied while the server writes, is recovered by stock postgres up to the backup's end and
// imported as of there. The receiver that follows the server starts with the page server.
func (m *Manager) loadServer(ctx context.Context, t *tenant, o InitOptions) (tl *repo.Timeline, err error) {
	kept := receiverFile{ConnInfo: o.FromServer, Stranger: !api.CallerOf(ctx).Owner}
	server, err := m.parseServer(kept)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(t.dir, "backup") // for everything: data, tablespaces, settings and log
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(dir, 0o700); err != nil { // nobody changes what is unpacked, or imported
		return nil, err
	}
	defer os.RemoveAll(dir)
	as := maker(t.as)
	got, err := receiver.BaseBackup(ctx, server, receiver.BackupOptions{
		Dir: data, TblspcTo: filepath.Join(dir, "tablespaces"), Own: as.Own, Progress: o.Progress,
		Check: func(v *pg.Version, _ uint64, _ pg.TLI) error {
			_, err := m.pg.For(ctx, v)
			return err
		},
	})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, got.Abandon(ctx))
		}
	}()
	recovered, err := ingest.PrepareBackup(data, got.Start, got.Stop)
	if err != nil {
		return nil, err
	}
	distrib, err := m.pg.For(ctx, recovered.Version())
	if err != nil {
		return nil, err
	}
	recovery := postgres.Recovery{Dir: dir, DataDir: data, Settings: recovered.Settings()}
	err = withPassage(dir, func() error { return postgres.Recover(ctx, distrib, as, recovery) })
	if err != nil {
		return nil, fmt.Errorf("recover the base backup: %w", err)
	}
	tl, err = ingest.Import(ctx, t.repo, data, ingest.ImportOptions{
		Name: MainBranch, Progress: o.Progress, Recovered: recovered, Locations: got.Tablespaces, LeftOut: o.LeftOut,
	})
	if err != nil {
		return nil, err
	}
	return tl, t.keepReceiver(tl.ID(), kept)
}

// withPassage lets the account of postgres go through a directory, to what it owns there, while fn runs. Before
// and after that nobody but this process can change what is in there: it is read as this process's own.
func withPassage(dir string, fn func() error) error {
	if err := os.Chmod(dir, 0o711); err != nil {
		return err
	}
	return errors.Join(fn(), os.Chmod(dir, 0o700))
}
