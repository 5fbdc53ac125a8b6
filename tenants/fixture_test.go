package tenants

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"zenith/internal/api"
	"zenith/internal/pg"
	"zenith/internal/pgtest"
	"zenith/internal/pgtest/fakepg"
	"zenith/internal/postgres"
	"zenith/internal/xlog"
	"zenith/repo"
)

// tenantA is the tenant that newManager makes: the stored cluster of package pgtest.
const tenantA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

// testUser is the account of servers where root runs the tests. Every machine has it.
const testUser = "nobody"

func TestMain(m *testing.M) {
	fakepg.Main()
	code := m.Run()
	if template.dir != "" {
		if err := os.RemoveAll(template.dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

func noProgress(string, int64, int64) {}

// template is a work directory with tenantA, which every test gets a copy of: to import the
// cluster for each of them would take most of their time.
var template struct {
	once sync.Once
	dir  string
	err  error
}

func makeTemplate(distrib string) (err error) {
	if template.dir, err = os.MkdirTemp(inMemory(), "tenants"); err != nil {
		return err
	}
	cluster, work := filepath.Join(template.dir, "cluster"), filepath.Join(template.dir, "work")
	if err := errors.Join(os.Chmod(template.dir, 0o755), os.Mkdir(cluster, 0o700)); err != nil {
		return err
	}
	if err := pgtest.UnpackCluster(cluster); err != nil {
		return err
	}
	m, err := open(Config{Dir: work, PgDistribs: postgres.DistribSettings{Default: distrib}, PgUser: testUser}, newFakeMounts())
	if err != nil {
		return err
	}
	_, err = m.CreateTenant(context.Background(), InitOptions{Tenant: tenantA, FromPGData: cluster, Progress: noProgress})
	return errors.Join(err, m.Close(context.Background()))
}

// fixture is a Manager with what a test wants to know of it.
type fixture struct {
	*Manager
	cfg    Config
	mounts *fakeMounts
	log    *logBuffer
	room   string // a directory for mount points
}

// inMemory is a directory for temporary ones in memory, if there is one, else the usual one: what
// is tested here does not depend on the disk, but to wait for its syncs would take most of the time.
func inMemory() string {
	const dir = "/dev/shm"
	if fi, err := os.Stat(dir); err == nil && fi.IsDir() && unix.Access(dir, unix.W_OK) == nil {
		return dir
	}
	return ""
}

// testDir makes a directory that servers can reach.
func testDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp(inMemory(), "tenants")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// emptyManager makes a Manager without tenants.
func emptyManager(t testing.TB, cfg Config) *fixture {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = testDir(t)
	}
	cfg.PgUser, cfg.IdleTime = testUser, cmp.Or(cfg.IdleTime, time.Hour)
	if cfg.PgDistribs.Default == "" {
		cfg.PgDistribs.Default = fakepg.Installation(t)
	}
	f := &fixture{cfg: cfg, mounts: newFakeMounts(), log: &logBuffer{}, room: testDir(t)}
	f.cfg.Log = slog.New(slog.NewTextHandler(io.MultiWriter(f.log, testWriter{t}), nil))
	f.open(t)
	t.Cleanup(func() {
		if err := f.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return f
}

// testWriter writes to a test's log.
type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Logf("%s", strings.TrimSpace(string(p)))
	return len(p), nil
}

// newManager makes a Manager with tenantA.
func newManager(t testing.TB, cfg Config) *fixture {
	t.Helper()
	return emptyManager(t, copyTemplate(t, cfg))
}

// copyTemplate makes a work directory with tenantA.
func copyTemplate(t testing.TB, cfg Config) Config {
	t.Helper()
	cfg.Dir, cfg.PgUser, cfg.PgDistribs.Default = testDir(t), testUser, fakepg.Installation(t)
	template.once.Do(func() { template.err = makeTemplate(cfg.PgDistribs.Default) })
	if template.err != nil {
		t.Fatal(template.err)
	}
	if err := os.CopyFS(cfg.Dir, os.DirFS(filepath.Join(template.dir, "work"))); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// open opens the fixture's Manager, the first one or the one after a restart.
func (f *fixture) open(t testing.TB) {
	t.Helper()
	m, err := open(f.cfg, f.mounts)
	if err != nil {
		t.Fatal(err)
	}
	f.Manager = m
}

// Mount makes the mount point in the room for those, as the command does, and mounts.
func (f *fixture) Mount(ctx context.Context, o api.MountOptions) (api.Mount, error) {
	made := filepath.Dir(o.Dir) == f.room && os.Mkdir(o.Dir, 0o755) == nil
	mnt, err := f.Manager.Mount(ctx, o)
	if err != nil && made {
		err = errors.Join(err, os.Remove(o.Dir))
	}
	return mnt, err
}

// restart closes the Manager and opens the next one on the same directory.
func (f *fixture) restart(t testing.TB) {
	t.Helper()
	if err := f.Close(context.Background()); err != nil {
		t.Error(err)
	}
	f.open(t)
}

// branchOf gives a branch of tenantA. Nobody holds the tenant for it: it is good until the tenant
// is closed, as idle or with the Manager.
func (f *fixture) branchOf(t testing.TB, name string) *branch {
	t.Helper()
	b, release, err := f.lookup(context.Background(), tenantA, name)
	if err != nil {
		t.Fatal(err)
	}
	release()
	return b
}

// history is WAL that a server wrote on the stored cluster.
type history struct {
	start   pg.LSN // of the segment with the cluster's last checkpoint
	wal     []byte
	ends    []pg.LSN    // of the records behind that checkpoint
	commits []pg.LSN    // ends of those that are commits
	times   []time.Time // of the commits
}

func (h *history) end() pg.LSN { return h.ends[len(h.ends)-1] }

// ReadWAL implements xlog.Source.
func (h *history) ReadWAL(p []byte, at pg.LSN) (int, error) {
	if at < h.start || at >= h.start+pg.LSN(len(h.wal)) {
		return 0, io.EOF
	}
	return copy(p, h.wal[at-h.start:]), nil
}

// recorded reads the stored cluster's history from head, where a branch of it ends, on.
func recorded(t testing.TB, head pg.LSN) *history {
	t.Helper()
	h := &history{}
	h.start, h.wal = pgtest.ClusterWAL(t)
	r := xlog.NewReader(h, xlog.Config{Version: pg.V15, SegSize: pgtest.ClusterSegSize}, head)
	var rec xlog.Record
	for {
		err := r.Next(&rec)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		h.ends = append(h.ends, rec.EndLSN)
		if rec.RmgrID != xlog.RmXact {
			continue
		}
		if end, err := xlog.ParseXactEnd(&rec); err == nil && end.Committed() {
			h.commits, h.times = append(h.commits, rec.EndLSN), append(h.times, end.Time.Time())
		}
	}
	if len(h.ends) < 100 || len(h.commits) < 5 {
		t.Fatalf("the stored history has only %d records and %d commits", len(h.ends), len(h.commits))
	}
	return h
}

// write puts the history up to an LSN into a timeline's segments, as a server does.
func (h *history) write(t testing.TB, tl *repo.Timeline, upTo pg.LSN) {
	t.Helper()
	for from := tl.LastLSN(); from < upTo; {
		to := min(upTo, (from/pgtest.ClusterSegSize+1)*pgtest.ClusterSegSize)
		f, err := os.OpenFile(tl.SegmentPath(from), os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.WriteAt(h.wal[from-h.start:to-h.start], int64(from%pgtest.ClusterSegSize))
		if err == nil {
			err = f.Truncate(pgtest.ClusterSegSize)
		}
		if err = errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		from = to
	}
}

// advance gives a branch of tenantA the history up to its record number n, or all for -1.
func (f *fixture) advance(t testing.TB, b *branch, n int) *history {
	t.Helper()
	h := recorded(t, b.tl.LastLSN())
	if n < 0 {
		n = len(h.ends) - 1
	}
	h.write(t, b.tl, h.ends[n])
	if head, err := b.catchup(t.Context()); err != nil || head != h.ends[n] {
		t.Fatalf("the branch ends at %v, %v; want %v", head, err, h.ends[n])
	}
	return h
}

// waitFor waits until cond holds.
func waitFor(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !cond(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("in vain: %s", what)
		}
	}
}

// wantKind checks the kind of an error, and that its text has all of says; nil: no error.
func wantKind(t testing.TB, what string, err, kind error, says ...string) {
	t.Helper()
	if kind == nil {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		return
	}
	if !errors.Is(err, kind) {
		t.Errorf("%s: got error %v, want kind %v", what, err, kind)
		return
	}
	for _, s := range says {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("%s: error %q does not say %q", what, err, s)
		}
	}
}

var _ api.Service = (*Manager)(nil)
