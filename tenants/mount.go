package tenants

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"

	"zenith/fusefs"
	"zenith/internal/api"
	"zenith/internal/pg"
	"zenith/internal/postgres"
	"zenith/internal/privileged"
	"zenith/internal/xlog"
	"zenith/repo"
	"zenith/repo/datadir"
)

// mount is a mount that is there, or is being made: then it keeps its directory from other mounts.
type mount struct {
	dir, mode string
	as        *postgres.Account // owns the files; nil: the account of users' mounts
	owners    []int             // the accounts of which one must own the mount point
	tenant    *tenant           // this and branch: nil for the whole tree
	branch    *branch

	ready chan struct{} // closed when it is there, or could not be made; what follows is valid then
	fs    mounted       // nil: it could not be made
	view  *datadir.View // the state that it shows; nil for the whole tree
	lsn   pg.LSN        // what it shows; where a writable one began; 0 for the whole tree

	troubles troubles

	once sync.Once
	put  func() error // gives back what the mount uses; called once, when the mount is gone
	err  error
}

// gone gives back what the mount uses. It may be called more than once: by Umount, and by the goroutine that
// waits for the mount's end, since others can unmount it, too.
func (m *mount) gone() error {
	m.once.Do(func() { m.err = m.put() })
	return m.err
}

// isReady reports whether the mount is there, without waiting.
func (m *mount) isReady() bool {
	select {
	case <-m.ready:
		return m.fs != nil
	default:
		return false
	}
}

// options are the options of every mount.
func (m *Manager) options() fusefs.Options {
	return fusefs.Options{UID: uint32(m.as.UID), GID: uint32(m.as.GID), Log: m.log, Helper: m.cfg.Helper}
}

// optionsOf are the options of one mount.
func (m *Manager) optionsOf(mnt *mount) fusefs.Options {
	o := m.options()
	o.Owners, o.Failed = mnt.owners, mnt.troubles.note
	if mnt.as != nil {
		o.UID, o.GID = uint32(mnt.as.UID), uint32(mnt.as.GID)
	}
	return o
}

// mountOptions say how a point is mounted.
type mountOptions struct {
	scratch bool              // what is written is thrown away
	as      *postgres.Account // owns the files; nil: the account of users' mounts
	owners  []int             // the accounts of which one must own the mount point; nil: it is the page server's own
	bindWAL bool              // see fusefs.WorkOptions.BindWAL; for a head

	libraries string // the shared_preload_libraries that the user sets for the server on the mount; "" for none
}

// mountPoint mounts a point of a tenant at dir.
func (m *Manager) mountPoint(ctx context.Context, t *tenant, at, dir string, o mountOptions) (*mount, error) {
	b, p, what, err := t.point(ctx, at)
	if err != nil {
		return nil, err
	}
	mnt := &mount{dir: dir, as: o.as, owners: o.owners, tenant: t, branch: b, lsn: p.LSN}
	var do func() (func() error, error)
	switch {
	case o.scratch:
		mnt.mode, do = api.ModeScratch, func() (func() error, error) { return m.mountScratch(ctx, mnt, o.libraries) }
	case what.Head():
		mnt.mode, do = api.ModeWritable, func() (func() error, error) { return m.mountWork(ctx, mnt, o) }
	default:
		mnt.mode, do = api.ModeReadOnly, func() (func() error, error) { return m.mountReadOnly(ctx, mnt, o.libraries) }
	}
	return mnt, m.attach(mnt, do)
}

// attach enters a mount into the list of mounts and has do make it. What do gives is called
// once when the mount is gone, by the page server's doing or not; then it leaves the list.
func (m *Manager) attach(mnt *mount, do func() (put func() error, err error)) error {
	mnt.ready = make(chan struct{})
	if err := m.reserve(mnt); err != nil {
		return err
	}
	put, err := do()
	if err != nil {
		mnt.fs = nil
		m.detach(mnt)
		close(mnt.ready)
		return mountError(mnt.dir, err)
	}
	mnt.put = func() error {
		defer m.detach(mnt)
		return put()
	}
	close(mnt.ready)
	watched := m.background(func() {
		err := mnt.fs.Wait()
		if err = errors.Join(err, mnt.gone()); err != nil {
			m.log.Error("put a mount away", "dir", mnt.dir, "err", err)
		}
	})
	if !watched { // Close waits for the mount to be ready, and takes it away
		return errShutDown()
	}
	return nil
}

// reserve enters a mount into the list of mounts. ErrBusy: its directory has one.
func (m *Manager) reserve(mnt *mount) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return errShutDown()
	}
	if other := m.mounts[mnt.dir]; other != nil {
		return api.Errorf(api.ErrBusy, "%s: already has a mount (%s)", mnt.dir, other.mode)
	}
	m.mounts[mnt.dir] = mnt
	m.limitMemoryLocked()
	return nil
}

// detach takes a mount out of the list of mounts.
func (m *Manager) detach(mnt *mount) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.mounts, mnt.dir)
	m.limitMemoryLocked()
}

// mountError gives an error of mounting or unmounting its kind; nil stays nil.
func mountError(dir string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.As(err, new(*api.Error)), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, fusefs.ErrBusy):
		return api.Errorf(api.ErrBusy, "%s: already has a mount", dir)
	case errors.Is(err, fusefs.ErrNotEmpty):
		return api.Errorf(api.ErrMountFailed, "mount point %s: is not empty", dir)
	case errors.Is(err, privileged.ErrNotOwner):
		return api.Errorf(api.ErrNotAllowed, "mount point %s: belongs to another account than the one that asks for the mount", dir)
	case errors.Is(err, fs.ErrNotExist):
		return api.Errorf(api.ErrMountFailed, "mount point %s: no such directory", dir)
	}
	if known := classify(err); errors.As(known, new(*api.Error)) {
		return known
	}
	return &api.Error{Kind: api.ErrMountFailed, Msg: err.Error()}
}

// mountReadOnly mounts a state that nobody can change.
func (m *Manager) mountReadOnly(ctx context.Context, mnt *mount, libraries string) (put func() error, err error) {
	release, err := mnt.branch.pin(mnt.lsn)
	if err != nil {
		return nil, err
	}
	mnt.view, err = mnt.branch.readable(ctx, mnt.lsn, libraries)
	if err == nil {
		mnt.fs, err = m.mounter.readOnly(mnt.dir, mnt.view, m.optionsOf(mnt))
	}
	if err != nil {
		release()
		return nil, err
	}
	return func() error { release(); return nil }, nil
}

// mountScratch mounts a state that can be written; what is written is thrown away.
func (m *Manager) mountScratch(ctx context.Context, mnt *mount, libraries string) (put func() error, err error) {
	release, err := mnt.branch.pin(mnt.lsn)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			release()
		}
	}()
	if mnt.view, err = mnt.branch.readable(ctx, mnt.lsn, libraries); err != nil {
		return nil, err
	}
	private, err := mnt.tenant.privateDir()
	if err != nil {
		return nil, err
	}
	work := fusefs.WorkOptions{Dir: private, NoWriteback: m.cfg.NoWriteback}
	if mnt.fs, err = m.mounter.scratch(mnt.dir, mnt.view, work, m.optionsOf(mnt)); err != nil {
		return nil, errors.Join(err, os.RemoveAll(private))
	}
	return func() error {
		release()
		return os.RemoveAll(private)
	}, nil
}

// mountWork mounts the head of a branch for its one writer. The branch's own WAL goes on
// from a shutdown checkpoint: if none is at the head, one is written first.
func (m *Manager) mountWork(ctx context.Context, mnt *mount, o mountOptions) (put func() error, err error) {
	b := mnt.branch
	if err := b.acquire(mnt.dir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			b.release()
		}
	}()
	head, err := b.catchup(ctx)
	if err != nil {
		return nil, err
	}
	if err := b.remake(ctx, head, o.libraries); err != nil {
		return nil, err
	}
	if _, err := datadir.PrepareHead(ctx, b.tl); err != nil {
		return nil, err
	}
	if mnt.lsn, err = b.catchup(ctx); err != nil {
		return nil, err
	}
	release, err := b.pin(mnt.lsn)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, holdNeeded(b.tl))
			release()
		}
	}()
	snap, err := b.tl.AtHead(ctx)
	if err != nil {
		return nil, err
	}
	if mnt.view, err = compose(ctx, snap); err != nil {
		return nil, err
	}
	follow, stop := context.WithCancel(m.ctx)
	work := fusefs.WorkOptions{Dir: b.tl.WorkDir(), BindWAL: o.bindWAL, NoWriteback: m.cfg.NoWriteback}
	if mnt.fs, err = m.mounter.work(mnt.dir, mnt.view, writable{b.tl, b}, work, m.optionsOf(mnt)); err != nil {
		stop()
		return nil, err
	}
	b.sendBy(mnt.fs.SendWAL)
	var following sync.WaitGroup
	following.Go(func() { b.follow(follow) })
	return func() error {
		b.sendBy(nil)
		stop()
		following.Wait()
		_, err := b.catchup(context.WithoutCancel(m.ctx))
		err = errors.Join(err, holdNeeded(b.tl))
		release()
		b.release()
		return err
	}, nil
}

// writable is a branch as its writable mount reaches it, a fusefs.Branch: the timeline keeps
// WAL and configuration, the branch follows the WAL.
type writable struct {
	*repo.Timeline
	b *branch
}

// SegmentSynced wakes the branch's follower.
func (w writable) SegmentSynced(segment string, end int64) {
	if _, start, ok := xlog.ParseSegmentName(segment, w.Info().SegSize); ok {
		w.b.walSynced(start + pg.LSN(end))
	}
}

// Throttle waits while ingest is too far behind, but no longer than a second.
func (w writable) Throttle(ctx context.Context) { w.b.holdBack(ctx) }

// unmount takes a mount away and waits until everything is put away.
func (m *Manager) unmount(ctx context.Context, mnt *mount, lazy bool) error {
	if lazy {
		return mountError(mnt.dir, mnt.fs.UnmountLazy())
	}
	if err := mnt.fs.Unmount(); err != nil {
		if errors.Is(err, fusefs.ErrBusy) {
			return &api.Error{Kind: api.ErrBusy, Msg: strings.TrimPrefix(err.Error(), "unmount ")}
		}
		return mountError(mnt.dir, err)
	}
	return errors.Join(mnt.gone(), ctx.Err())
}

// umountAll takes all mounts away, also those that are just being made, and those that are in use:
// nobody would serve them any more.
func (m *Manager) umountAll(ctx context.Context) error {
	m.mu.Lock()
	list := slices.Collect(maps.Values(m.mounts))
	m.mu.Unlock()
	var err error
	for _, mnt := range list {
		<-mnt.ready
		if mnt.fs == nil {
			continue
		}
		if uerr := m.unmount(ctx, mnt, false); uerr != nil {
			err = errors.Join(err, fmt.Errorf("%w; unmounted nevertheless", uerr), mountError(mnt.dir, mnt.fs.End()))
		}
	}
	return err
}

// describe describes a mount that is ready.
func (m *mount) describe() api.Mount {
	d := api.Mount{Dir: m.dir, Mode: m.mode}
	d.Errors, d.LastError = m.troubles.read()
	if m.tenant != nil {
		d.Tenant, d.Branch, d.Timeline, d.LSN = m.tenant.id.String(), m.branch.tl.Name(), m.branch.tl.ID().String(), new(m.lsn)
	}
	return d
}
