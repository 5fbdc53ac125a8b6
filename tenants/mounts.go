package tenants

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"zenith/internal/api"
)

// Mount mounts a point, or the whole tree of all tenants, at an empty directory that the caller names and owns.
func (m *Manager) Mount(ctx context.Context, o api.MountOptions) (api.Mount, error) {
	owners, err := m.mayOwn(api.CallerOf(ctx))
	if err != nil {
		return api.Mount{}, err
	}
	dir, err := m.mountDir(o.Dir)
	if err != nil {
		return api.Mount{}, err
	}
	if _, err := m.mounter.cleanStale(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return api.Mount{}, mountError(dir, err)
	}
	mnt, err := m.mountAny(ctx, dir, owners, o)
	if err != nil {
		return api.Mount{}, err
	}
	if err := m.keepMount(ctx, dir, o); err != nil {
		return api.Mount{}, errors.Join(err, m.unmount(context.WithoutCancel(ctx), mnt, true))
	}
	return mnt.describe(), nil
}

// mayOwn gives the accounts that may own a directory over which a caller has something mounted: its own, and for root
// also the one that owns the files of mounts. A mount hides what is there, for everybody: an account that could
// choose any directory could put files of its own in the place of others'.
func (m *Manager) mayOwn(c api.Caller) ([]int, error) {
	switch {
	case c.Address != "":
		return nil, api.Errorf(api.ErrNotAllowed, "mount: is for accounts of the page server's machine, by its socket; a network connection has none")
	case c.UID == api.NoUID: // within the process
		return []int{os.Geteuid(), m.as.UID}, nil
	case c.UID == 0:
		return []int{0, m.as.UID}, nil
	}
	return []int{c.UID}, nil
}

// mountAny mounts at dir, a directory of one of owners, what o names: a point, or for an empty point the whole tree.
func (m *Manager) mountAny(ctx context.Context, dir string, owners []int, o api.MountOptions) (*mount, error) {
	if o.Point == "" {
		mnt := &mount{dir: dir, owners: owners, mode: api.ModeTree}
		return mnt, m.attach(mnt, func() (put func() error, err error) {
			mnt.fs, err = m.mounter.all(dir, everything{m}, m.optionsOf(mnt))
			return func() error { return nil }, err
		})
	}
	t, release, err := m.tenant(ctx, o.Tenant)
	if err != nil {
		return nil, err
	}
	defer release() // from here on the mount itself keeps it open: busyLocked
	return m.mountPoint(ctx, t, o.Point, dir, mountOptions{scratch: o.Scratch, owners: owners})
}

// mountDir checks a mount point that a user named, and gives the path that the list of mounts has for it. A
// mount in the work directory, or over it, would show the page server its own files.
func (m *Manager) mountDir(dir string) (string, error) {
	if !filepath.IsAbs(dir) {
		return "", api.Errorf(api.ErrBadArgument, "mount point %s: want an absolute path", dir)
	}
	dir = m.realDir(dir)
	work, err := filepath.EvalSymlinks(m.cfg.Dir)
	if err != nil {
		return "", err
	}
	if dir == work || strings.HasPrefix(dir, work+"/") {
		return "", api.Errorf(api.ErrNotAllowed, "mount point %s: is inside the work directory %s", dir, work)
	}
	if strings.HasPrefix(work, dir+"/") {
		return "", api.Errorf(api.ErrNotAllowed, "mount point %s: would hide the work directory %s", dir, work)
	}
	return dir, nil
}

// Umount takes a mount away, or what a killed page server left mounted at dir. ErrBusy: it is in use, or a
// postgres of the page server runs on it. lazy takes it away nevertheless, and ends it with its last user.
func (m *Manager) Umount(ctx context.Context, dir string, lazy bool) error {
	if mnt := m.mountAt(m.realDir(dir)); mnt != nil && mnt.isReady() {
		if c := m.computeAt(mnt); c != nil {
			return api.Errorf(api.ErrBusy, "%s: postgres runs on it (pg stop %s)", dir, c.name)
		}
		return errors.Join(m.unmount(ctx, mnt, lazy), m.forgetMount(mnt.dir))
	}
	cleaned, err := m.mounter.cleanStale(dir)
	if err != nil && !os.IsNotExist(err) {
		return mountError(dir, err)
	}
	if !cleaned {
		return api.Errorf(api.ErrNotFound, "%s: no such mount", dir)
	}
	return nil
}

// mountAt gives the mount at a directory, nil if there is none.
func (m *Manager) mountAt(dir string) *mount {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mounts[dir]
}

// realDir gives the path that the list of mounts has for a directory: one without symbolic links. The last
// name is resolved only if the list has no mount there: to look at it would be to use our own mount.
func (m *Manager) realDir(dir string) string {
	if parent, err := filepath.EvalSymlinks(filepath.Dir(dir)); err == nil {
		dir = filepath.Join(parent, filepath.Base(dir))
	}
	if m.mountAt(dir) != nil {
		return dir
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		return real
	}
	return dir
}

// computeAt finds the compute whose mount it is, nil if it is a user's.
func (m *Manager) computeAt(mnt *mount) *compute {
	if mnt.tenant == nil {
		return nil
	}
	for _, c := range mnt.tenant.listComputes() {
		if c.dataDir() == mnt.dir {
			return c
		}
	}
	return nil
}

// MountList gives the mounts, sorted by directory.
func (m *Manager) MountList(context.Context) ([]api.Mount, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := []api.Mount{}
	for _, mnt := range m.mounts {
		if mnt.isReady() {
			list = append(list, mnt.describe())
		}
	}
	slices.SortFunc(list, func(a, b api.Mount) int { return strings.Compare(a.Dir, b.Dir) })
	return list, nil
}
