package tenants

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/singleflight"

	"zenith/internal/api"
	"zenith/internal/postgres"
	"zenith/internal/privileged"
	"zenith/repo"
)

// Config says how a Manager works. It is read once and never changed.
type Config struct {
	Dir           string // the work directory, absolute
	DefaultTenant string // the tenant that an empty id means; "": an empty id is an error
	PgDistribs    postgres.DistribSettings
	PgUser        string        // the account that all postgres servers run as where root runs the page server; "": see Accounts
	NoChecksums   bool          // the clusters of new tenants have no data checksums
	MaxLag        int64         // bytes of WAL by which ingest may lag before an fsync of WAL waits for it; default 256 MiB
	IdleTime      time.Duration // how long a tenant that nobody uses stays open; default 15 s
	MemoryTarget  int64         // bytes in use, besides what stores and mounts reserve, above which Go's garbage collector works harder; 0: it is left as it is
	NoWriteback   bool          // the kernel passes each write to the mount at once, and keeps none in its cache for a while
	Log           *slog.Logger

	// Helper does what takes root; default: this process does.
	Helper privileged.Helper

	// Accounts are those of the tenants' servers where root runs the page server and PgUser is "".
	Accounts postgres.AccountRange

	Egress Egress // where to connect on behalf of others than the owner

	// Dial connects to the page server at a conninfo, for Push; nil: this one cannot push. allow decides on
	// each address to which the host is resolved; nil: all are allowed.
	Dial func(ctx context.Context, conninfo string, allow func(host string, addr netip.Addr) bool) (Peer, error)

	// ReviveAfter says how long to wait before each new start of a postgres that has crashed; when it is used
	// up, the postgres stays crashed. Default: DefaultReviveAfter.
	ReviveAfter []time.Duration
	// RestartTime is how long a postgres that somebody else has stopped may take to come back, as with pg_ctl
	// restart. Its mount stays until then. Default 10 s.
	RestartTime time.Duration

	Wake      WakeLimits // of the servers that Wake starts
	Gateway   string     // HOST:PORT of the gateway, for Status; "": there is none
	Autostart Autostart  // what was up comes back with Resume

	Retention       Retention            // of history; default DefaultRetention
	TenantRetention map[string]Retention // of single tenants
	CollectEvery    time.Duration        // how often the background looks for history to forget; default an hour
	SweepEvery      time.Duration        // how often the background looks for branches that have expired; default 5 s
}

const defaultMaxLag = 256 << 20

// Manager owns the tenants of a work directory, and everything that runs for them. Its methods are the
// commands of api.Service, and are safe for concurrent use.
type Manager struct {
	cfg    Config
	log    *slog.Logger
	as     postgres.Account // owns the files of users' mounts, and runs initdb; every server, if not apart
	apart  bool             // each tenant's servers run as an account of their own
	pg     *postgres.Distribs
	memory *repo.Memory

	memoryBound int64 // how far the limit of the heap may follow the number of mounts, in bytes

	meters meters
	began  time.Time

	mounter mounter
	clients func(context.Context, *compute) (int, error) // counts who is connected to a postgres that runs
	retain  atomic.Pointer[retentions]
	egress  atomic.Pointer[Egress]

	ctx    context.Context // ends at Close; of work that outlives the request that began it
	cancel context.CancelFunc
	wg     sync.WaitGroup // goroutines that background started

	mu      sync.Mutex
	closed  bool
	freed   chan struct{} // capacity 1: a tenant was released since the last look
	tenants map[repo.TenantID]*tenant
	closing map[repo.TenantID]chan struct{} // of idle tenants that are being closed; the channel is closed at the end of that
	mounts  map[string]*mount               // by directory

	memoryLimit int64 // of the heap, as it was set last; 0: not yet

	keeping sync.Mutex // held while the list of users' mounts changes

	accounts sync.Mutex // held while a tenant gets its account

	wakes *wakes

	opening singleflight.Group
	execs   sync.Map // *compute -> true: the throw-away computes, which are in no tenant's list
}

// Open makes a Manager for a work directory that init has made. Tenants are opened
// when they are first used.
func Open(cfg Config) (*Manager, error) {
	if cfg.Helper == nil {
		cfg.Helper = &privileged.InProcess{}
	}
	return open(cfg, fuse{cfg.Helper})
}

func open(cfg Config, mounts mounter) (*Manager, error) {
	if cfg.Helper == nil { // tests call it with mounts of their own
		cfg.Helper = &privileged.InProcess{}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	cfg.MaxLag = cmp.Or(cfg.MaxLag, defaultMaxLag)
	cfg.IdleTime = cmp.Or(cfg.IdleTime, defaultIdleTime)
	if cfg.ReviveAfter == nil {
		cfg.ReviveAfter = DefaultReviveAfter
	}
	cfg.RestartTime = cmp.Or(cfg.RestartTime, defaultRestartTime)
	cfg.CollectEvery = cmp.Or(cfg.CollectEvery, defaultCollectEvery)
	cfg.SweepEvery = cmp.Or(cfg.SweepEvery, defaultSweepEvery)
	as, err := postgres.LookupAccount(cfg.Helper, cfg.PgUser)
	if err != nil {
		return nil, err
	}
	if err := cfg.Accounts.Check(); err != nil {
		return nil, err
	}
	m := &Manager{
		cfg: cfg, log: cfg.Log, as: as, apart: cfg.PgUser == "" && cfg.Accounts.Usable(cfg.Helper), pg: postgres.NewDistribs(cfg.PgDistribs), memory: repo.NewMemory(0), memoryBound: memoryBound(), began: time.Now(), mounter: mounts,
		tenants: map[repo.TenantID]*tenant{}, closing: map[repo.TenantID]chan struct{}{}, mounts: map[string]*mount{},
		freed: make(chan struct{}, 1), wakes: newWakes(cfg.Wake), clients: countClients,
	}
	if cfg.Helper.Root() && cfg.PgUser == "" && !m.apart {
		m.log.Warn("the user ids for tenants do not exist in this user namespace: all postgres servers run as one account", "account", as.Name)
	}
	m.SetRetention(cfg.Retention, cfg.TenantRetention)
	m.SetEgress(cfg.Egress)
	if err := os.MkdirAll(m.tenantsDir(), 0o711); err != nil {
		return nil, err
	}
	if err := m.clean(); err != nil {
		return nil, err
	}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	m.background(m.runIdle)
	m.background(m.runCollector)
	m.background(m.runSleep)
	m.background(m.runSweeper)
	return m, nil
}

// background runs fn in a goroutine for which Close waits, and reports whether it does: when
// the Manager is being closed, it does not.
func (m *Manager) background(fn func()) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed {
		m.wg.Go(fn)
	}
	return !m.closed
}

// every calls do at each tick of an interval, until the Manager closes.
func (m *Manager) every(interval time.Duration, do func(now time.Time)) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-m.ctx.Done():
			return
		case now := <-tick.C:
			do(now)
		}
	}
}

// eachTenant calls do with the id of each tenant that there is, until the Manager closes.
func (m *Manager) eachTenant(do func(id string)) {
	ids, err := m.TenantList(m.ctx)
	if err != nil {
		m.log.Error("list tenants", "err", err)
	}
	for _, id := range ids {
		if m.ctx.Err() != nil {
			return
		}
		do(id)
	}
}

func (m *Manager) tenantsDir() string { return filepath.Join(m.cfg.Dir, "tenants") }

func (m *Manager) tenantDir(id repo.TenantID) string {
	return filepath.Join(m.tenantsDir(), id.String())
}

// unfinished ends the name of a tenant's directory while the tenant is being made: only a whole one has
// the tenant's id for a name.
const unfinished = ".creating"

// clean removes what a killed page server or init left behind: tenants that are not whole, servers that
// still run, mounts that nobody serves any more, and the private files of mounts.
func (m *Manager) clean() error {
	entries, err := os.ReadDir(m.tenantsDir())
	if err != nil {
		return err
	}
	for _, e := range entries {
		dir := filepath.Join(m.tenantsDir(), e.Name())
		if strings.HasSuffix(e.Name(), unfinished) {
			m.removeUnfinished(dir)
			continue
		}
		err = errors.Join(err, m.cleanComputes(filepath.Join(dir, "pg")), os.RemoveAll(filepath.Join(dir, "mounts")))
	}
	return err
}

// orphansEnd bounds how long a start waits for the programs of a page server that was killed.
const orphansEnd = 30 * time.Second

// removeUnfinished removes what a killed page server left of a tenant that it was making. An initdb or a
// pg_upgrade that it had started may still be writing there for a moment: a directory that gets new files
// while it is being removed is tried again. What cannot be removed is told and left for the next start:
// no tenant is known by such a name.
func (m *Manager) removeUnfinished(dir string) {
	err := os.RemoveAll(dir)
	for end := time.Now().Add(orphansEnd); errors.Is(err, syscall.ENOTEMPTY) && time.Now().Before(end); err = os.RemoveAll(dir) {
		time.Sleep(20 * time.Millisecond)
	}
	if err != nil {
		m.log.Warn("what is left of a tenant that was being made cannot be removed", "directory", dir, "error", err)
	}
}

// Close stops every postgres, unmounts what is mounted, flushes and closes every tenant, and
// waits for all of it. It waits for calls that run, and for streams that their callers have not
// closed, until ctx ends. A tenant that is in use even then is left as a crash would leave it: to
// close a store that is read would end the process.
func (m *Manager) Close(ctx context.Context) error {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	err := errors.Join(m.stopComputes(ctx), m.umountAll(ctx))
	m.cancel()
	m.wg.Wait()
	err = errors.Join(err, m.waitReleased(ctx))
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, t := range m.tenants {
		if t.users > 0 {
			m.log.Error("a tenant is left open: it is in use", "tenant", id)
			continue
		}
		err = errors.Join(err, t.close())
		delete(m.tenants, id)
	}
	return err
}

// waitReleased waits until nobody holds a tenant any more.
func (m *Manager) waitReleased(ctx context.Context) error {
	for m.holders() > 0 {
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for calls to end: %w", ctx.Err())
		case <-m.freed:
		}
	}
	return nil
}

// holders counts the callers of tenant that have not called release.
func (m *Manager) holders() (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, t := range m.tenants {
		n += t.users
	}
	return n
}

// tenant finds a tenant by the id that the user wrote, opening it on first use. It stays open
// until the caller calls release, which it must do once, and after that for as long as
// something of it is in use: busyLocked says what counts.
func (m *Manager) tenant(ctx context.Context, id string) (t *tenant, release func(), err error) {
	tid, err := m.tenantID(id)
	if err != nil {
		return nil, nil, err
	}
	for {
		t, err := m.hold(tid)
		if err != nil {
			return nil, nil, err
		}
		if t != nil {
			return t, func() { m.release(t) }, nil
		}
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		if _, err, _ := m.opening.Do(tid.String(), func() (any, error) { return nil, m.open(tid) }); err != nil {
			return nil, nil, err
		}
	}
}

// open opens a tenant on behalf of all callers of tenant that wait for it. If it is being closed as idle,
// open waits for the end of that first.
func (m *Manager) open(id repo.TenantID) error {
	if open, err := m.waitClosed(id); open || err != nil {
		return err
	}
	if err := m.checkExists(id); err != nil {
		return err
	}
	t, err := m.openTenant(m.ctx, id)
	if err != nil {
		return classify(fmt.Errorf("open tenant %v: %w", id, err))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return errors.Join(errShutDown(), t.close())
	}
	t.used = time.Now()
	m.tenants[id] = t
	m.limitMemoryLocked()
	return nil
}

// checkExists makes sure that there is a tenant of that id: ErrNotFound.
func (m *Manager) checkExists(id repo.TenantID) error {
	_, err := os.Stat(m.tenantDir(id))
	if errors.Is(err, fs.ErrNotExist) {
		return api.Errorf(api.ErrNotFound, "tenant %v: no such tenant", id)
	}
	return err
}

func errShutDown() error {
	return api.Errorf(api.ErrUnavailable, "the page server is shutting down")
}

// openTenants gives the tenants that are open.
func (m *Manager) openTenants() []*tenant {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Values(m.tenants))
}

func (m *Manager) tenantID(id string) (repo.TenantID, error) {
	if id == "" {
		id = m.cfg.DefaultTenant
	}
	if id == "" {
		return repo.TenantID{}, api.Errorf(api.ErrBadArgument, "no tenant: name one with --tenantid")
	}
	tid, err := repo.ParseTenantID(id)
	if err != nil {
		return tid, api.Errorf(api.ErrBadArgument, "tenant %q: want 32 lower-case hex digits", id)
	}
	return tid, nil
}

// TenantList gives the ids of all tenants, sorted.
func (m *Manager) TenantList(context.Context) ([]string, error) {
	entries, err := os.ReadDir(m.tenantsDir())
	if err != nil {
		return nil, err
	}
	ids := []string{}
	for _, e := range entries {
		if _, err := repo.ParseTenantID(e.Name()); err == nil {
			ids = append(ids, e.Name())
		}
	}
	slices.Sort(ids)
	return ids, nil
}
