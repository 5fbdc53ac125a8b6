package tenants

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"

	"zenith/fusefs"
	"zenith/internal/api"
	"zenith/internal/pg"
	"zenith/internal/xlog"
	"zenith/repo"
	"zenith/repo/datadir"
)

// mount is a mount that is there.
type mount struct {
	dir, mode string
	tenant    *tenant // this and what follows: nil or 0 for the whole tree
	branch    *branch
	lsn       pg.LSN // what it shows; where a writable one began

	fs   *fusefs.Mount
	once sync.Once
	put  func() error // what is to be done once, when it is gone
	err  error
}

// gone does what is to be done when the mount is gone, whoever took it away.
func (m *mount) gone() error {
	m.once.Do(func() {
		if m.put != nil {
			m.err = m.put()
		}
	})
	return m.err
}

// options are what all our mounts have in common.
func (m *Manager) options() fusefs.Options {
	return fusefs.Options{UID: uint32(m.as.UID), GID: uint32(m.as.GID), Log: m.log}
}

// mountOptions say how a point is mounted.
type mountOptions struct {
	scratch bool // what is written is thrown away
	bindWAL bool // see fusefs.WorkOptions.BindWAL; for a head
}

// mountPoint mounts a point of a tenant at dir.
func (m *Manager) mountPoint(ctx context.Context, t *tenant, at, dir string, o mountOptions) (*mount, error) {
	b, p, what, err := t.point(ctx, at)
	if err != nil {
		return nil, err
	}
	mnt := &mount{dir: dir, tenant: t, branch: b, lsn: p.LSN}
	switch {
	case o.scratch:
		mnt.mode = api.ModeScratch
		return mnt, m.attach(mnt, func() error { return m.mountScratch(ctx, mnt) })
	case what.Head():
		mnt.mode = api.ModeWritable
		return mnt, m.attach(mnt, func() error { return m.mountWork(ctx, mnt, o.bindWAL) })
	default:
		mnt.mode = api.ModeReadOnly
		return mnt, m.attach(mnt, func() error { return m.mountReadOnly(ctx, mnt) })
	}
}

// attach enters a mount into the list of mounts and does the mounting. When the mount
// goes, by our doing or not, it is taken out again.
func (m *Manager) attach(mnt *mount, do func() error) error {
	m.mu.Lock()
	other, taken := m.mounts[mnt.dir]
	if !taken {
		m.mounts[mnt.dir] = mnt
	}
	m.mu.Unlock()
	if taken {
		return api.Errorf(api.ErrBusy, "%s: already has a mount (%s)", mnt.dir, other.describe().Mode)
	}
	detach := func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.mounts, mnt.dir)
	}
	if err := do(); err != nil {
		detach()
		return mountError(mnt.dir, err)
	}
	put := mnt.put
	mnt.put = func() error {
		defer detach()
		if put != nil {
			return put()
		}
		return nil
	}
	m.wg.Go(func() {
		err := mnt.fs.Wait()
		if err = errors.Join(err, mnt.gone()); err != nil {
			m.log.Error("put a mount away", "dir", mnt.dir, "err", err)
		}
	})
	return nil
}

// mountError gives an error of mounting its kind.
func mountError(dir string, err error) error {
	switch {
	case errors.As(err, new(*api.Error)):
		return err
	case errors.Is(err, fusefs.ErrBusy):
		return api.Errorf(api.ErrBusy, "%s: already has a mount", dir)
	case errors.Is(err, fusefs.ErrNotEmpty):
		return api.Errorf(api.ErrMountFailed, "mount point %s: is not empty", dir)
	case errors.Is(err, fs.ErrNotExist):
		return api.Errorf(api.ErrMountFailed, "mount point %s: no such directory", dir)
	}
	if known := classify(err); errors.As(known, new(*api.Error)) {
		return known
	}
	return &api.Error{Kind: api.ErrMountFailed, Msg: err.Error()}
}

func (m *Manager) mountReadOnly(ctx context.Context, mnt *mount) error {
	release, err := mnt.branch.pin(mnt.lsn)
	if err != nil {
		return err
	}
	view, err := mnt.branch.view(ctx, mnt.lsn)
	if err == nil {
		mnt.fs, err = fusefs.ReadOnly(mnt.dir, view, m.options())
	}
	if err != nil {
		release()
		return err
	}
	mnt.put = func() error { release(); return nil }
	return nil
}

// mountScratch mounts a state that can be written; what is written is thrown away.
func (m *Manager) mountScratch(ctx context.Context, mnt *mount) (err error) {
	release, err := mnt.branch.pin(mnt.lsn)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			release()
		}
	}()
	view, err := mnt.branch.view(ctx, mnt.lsn)
	if err != nil {
		return err
	}
	private, err := mnt.tenant.privateDir()
	if err != nil {
		return err
	}
	work := fusefs.WorkOptions{Dir: private, NoWriteback: m.cfg.NoWriteback}
	if mnt.fs, err = fusefs.Scratch(mnt.dir, view, work, m.options()); err != nil {
		return errors.Join(err, os.RemoveAll(private))
	}
	mnt.put = func() error {
		release()
		return os.RemoveAll(private)
	}
	return nil
}

// mountWork mounts the head of a branch for its one writer. The branch's own WAL goes on
// from a shutdown checkpoint: if none is at the head, one is written first.
func (m *Manager) mountWork(ctx context.Context, mnt *mount, bindWAL bool) (err error) {
	b := mnt.branch
	if err := b.acquire(mnt.dir); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			b.release()
		}
	}()
	if _, err := b.catchup(ctx); err != nil {
		return err
	}
	if _, err := datadir.PrepareHead(ctx, b.tl); err != nil {
		return err
	}
	if mnt.lsn, err = b.catchup(ctx); err != nil {
		return err
	}
	release, err := b.pin(mnt.lsn)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			b.tl.HoldWAL(nil)
			release()
		}
	}()
	snap, err := b.tl.AtHead(ctx)
	if err != nil {
		return err
	}
	view, err := compose(ctx, snap)
	if err != nil {
		return err
	}
	follow, stop := context.WithCancel(m.ctx)
	work := fusefs.WorkOptions{Dir: b.tl.WorkDir(), BindWAL: bindWAL, NoWriteback: m.cfg.NoWriteback}
	if mnt.fs, err = fusefs.Work(mnt.dir, view, writable{b.tl, b}, work, m.options()); err != nil {
		stop()
		return err
	}
	b.sendBy(mnt.fs.SendWAL)
	var following sync.WaitGroup
	following.Go(func() { b.follow(follow) })
	mnt.put = func() error {
		b.sendBy(nil)
		stop()
		following.Wait()
		_, err := b.catchup(context.WithoutCancel(m.ctx))
		b.tl.HoldWAL(nil)
		release()
		b.release()
		return err
	}
	return nil
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

// umountAll takes all mounts away; what is in use goes when its last user is gone, which
// the process does not wait for.
func (m *Manager) umountAll(ctx context.Context) error {
	m.mu.Lock()
	var list []*mount
	for _, mnt := range m.mounts {
		list = append(list, mnt)
	}
	m.mu.Unlock()
	var err error
	for _, mnt := range list {
		if mnt.fs == nil {
			continue
		}
		if uerr := m.unmount(ctx, mnt, false); uerr != nil {
			err = errors.Join(err, fmt.Errorf("%w; unmounted nevertheless", uerr), m.unmount(ctx, mnt, true))
		}
	}
	return err
}

// describe says what the mount is.
func (m *mount) describe() api.Mount {
	d := api.Mount{Dir: m.dir, Mode: m.mode}
	if m.tenant != nil {
		d.Tenant, d.Branch, d.Timeline, d.LSN = m.tenant.id.String(), m.branch.tl.Name(), m.branch.tl.ID().String(), new(m.lsn)
	}
	return d
}
