package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"zenith/internal/pg"
	"zenith/internal/pgtest"
)

// The matrix of crashes: while clients commit, and commands of every kind run side by side, the page server is killed,
// or the disk's power is cut, at a random moment. What was acknowledged before must be there after.
var (
	matrixRounds = flag.Int("matrix.rounds", 2, "how many crashes TestKillMatrix and TestLossyPowerCut make")
	matrixSeed   = flag.Uint64("matrix.seed", 0, "the seed of these tests; 0: another one each time")
)

// TestKillMatrix kills the page server.
func TestKillMatrix(t *testing.T) {
	t.Parallel()
	s := emptySite(t)
	runMatrix(t, s, func(uint64) { kill9(t, pidIn(t, filepath.Join(s.work, "pageserver.pid"))) })
}

// TestLossyPowerCut cuts the power of a disk that writes in any order what was not synced, and tears it.
func TestLossyPowerCut(t *testing.T) {
	t.Parallel()
	s := emptySite(t)
	disk := newLossyDisk(t, filepath.Join(s.dir, "disk"))
	s.work = filepath.Join(disk.dir, ".zenith")
	t.Cleanup(s.end)
	runMatrix(t, s, func(seed uint64) {
		pid := pidIn(t, filepath.Join(s.work, "pageserver.pid"))
		disk.do("cut")
		kill9(t, pid)
		disk.do(fmt.Sprintf("back %d", seed))
	})
}

func runMatrix(t *testing.T, s *site, crash func(seed uint64)) {
	seed := *matrixSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-matrix.seed=%d", seed)
	m := newMatrix(t, s, rand.New(rand.NewPCG(seed, 1)))
	for round := range *matrixRounds {
		m.round(round, crash)
	}
	m.end()
}

// matrix is a site on which all happens at once: main follows a server, a postgres runs on dev, which is pushed to
// another site.
type matrix struct {
	t      *testing.T
	s      *site
	random *rand.Rand
	source *pgtest.Server
	other  *site
	commit *ledger
	url    string // of the postgres on dev

	crashed atomic.Bool // commands may fail from now on
	done    map[string]*atomic.Int64

	mu       sync.Mutex
	branches map[string]bool // whether it was made or deleted last, as was acknowledged; what was asked for and not answered is not there
	tenants  map[string]bool
	slots    map[string]bool
	received pg.LSN // what the page server has told the source that it has flushed
}

func newMatrix(t *testing.T, s *site, random *rand.Rand) *matrix {
	t.Helper()
	source, conninfo := native(t, nil)
	source.Start(t)
	source.Run(t, "pgbench", "-i", "-q", "-s", "1", "postgres")
	m := &matrix{
		t: t, s: s, random: random, source: source, commit: &ledger{}, done: map[string]*atomic.Int64{},
		branches: map[string]bool{}, tenants: map[string]bool{}, slots: map[string]bool{},
	}
	m.other = newSite(t, "--listen", "127.0.0.1:0", "--auth", "trust")
	s.ok("init", "--pg-distrib", pgDistrib, "--from-server", conninfo)
	s.ok("start")
	s.ok("remote", "add", "other", m.other.addr())
	s.ok("branch", "dev", "main")
	// The source, a cluster for tests, does not sync. Slots whose making was not acknowledged stay.
	m.url = s.start("dev", "--set", "fsync=on", "--set", "max_replication_slots=1000")
	s.sql(m.url, "CREATE TABLE ledger (i int PRIMARY KEY)", "CREATE TABLE bulk (t text)")
	for name := range m.commands() {
		m.done[name] = &atomic.Int64{}
	}
	return m
}

// commands are what runs side by side. Each does one thing and reports whether it was acknowledged.
func (m *matrix) commands() map[string]func(random *rand.Rand) bool {
	return map[string]func(*rand.Rand) bool{
		"branch": m.branch,
		"slot":   m.slot,
		"gc":     func(*rand.Rand) bool { return m.run("gc", "--retain", "1MB", "--force") },
		"check":  func(*rand.Rand) bool { return m.run("check") },
		"push":   m.push,
		"import": m.tenant,
		"flush": func(*rand.Rand) bool {
			return m.psql("INSERT INTO bulk SELECT repeat(md5(i::text), 20) FROM generate_series(1, 20000) i", "TRUNCATE bulk", "CHECKPOINT")
		},
		"pack":    func(*rand.Rand) bool { return m.psql("SELECT pg_switch_wal()") },
		"receive": m.receive,
	}
}

// run runs zenith, and reports whether it did what it should. Before the crash it must.
func (m *matrix) run(args ...string) bool {
	_, ok := m.try(exec.Command(binary, append([]string{"-D", m.s.work}, args...)...))
	return ok
}

func (m *matrix) try(cmd *exec.Cmd) (out string, ok bool) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Dir = &stdout, &stderr, m.s.dir
	err := cmd.Run()
	if err != nil {
		m.failed(strings.Join(cmd.Args[1:], " "), fmt.Sprint(err, ": ", stdout.String(), stderr.String()))
	}
	return stdout.String(), err == nil
}

// failed notes that a command failed, which is an error unless the crash has come.
func (m *matrix) failed(command, why string) {
	if !m.crashed.Load() {
		m.t.Errorf("%s: %s", command, why)
	}
}

func (m *matrix) psql(statements ...string) bool {
	args := []string{m.url, "-XqAt", "-v", "ON_ERROR_STOP=1"}
	for _, st := range statements {
		args = append(args, "-c", st)
	}
	_, ok := m.try(exec.Command(program("psql"), args...))
	return ok
}

// tell asks for a change of a name in a book: while it is not acknowledged, nobody knows how it ended.
func (m *matrix) tell(book map[string]bool, name string, to bool, do func() bool) bool {
	m.mu.Lock()
	delete(book, name)
	m.mu.Unlock()
	if !do() {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	book[name] = to
	return true
}

// branch makes a branch, or deletes one, or brings one back.
func (m *matrix) branch(random *rand.Rand) bool {
	m.mu.Lock()
	names := slices.Sorted(maps.Keys(m.branches))
	m.mu.Unlock()
	if len(names) < 4 || random.IntN(2) == 0 {
		name := fmt.Sprintf("b%d", random.Uint64())
		return m.tell(m.branches, name, true, func() bool { return m.run("branch", name, []string{"main", "dev"}[random.IntN(2)]) })
	}
	name := names[random.IntN(len(names))]
	m.mu.Lock()
	there := m.branches[name]
	m.mu.Unlock()
	if there {
		return m.tell(m.branches, name, false, func() bool { return m.run("branch", "delete", "-f", name) })
	}
	return true // gc --force of all may have made it gone
}

// slot makes a replication slot on dev, or drops one.
func (m *matrix) slot(random *rand.Rand) bool {
	m.mu.Lock()
	var there []string
	for _, name := range slices.Sorted(maps.Keys(m.slots)) {
		if m.slots[name] {
			there = append(there, name)
		}
	}
	m.mu.Unlock()
	if len(there) < 3 {
		name := fmt.Sprintf("s%d", random.Uint64())
		return m.tell(m.slots, name, true, func() bool { return m.psql("SELECT pg_create_physical_replication_slot('" + name + "', true)") })
	}
	name := there[random.IntN(len(there))]
	return m.tell(m.slots, name, false, func() bool { return m.psql("SELECT pg_drop_replication_slot('" + name + "')") })
}

// push pushes dev to the other site. A collection may have been faster than the push before: then it is refused, and
// says so.
func (m *matrix) push(*rand.Rand) bool {
	r := m.s.run("push", "dev", "other")
	refused := r.code == 14 && strings.Contains(r.err, "not kept here any more")
	if r.code != 0 && !refused {
		m.failed("push", r.err)
	}
	return r.code == 0 || refused
}

// tenant imports a fresh cluster as another tenant.
func (m *matrix) tenant(random *rand.Rand) bool {
	id := fmt.Sprintf("%016x%016x", random.Uint64(), random.Uint64())
	return m.tell(m.tenants, id, true, func() bool { return m.run("tenant", "create", id) })
}

// enough reports whether a command has been carried out as often as it is of use: each tenant takes memory.
func (m *matrix) enough(command string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return command == "import" && len(m.tenants) >= 2
}

// receive has the source write, and notes what the page server has told it.
func (m *matrix) receive(*rand.Rand) bool {
	if err := m.source.Client(m.t, "pgbench", "-n", "-t", "50", "postgres").Run(); err != nil {
		m.t.Errorf("pgbench on the source: %v", err)
		return false
	}
	out, err := m.source.Client(m.t, "psql", "-XqAtc", "SELECT max(flush_lsn) FROM pg_stat_replication").Output()
	if err != nil {
		m.t.Errorf("ask the source for its receivers: %v", err)
		return false
	}
	lsn, err := pg.ParseLSN(strings.TrimSpace(string(out)))
	if err != nil {
		return false // nobody is connected
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.received = max(m.received, lsn)
	return true
}

// round lets everything run for a while, makes a crash, and compares what is there then with what was acknowledged.
func (m *matrix) round(n int, crash func(seed uint64)) {
	m.t.Helper()
	ctx, stop := context.WithCancel(m.t.Context())
	var running sync.WaitGroup
	m.crashed.Store(false)
	for _, name := range slices.Sorted(maps.Keys(m.done)) {
		do, random := m.commands()[name], rand.New(rand.NewPCG(m.random.Uint64(), 2))
		running.Go(func() {
			for ctx.Err() == nil && !m.crashed.Load() && !m.enough(name) {
				if do(random) {
					m.done[name].Add(1)
				}
			}
		})
	}
	m.commit.during(m.s, m.url, 20, func() {
		m.await(n)
		m.crashed.Store(true)
		crash(m.random.Uint64())
	})
	stop()
	running.Wait()
	m.s.ok("start")
	m.url = m.s.start("dev")
	m.judge(n)
}

// await waits for the moment of a crash: once for all commands to have been carried out, later for a random one, and
// then for a random number of commits.
func (m *matrix) await(round int) {
	m.t.Helper()
	names := slices.Sorted(maps.Keys(m.done))
	if round > 0 {
		names = []string{names[m.random.IntN(len(names))]}
	}
	for _, name := range names {
		have := int64(0)
		if round > 0 {
			have = m.done[name].Load()
		}
		eventuallyWithin(m.t, 8*time.Minute, "a "+name, func() bool { return m.done[name].Load() > have || m.enough(name) || m.t.Failed() })
	}
	have, more := m.commit.count(), m.random.IntN(500)
	eventually(m.t, "commits", func() bool { return m.commit.count() >= have+more || m.t.Failed() })
}

func (m *matrix) judge(round int) {
	m.t.Helper()
	m.commit.check(m.s, m.url)
	m.same(round, "branch", m.branches, m.branchNames())
	m.same(round, "tenant", m.tenants, strings.Fields(m.s.ok("tenant", "list")))
	m.same(round, "slot", m.slots, strings.Fields(m.s.sql(m.url, "SELECT slot_name FROM pg_replication_slots")))
	head, err := pg.ParseLSN(m.s.lsn("main"))
	if err != nil || head < m.received {
		m.t.Errorf("after crash %d main is at %v, %v; the page server had told its source that it has %v", round, head, err, m.received)
	}
	m.s.checkIndexes(m.url)
	if r := m.s.run("check"); r.code != 0 {
		m.t.Errorf("check after crash %d: %s%s", round, r.out, r.err)
	}
	if m.t.Failed() {
		m.t.FailNow()
	}
}

func (m *matrix) branchNames() (names []string) {
	m.t.Helper()
	var list []struct{ Name string }
	if err := json.Unmarshal([]byte(m.s.ok("branch", "list", "-o", "json")), &list); err != nil {
		m.t.Fatal(err)
	}
	for _, b := range list {
		names = append(names, b.Name)
	}
	return names
}

// same compares a book with what is there.
func (m *matrix) same(round int, what string, book map[string]bool, there []string) {
	m.t.Helper()
	for _, name := range slices.Sorted(maps.Keys(book)) {
		if is := slices.Contains(there, name); is != book[name] {
			m.t.Errorf("after crash %d the %s %s is there: %v, want %v, as was acknowledged", round, what, name, is, book[name])
		}
	}
}

// end sees that the other site has a whole branch in the end.
func (m *matrix) end() {
	m.t.Helper()
	for _, name := range slices.Sorted(maps.Keys(m.done)) {
		m.t.Logf("%s: %d", name, m.done[name].Load())
	}
	m.t.Logf("commits: %d", m.commit.count())
	if !m.push(nil) {
		m.t.Error("dev cannot be pushed")
	}
	m.other.ok("check")
}
