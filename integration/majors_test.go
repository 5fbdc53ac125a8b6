package integration

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"zenith/internal/pg"
	"zenith/internal/pgtest"
)

// neighbour is one of the tenants of a page server that has one of each major version.
type neighbour struct {
	s       *site
	version *pg.Version
	id      string
	url     string
	commit  *ledger
}

// TestMajorsSideBySide has tenants of all major versions in one page server, and a postgres with a load on each. At random
// moments one of the postgres is killed, and then the page server. What each tenant has acknowledged must be there.
func TestMajorsSideBySide(t *testing.T) {
	t.Parallel()
	if pgtest.Version() != pg.Default {
		t.Skip("has all versions in any case")
	}
	seed := *matrixSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-matrix.seed=%d", seed)
	random := rand.New(rand.NewPCG(seed, 3))
	all := newNeighbours(t)
	for round := range max(1, *matrixRounds/2) {
		killAmong(t, all, random)
		s := all[0].s
		s.ok("start")
		for _, n := range all {
			n.url = s.start("main", "--tenantid", n.id)
			n.judge(round)
		}
		if r := s.run("check"); r.code != 0 {
			t.Errorf("check after crash %d: %s%s", round, r.out, r.err)
		}
		if t.Failed() {
			t.FailNow()
		}
	}
	for _, n := range all {
		t.Logf("%v: %d commits", n.version, n.commit.count())
	}
}

// newNeighbours makes a page server with a tenant of each major version that is installed, and starts a postgres on each.
func newNeighbours(t *testing.T) (all []*neighbour) {
	t.Helper()
	s := emptySite(t)
	var names []string
	pgtest.Majors(t, func(_ *testing.T, v *pg.Version, in pgtest.Installation) {
		all = append(all, &neighbour{s: s, version: v, id: fmt.Sprintf("%032d", v.Major), commit: &ledger{}})
		names = append(names, in.Name)
	})
	s.ok("init", "--pg-distrib", pgDistrib, "--tenantid", fmt.Sprintf("%032d", pg.Default.Major))
	s.withMajors(names...)
	s.ok("start")
	failed := make([]string, len(all))
	var making sync.WaitGroup
	for i, n := range all {
		if n.version == pg.Default {
			continue
		}
		making.Go(func() {
			if r := s.run("tenant", "create", n.id, "--pg-version", fmt.Sprint(n.version.Major)); r.code != 0 {
				failed[i] = fmt.Sprintf("tenant create of %v: exit %d: %s%s", n.version, r.code, r.out, r.err)
			}
		})
	}
	making.Wait()
	if all := strings.Join(failed, ""); all != "" {
		t.Fatal(all)
	}
	for _, n := range all {
		n.url = s.start("main", "--tenantid", n.id)
		s.want(n.url, "SELECT current_setting('server_version_num')::int / 10000", fmt.Sprint(n.version.Major))
		s.sql(n.url, "CREATE TABLE ledger (i int PRIMARY KEY)")
	}
	return all
}

// killAmong runs a load on all tenants, kills the postgres of one, and a random number of commits later the page server,
// and with it the others.
func killAmong(t *testing.T, all []*neighbour, random *rand.Rand) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var crashed atomic.Bool
	var loads sync.WaitGroup
	for _, n := range all {
		loads.Go(func() { n.load(ctx, &crashed) })
	}
	victim, witness := all[random.IntN(len(all))], all[random.IntN(len(all))]
	kill := func() {
		crashed.Store(true)
		kill9(t, pidIn(t, filepath.Join(victim.s.work, "tenants", victim.id, "pg", "main", "data", "postmaster.pid")))
		if witness != victim {
			have, more := witness.commit.count(), random.IntN(100)
			eventually(t, "commits of the others", func() bool { return witness.commit.count() >= have+more })
		}
		kill9(t, pidIn(t, filepath.Join(victim.s.work, "pageserver.pid")))
	}
	for _, n := range all {
		inner, least := kill, random.IntN(100)
		kill = func() { n.commit.during(n.s, n.url, least, inner) }
	}
	kill()
	stop()
	loads.Wait()
}

// load runs the statements of churn again and again, until something was killed.
func (n *neighbour) load(ctx context.Context, crashed *atomic.Bool) {
	for i := 0; ctx.Err() == nil; i++ {
		statement := churn[i%len(churn)]
		out, err := exec.CommandContext(ctx, program("psql"), n.url, "-XqAt", "-c", statement).CombinedOutput()
		if crashed.Load() {
			return
		}
		if err != nil && ctx.Err() == nil {
			n.s.t.Errorf("%v: %s: %v: %s", n.version, statement, err, out)
			return
		}
	}
}

// judge compares what is there after a crash with what was acknowledged before.
func (n *neighbour) judge(round int) {
	n.s.t.Helper()
	n.commit.check(n.s, n.url)
	n.s.checkIndexes(n.url)
	point := "main@" + n.s.ok("lsn", "main", "--tenantid", n.id)
	branch := fmt.Sprint("after", round)
	n.s.ok("branch", branch, point, "--tenantid", n.id)
	n.s.ok("lsn", branch, "--tenantid", n.id)
}
