package tenants

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"zenith/internal/api"
	"zenith/internal/pg"
	"zenith/internal/postgres"
	"zenith/repo"
	"zenith/repo/datadir"
	"zenith/repo/ingest"
)

// upgradeHome is the directory in which pg_upgrade works on a tenant's data. It is there only while that does, and has
// the ending of what the next page server removes. It is not in the tenant's own directory, which lets in that tenant's
// account and no other: pg_upgrade wants an account that has a name.
func (t *tenant) upgradeHome() string { return t.m.tenantDir(t.id) + ".upgrade" + unfinished }

// BranchUpgrade makes a branch of a newer major version from a point, by stock pg_upgrade on a copy of the point's
// data directory, and passes on what that prints. The branch the point is on is not touched. The new one has no
// ancestor: as of pg_upgrade it is another cluster. It takes the time and, for as long as it runs, the space of a copy.
func (m *Manager) BranchUpgrade(ctx context.Context, tenant, name, point string, o api.UpgradeOptions) (api.Branch, error) {
	if err := api.CheckName(name); err != nil {
		return api.Branch{}, err
	}
	t, release, err := m.tenant(ctx, tenant)
	if err != nil {
		return api.Branch{}, err
	}
	defer release()
	u, err := t.newUpgrade(ctx, name, point, o)
	if err != nil {
		return api.Branch{}, err
	}
	b, err := u.run(ctx)
	return b, classify(err)
}

// upgrade is one run of BranchUpgrade.
type upgrade struct {
	t     *tenant
	b     *branch // of the point
	lsn   pg.LSN
	name  string // of the new branch
	o     api.UpgradeOptions
	stock postgres.Upgrade
}

// newUpgrade finds what is needed, and refuses what cannot be.
func (t *tenant) newUpgrade(ctx context.Context, name, point string, o api.UpgradeOptions) (*upgrade, error) {
	b, p, _, err := t.point(ctx, point)
	if err != nil {
		return nil, err
	}
	if _, err := t.repo.ByName(name); err == nil {
		return nil, t.errNameTaken(name)
	}
	u := &upgrade{t: t, b: b, lsn: p.LSN, name: name, o: o}
	from := b.tl.VersionAt(p.LSN)
	to, err := pg.ByMajor(o.Major)
	if err != nil {
		return nil, api.Errorf(api.ErrBadArgument, "%v", err)
	}
	if to.Major <= from.Major {
		return nil, api.Errorf(api.ErrBadArgument, "branch %s: is %v already: an upgrade goes to a newer one than that", b.tl.Name(), from)
	}
	if u.stock.Old, err = t.m.pg.For(ctx, from); err != nil {
		return nil, err
	}
	if u.stock.New, err = t.m.pg.For(ctx, to); err != nil {
		return nil, err
	}
	program := filepath.Join(u.stock.New.Dir, "bin", "pg_upgrade")
	if _, err := os.Stat(program); err != nil {
		return nil, api.Errorf(api.ErrNotFound, "%s: the installation has no pg_upgrade", u.stock.New.Dir)
	}
	return u, nil
}

// run makes the branch. One at a time can be made in a tenant.
func (u *upgrade) run(ctx context.Context) (b api.Branch, err error) {
	home := u.t.upgradeHome()
	select {
	case u.t.upgrading <- struct{}{}:
		defer func() { <-u.t.upgrading }()
	default:
		return b, api.Errorf(api.ErrBusy, "tenant %v: another upgrade runs", u.t.id)
	}
	work := filepath.Join(home, "work")
	if err := errors.Join(os.MkdirAll(work, 0o700), maker(u.t.m.as).Own(work)); err != nil {
		return b, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(home)) }()
	u.stock.Dir, u.stock.OldData = work, filepath.Join(home, "old")
	u.stock.CheckOnly, u.stock.Output = u.o.CheckOnly, u.o.Output
	if err := u.export(ctx); err != nil {
		return b, err
	}
	if err := withPassage(home, func() error { return u.stock.Run(ctx, maker(u.t.m.as)) }); err != nil || u.o.CheckOnly {
		return b, err
	}
	if err := plainFiles(u.stock.NewData()); err != nil {
		return b, err
	}
	tl, err := ingest.Import(ctx, u.t.repo, u.stock.NewData(), ingest.ImportOptions{Name: u.name, Progress: u.o.Progress})
	if errors.Is(err, repo.ErrExists) { // it was made meanwhile, or is a directory of another name
		return b, u.t.errNameTaken(u.name)
	}
	if err != nil {
		return b, err
	}
	return describe(tl), nil
}

// plainFiles makes sure that a data directory that other code than ours has made has no links: they might lead to
// files that only the page server may read, and the import follows those of tablespaces.
func plainFiles(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !d.Type().IsRegular() {
			err = api.Errorf(api.ErrUnsupported, "%s: is no ordinary file: a cluster with tablespaces cannot be upgraded here", path)
		}
		return err
	})
}

// export writes the data directory of the point, with a configuration that reaches nobody.
func (u *upgrade) export(ctx context.Context) (err error) {
	unpin, err := u.b.pin(u.lsn)
	if err != nil {
		return err
	}
	defer unpin()
	view, err := u.b.readable(ctx, u.lsn, "")
	if err != nil {
		return err
	}
	login, err := postgres.FindLogin(viewFiles{ctx, view})
	if err != nil {
		return err
	}
	state := view.Snapshot().State()
	u.stock.User, u.stock.SegSize, u.stock.Checksums = login.User, u.b.tl.Info().SegSize, state.ChecksumVersion != 0
	if err := os.Mkdir(u.stock.OldData, 0o700); err != nil {
		return err
	}
	r, w := io.Pipe()
	written := make(chan error, 1)
	go func() {
		stream := tar.NewWriter(w)
		err := datadir.ExportTar(ctx, view, stream, datadir.ExportOptions{Files: postgres.UpgradeConfig(), Progress: u.o.Progress})
		if err == nil {
			err = stream.Close()
		}
		w.CloseWithError(err)
		written <- err
	}()
	err = untar(u.stock.OldData, r)
	r.CloseWithError(errors.Join(err, io.ErrClosedPipe)) // or the export would wait for ever for a reader
	if werr := <-written; err == nil {
		err = werr
	}
	if err != nil {
		return fmt.Errorf("export %s: %w", u.b.tl.Name(), err)
	}
	return maker(u.t.m.as).OwnAll(u.stock.OldData)
}

// untar unpacks a stream of directories and files into dir, which is there and empty.
func untar(dir string, r io.Reader) (err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	archive := tar.NewReader(r)
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			_, err = io.Copy(io.Discard, r) // the zeros that end an archive
			return err
		}
		if err != nil {
			return err
		}
		switch name := filepath.Clean(h.Name); {
		case name == ".":
		case h.Typeflag == tar.TypeDir:
			err = root.Mkdir(name, 0o700)
		case h.Typeflag == tar.TypeReg:
			err = untarFile(root, name, archive)
		default:
			err = fmt.Errorf("%s: is of type %q", h.Name, h.Typeflag)
		}
		if err != nil {
			return err
		}
	}
}

func untarFile(root *os.Root, name string, r io.Reader) error {
	f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close())
}
