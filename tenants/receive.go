package tenants

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"zenith/internal/api"
	"zenith/internal/durable"
	"zenith/internal/pg"
	"zenith/internal/sidefile"
	"zenith/repo"
	"zenith/repo/receiver"
)

// receiving is a receiver that runs. It holds its branch as the one writer does.
type receiving struct {
	b      *branch
	r      *receiver.Receiver
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// receiverFile is what is kept of a receiver, so that the next page server starts it
// again: <tenant>/receivers/<timeline>, which only its owner may read.
type receiverFile struct {
	ConnInfo string `json:"conninfo"`
	// Stranger says that somebody else than the page server's owner named the server: see serverRules.
	Stranger bool `json:"stranger,omitempty"`
}

// receiverKind is a receiver's file.
var receiverKind = sidefile.Kind[receiverFile]{
	Lost: "a receiver: the branch does not follow its server", Perm: 0o600, Format: sidefile.JSON, Check: (*receiverFile).check,
}

func (f *receiverFile) check() error {
	if f.ConnInfo == "" { // libpq would connect to the server of this machine
		return errors.New("it names no server")
	}
	return nil
}

func receiversDir(tenantDir string) string { return filepath.Join(tenantDir, "receivers") }

// ReceiveStart follows a running server into a branch, from now on and whenever the page
// server runs. A server that cannot be followed is refused at once.
func (m *Manager) ReceiveStart(ctx context.Context, tenant, name, conninfo string) error {
	b, release, err := m.lookup(ctx, tenant, name)
	if err != nil {
		return err
	}
	defer release()
	kept := receiverFile{ConnInfo: conninfo, Stranger: !api.CallerOf(ctx).Owner}
	server, err := m.parseServer(kept)
	if err != nil {
		return err
	}
	if err := b.acquire(receiverOf(server)); err != nil {
		return err
	}
	if _, err = b.catchup(ctx); err == nil {
		err = b.checkServer(ctx, server)
	}
	if err == nil {
		err = b.t.keepReceiver(b.tl.ID(), kept)
	}
	if err != nil {
		b.release()
		return err
	}
	b.t.startReceiver(b, server)
	return nil
}

// ReceiveSet has a branch's receiver follow its server at another address. The old one goes on if that
// cannot be followed.
func (m *Manager) ReceiveSet(ctx context.Context, tenant, name, conninfo string) error {
	b, release, err := m.lookup(ctx, tenant, name)
	if err != nil {
		return err
	}
	defer release()
	t := b.t
	kept := receiverFile{ConnInfo: conninfo, Stranger: !api.CallerOf(ctx).Owner}
	server, err := m.parseServer(kept)
	if err != nil {
		return err
	}
	if !t.hasReceiver(b.tl.ID()) {
		return noReceiver(name)
	}
	if err := b.checkServer(ctx, server); err != nil {
		return err
	}
	rc, had := t.takeReceiver(b.tl.ID())
	if !had {
		return noReceiver(name) // somebody ended it meanwhile
	}
	if rc != nil {
		rc.stop()
	}
	if err = t.keepReceiver(b.tl.ID(), kept); err == nil {
		err = b.acquire(receiverOf(server))
	}
	if err != nil {
		t.mu.Lock()
		t.unstarted[b.tl.ID()] = err
		t.mu.Unlock()
		return err
	}
	t.startReceiver(b, server)
	return nil
}

func noReceiver(branch string) error {
	return api.Errorf(api.ErrNotFound, "branch %s: has no receiver", branch)
}

// hasReceiver reports whether a branch has a receiver, be it one that could not be started.
func (t *tenant) hasReceiver(id repo.TimelineID) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.receivers[id] != nil || t.unstarted[id] != nil
}

// takeReceiver takes a branch's receiver out of the tenant's lists; rc is nil for one that could not be started.
func (t *tenant) takeReceiver(id repo.TimelineID) (rc *receiving, had bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	rc, failed := t.receivers[id], t.unstarted[id]
	delete(t.receivers, id)
	delete(t.unstarted, id)
	return rc, rc != nil || failed != nil
}

// receiverOf names the receiver of a server as the writer of a branch, for error messages.
func receiverOf(s *receiver.Server) string { return "a WAL receiver (" + s.String() + ")" }

// receiverKinds pairs the receiver's errors with the kinds that a client can tell apart.
var receiverKinds = []struct{ is, kind error }{
	{receiver.ErrVersion, api.ErrUnsupported},
	{receiver.ErrForeign, api.ErrNotAllowed},
	{receiver.ErrTimeline, api.ErrNotAllowed},
	{receiver.ErrDiverged, api.ErrNotAllowed},
	{receiver.ErrRemoved, api.ErrOutOfRange},
}

func receiverError(b *branch, err error) error {
	if err == nil {
		return nil
	}
	for _, k := range receiverKinds {
		if errors.Is(err, k.is) {
			return api.Errorf(k.kind, "branch %s: %v", b.tl.Name(), err)
		}
	}
	return classify(fmt.Errorf("branch %s: %w", b.tl.Name(), err))
}

// receiverPath is the file of the receiver of a branch.
func (t *tenant) receiverPath(id repo.TimelineID) string {
	return filepath.Join(receiversDir(t.dir), id.String())
}

// keepReceiver has the next page server start a receiver.
func (t *tenant) keepReceiver(id repo.TimelineID, kept receiverFile) error {
	return writeSide(receiverKind, t.receiverPath(id), kept, t.log)
}

// startReceiver runs a receiver into a branch that is taken for it. While the page server shuts
// down it does not: the next one does.
func (t *tenant) startReceiver(b *branch, server *receiver.Server) {
	ctx, cancel := context.WithCancel(t.m.ctx)
	r := receiver.New(server, b.tl, receiver.Options{
		Catchup: b.catchup, Synced: b.walSynced, Throttle: b.holdBack, Log: t.log.With("branch", b.tl.Name()),
	})
	rc := &receiving{b: b, r: r, cancel: cancel}
	b.followedBy(r)
	rc.wg.Go(func() { b.follow(ctx) })
	rc.wg.Go(func() { r.Run(ctx) })
	if !t.m.background(rc.wg.Wait) {
		rc.stop()
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.receivers[b.tl.ID()] = rc
	delete(t.unstarted, b.tl.ID())
}

// stop ends the receiver, waits until it has ended, and gives its branch back.
func (rc *receiving) stop() {
	rc.cancel()
	rc.wg.Wait()
	rc.b.followedBy(nil)
	rc.b.release()
}

// loadReceivers starts the receivers that are kept. One that cannot be started is logged, and
// listed as failed: the tenant's branches can be used without.
func (t *tenant) loadReceivers() {
	for _, e := range sideFilesIn(receiversDir(t.dir), "all receivers", t.log) {
		id, err := repo.ParseTimelineID(e.Name())
		if err != nil {
			continue // what a killed process left, or a damaged file that was moved aside
		}
		err = t.loadReceiver(id)
		if err == nil {
			continue
		}
		if warnDamage(t.log, err); !errors.As(err, new(*sidefile.Damage)) {
			t.log.Error("start receiver", "timeline", id, "err", err)
		}
		t.mu.Lock()
		t.unstarted[id] = err
		t.mu.Unlock()
	}
}

func (t *tenant) loadReceiver(id repo.TimelineID) error {
	kept, err := receiverKind.Read(t.receiverPath(id))
	if err != nil {
		return err
	}
	server, err := t.m.parseServer(kept)
	if err != nil {
		return err
	}
	b, err := t.lookup(id.String())
	if err != nil {
		return err
	}
	b.followedBy(notHeardOf{})
	if err := b.acquire(receiverOf(server)); err != nil {
		return err
	}
	t.startReceiver(b, server)
	return nil
}

// ReceiveStop ends a branch's receiver for good. A replication slot stays on the server.
func (m *Manager) ReceiveStop(ctx context.Context, tenant, name string) error {
	b, release, err := m.lookup(ctx, tenant, name)
	if err != nil {
		return err
	}
	defer release()
	rc, had := b.t.takeReceiver(b.tl.ID())
	if !had {
		return noReceiver(name)
	}
	err = b.t.forgetReceiver(b.tl.ID())
	b.followedBy(nil)
	if rc == nil {
		return err
	}
	rc.cancel()
	rc.wg.Wait()
	_, cerr := b.catchup(context.WithoutCancel(ctx))
	b.release()
	return errors.Join(err, cerr)
}

// forgetReceiver has the next page server not start a receiver. A damaged file is moved aside.
func (t *tenant) forgetReceiver(id repo.TimelineID) error {
	path := t.receiverPath(id)
	if _, err := receiverKind.Read(path); errors.As(err, new(*sidefile.Damage)) {
		_, err = durable.MoveAside(path)
		return err
	}
	if err := os.Remove(path); err != nil {
		return err
	}
	return durable.SyncDir(receiversDir(t.dir))
}

// ReceiveList gives a tenant's receivers, sorted by branch.
func (m *Manager) ReceiveList(ctx context.Context, tenant string) ([]api.Receiver, error) {
	t, release, err := m.tenant(ctx, tenant)
	if err != nil {
		return nil, err
	}
	defer release()
	return t.listReceivers(), nil
}

func (t *tenant) listReceivers() []api.Receiver {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := []api.Receiver{}
	for _, rc := range t.receivers {
		list = append(list, rc.describe())
	}
	for id, err := range t.unstarted {
		d := api.Receiver{Branch: id.String(), Status: receiver.Failed, LastError: oneLine(err)}
		if tl, err := t.repo.Timeline(id); err == nil {
			d.Branch = tl.Name()
		}
		list = append(list, d)
	}
	slices.SortFunc(list, func(a, b api.Receiver) int { return strings.Compare(a.Branch, b.Branch) })
	return list
}

func (rc *receiving) describe() api.Receiver {
	s := rc.r.Status()
	d := api.Receiver{
		Branch: rc.b.tl.Name(), ConnInfo: rc.r.Server().String(), Status: s.State,
		Received: s.Received, Flushed: s.Flushed, Applied: s.Applied, Since: &s.Since,
	}
	if s.Server != 0 {
		d.LagBytes, d.LagSeconds = new(lag(s.Server, s.Applied)), new(s.Age(time.Now()))
	}
	if s.Err != nil {
		d.LastError = oneLine(s.Err)
	}
	return d
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

func lag(server, applied pg.LSN) int64 {
	if server <= applied {
		return 0
	}
	return int64(server - applied)
}

// Resume opens the tenants that have receivers, so that these go on, and brings back what else is to come back: see
// Autostart. The page server calls it when it starts; it returns at once.
func (m *Manager) Resume() {
	m.background(func() {
		ids, err := m.TenantList(m.ctx)
		if err != nil {
			m.log.Error("resume receivers", "err", err)
		}
		for _, id := range ids {
			kept, err := os.ReadDir(receiversDir(filepath.Join(m.tenantsDir(), id)))
			if err != nil || len(kept) == 0 || m.ctx.Err() != nil {
				continue // none
			}
			if _, release, err := m.tenant(m.ctx, id); err != nil {
				m.log.Error("resume receivers", "tenant", id, "err", err)
			} else {
				release() // its receivers keep it open
			}
		}
		m.autostart(ids)
	})
}
