package tenants

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"zenith/internal/api"
	"zenith/internal/pg"
	"zenith/internal/postgres"
	"zenith/internal/xlog"
	"zenith/repo"
	"zenith/walredo"
)

// tenant is an open tenant: its repository, and for each of its timelines the branch
// that follows its WAL.
type tenant struct {
	m    *Manager
	id   repo.TenantID
	dir  string
	repo *repo.Repository
	log  *slog.Logger
	as   postgres.Account // its servers'

	hints    atomic.Bool   // the value that logsHints gives
	remaking chan struct{} // capacity 1: full while pages of a point are made, see remake

	upgrading chan struct{} // capacity 1: full while a BranchUpgrade runs

	sizes sizes

	users int       // how many hold it: callers of Manager.tenant that have not called release; guarded by m.mu
	used  time.Time // when the last of them released it; guarded by m.mu

	mu        sync.Mutex
	branches  map[repo.TimelineID]*branch
	computes  map[string]*compute
	receivers map[repo.TimelineID]*receiving
	unstarted map[repo.TimelineID]error  // why a receiver that is kept does not run
	waits     map[repo.TimelineID]string // why a branch that has expired is still there

	soonest    expiryNote
	succeeding chan struct{} // capacity 1: full while a timeline takes the place of another
}

// openTenant opens a tenant's repository and brings every timeline up to the end of
// its WAL: what was in memory when the last process ended is read again.
func (m *Manager) openTenant(ctx context.Context, id repo.TenantID) (*tenant, error) {
	t, err := m.newTenant(id, m.tenantDir(id))
	if err != nil {
		return nil, err
	}
	for _, tl := range t.repo.Timelines() {
		b, err := t.branch(tl)
		if err == nil {
			_, err = b.catchup(ctx)
		}
		if err != nil {
			// The tenant's other branches can be used. Each use of this one fails with the error.
			t.log.Error("ingest WAL", "branch", tl.Name(), "err", err)
		}
	}
	t.loadComputes()
	t.loadReceivers()
	return t, nil
}

// close ends what runs in the background for the tenant, and closes its repository.
func (t *tenant) close() error {
	t.mu.Lock()
	running := slices.Collect(maps.Values(t.receivers))
	clear(t.receivers)
	t.mu.Unlock()
	for _, rc := range running {
		rc.stop()
	}
	return t.repo.Close()
}

// newTenant opens the repository in dir.
func (m *Manager) newTenant(id repo.TenantID, dir string) (*tenant, error) {
	t := &tenant{
		m: m, id: id, dir: dir, log: m.log.With("tenant", id.String()),
		branches: map[repo.TimelineID]*branch{}, computes: map[string]*compute{}, receivers: map[repo.TimelineID]*receiving{},
		unstarted: map[repo.TimelineID]error{}, waits: map[repo.TimelineID]string{}, remaking: make(chan struct{}, 1), upgrading: make(chan struct{}, 1), succeeding: make(chan struct{}, 1),
	}
	var err error
	if t.as, err = m.accountOf(id, dir); err == nil {
		err = t.enclose()
	}
	if err != nil {
		return nil, err
	}
	r, err := repo.Open(repo.Options{Dir: dir, Log: t.log, Memory: m.memory, Meters: &m.meters.repo, Redo: redoFunc(&t.hints)})
	if err != nil {
		return nil, err
	}
	t.repo = r
	t.hints.Store(t.logsHints())
	t.holdNeeded()
	return t, nil
}

// holdNeeded takes over the WAL that killed servers left behind on all branches, and keeps what
// their slots and archiving need: a collection does not ask whether a branch was used since. Where
// that cannot be found out all WAL is kept, and the branch says why when it is used.
func (t *tenant) holdNeeded() {
	for _, tl := range t.repo.Timelines() {
		if err := t.takeWAL(tl); err != nil {
			t.log.Warn("wal of a branch is kept whole", "branch", tl.Name(), "err", err)
			tl.HoldWAL(func(string) bool { return true })
		}
	}
}

// redoFunc is walredo.Redo for a cluster that logs hint bits or does not. The value is read at each call: it
// is known only after the repository is open, which needs the function.
func redoFunc(logHints *atomic.Bool) repo.RedoFunc {
	return func(page pg.Page, tag pg.BufferTag, rec *xlog.Record) error {
		err := walredo.Cluster{LogHints: logHints.Load()}.Redo(page, tag, rec)
		switch {
		case errors.Is(err, walredo.ErrUnsupported):
			return fmt.Errorf("%w: %w", repo.ErrUnsupported, err)
		case err != nil:
			return fmt.Errorf("%w: %w", repo.ErrCorrupt, err)
		}
		return nil
	}
}

// logsHints reports whether the tenant's cluster has data checksums or wal_log_hints:
// a property of the cluster, the same on all its branches.
func (t *tenant) logsHints() bool {
	for _, tl := range t.repo.Timelines() {
		p, err := tl.Resolve(t.m.ctx, tl.FirstLSN())
		if err == nil {
			return p.State.ChecksumVersion != 0 || p.State.Settings.WALLogHints
		}
	}
	return true
}

// lookup finds a branch by its name, or else by its timeline's id: ErrNotFound.
func (t *tenant) lookup(name string) (*branch, error) {
	tl, err := t.repo.ByName(name)
	if errors.Is(err, repo.ErrNotFound) {
		if id, perr := repo.ParseTimelineID(name); perr == nil {
			tl, err = t.repo.Timeline(id)
		}
	}
	if errors.Is(err, repo.ErrNotFound) {
		return nil, api.Errorf(api.ErrNotFound, "branch %s: no such branch", name)
	}
	if err != nil {
		return nil, classify(err)
	}
	return t.branch(tl)
}

// branch gives the tenant's branch for a timeline, making it on first use.
func (t *tenant) branch(tl *repo.Timeline) (*branch, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if b, ok := t.branches[tl.ID()]; ok && b.tl == tl {
		return b, nil
	}
	// A caller may have found tl before it was deleted. Its id may be that of another one by now, which was brought back.
	if now, err := t.repo.Timeline(tl.ID()); err != nil || now != tl {
		return nil, api.Errorf(api.ErrNotFound, "branch %s: was deleted", tl.Name())
	}
	b, err := newBranch(t, tl)
	if err != nil {
		return nil, classify(err)
	}
	t.branches[tl.ID()] = b
	return b, nil
}

// privateDir makes an empty directory for the private files of one mount. What is left in it after a
// crash the next page server removes.
func (t *tenant) privateDir() (string, error) {
	parent := filepath.Join(t.dir, "mounts")
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return "", err
	}
	return os.MkdirTemp(parent, "")
}
