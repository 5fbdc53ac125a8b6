package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"time"
)

// side is one of two servers under the same load.
type side struct {
	p    *place
	url  string
	cpu  func() (time.Duration, error) // used so far by the server and what serves its files
	used []float64                     // microseconds per transaction of each run of TPC-B
}

// benchPgbench runs the same load on a postgres on a mount and on one on ext4 (whatever
// the temporary directory lies on), both with the same shared_buffers.
func benchPgbench(ctx context.Context, o options) ([]row, error) {
	p, err := newPlace(ctx, o)
	if err != nil {
		return nil, err
	}
	defer p.close()
	if _, err := p.zenith("init", "--pg-distrib", o.distrib, "--listen", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	if _, err := p.zenith("start"); err != nil {
		return nil, err
	}
	url, err := p.start("main", "--set", "shared_buffers="+sharedBuffers, "--set", "max_wal_size=4GB")
	if err != nil {
		return nil, err
	}
	n, err := p.initNative(filepath.Join(p.dir, "native", "data"))
	if err != nil {
		return nil, err
	}
	defer n.stop("fast")

	daemon := filepath.Join(p.dir, ".zenith", "pageserver.pid")
	mounted, err := filepath.Glob(filepath.Join(p.dir, ".zenith", "tenants", "*", "pg", "main", "data", "postmaster.pid"))
	if err != nil || len(mounted) != 1 {
		return nil, fmt.Errorf("the mount's postmaster.pid: %v, %w", mounted, err)
	}
	memory := watchMemory(daemon)
	defer memory.stop()
	ours := &side{p: p, url: url, cpu: func() (time.Duration, error) { return cpuOf(daemon, mounted[0]) }}
	peer := &side{p: p, url: n.url, cpu: func() (time.Duration, error) { return cpuOf(filepath.Join(n.data, "postmaster.pid")) }}
	rows, err := benchLoads(o, ours, peer)
	if err != nil {
		return nil, err
	}
	anon, err := memory.stop()
	return append(rows, anon), err
}

// benchLoads compares the sides load by load.
func benchLoads(o options, ours, peer *side) ([]row, error) {
	seconds := strconv.Itoa(o.seconds)
	const noIndex = "DROP INDEX IF EXISTS bench"
	loads := []struct {
		name, unit string
		run        func(s *side) (float64, error)
	}{
		{"pgbench -i -s 40", "s", func(s *side) (float64, error) { return s.timed("pgbench", "-i", "-q", "-s", "40", s.url) }},
		{"CREATE INDEX, 4 million rows", "s", func(s *side) (float64, error) {
			return s.statement(noIndex, "CREATE INDEX bench ON pgbench_accounts (abalance, aid)")
		}},
		{"VACUUM FULL, 600 MB", "s", func(s *side) (float64, error) { return s.statement(noIndex, "VACUUM FULL pgbench_accounts") }},
		{"select-only, 8 clients", "tps", func(s *side) (float64, error) { return s.p.pgbench(s.url, "-S", "-c", "8", "-j", "2", "-T", seconds) }},
		{"TPC-B, 8 clients, two checkpoints", "tps", func(s *side) (float64, error) { return s.tpcb(o.seconds) }},
		{"TPC-B, 1 client, a transaction", "ms", func(s *side) (float64, error) {
			tps, err := s.p.pgbench(s.url, "-c", "1", "-T", seconds)
			return 1000 / tps, err
		}},
	}
	var rows []row
	for _, l := range loads {
		r, err := compare(o, l.name, "ext4", l.unit,
			func() (float64, error) { return l.run(ours) },
			func() (float64, error) { return l.run(peer) })
		if err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	us, them := median(ours.used), median(peer.used)
	return append(rows, row{
		Name: "CPU of a TPC-B transaction, page server and postgres", Ours: us, Peer: them, PeerName: "postgres on ext4",
		Ratio: us / them, Unit: "us",
	}), nil
}

// tpcb gives the transactions per second of a run with two checkpoints in it, and notes what
// each of them used of the processors.
func (s *side) tpcb(seconds int) (float64, error) {
	before, err := s.cpu()
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithCancel(s.p.ctx)
	checkpoints := make(chan error, 1)
	go func() { checkpoints <- s.checkpoints(ctx, time.Duration(seconds)*time.Second/3) }()
	tps, err := s.p.pgbench(s.url, "-c", "8", "-j", "2", "-T", strconv.Itoa(seconds))
	cancel()
	if cerr := <-checkpoints; err == nil {
		err = cerr
	}
	if err != nil {
		return 0, err
	}
	after, err := s.cpu()
	s.used = append(s.used, float64((after-before).Microseconds())/(tps*float64(seconds)))
	return tps, err
}

// checkpoints makes one each interval until ctx ends.
func (s *side) checkpoints(ctx context.Context, interval time.Duration) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(interval):
		}
		if _, err := s.p.sql(s.url, "CHECKPOINT"); err != nil {
			return err
		}
	}
}

// timed gives the seconds that a program of the installation takes.
func (s *side) timed(name string, args ...string) (float64, error) {
	ms, err := milliseconds(func() error { _, err := s.p.pg(name, args...); return err })
	return ms / 1000, err
}

// statement gives the seconds that a statement takes, after another one.
func (s *side) statement(prepare, query string) (float64, error) {
	if _, err := s.p.sql(s.url, prepare); err != nil {
		return 0, err
	}
	ms, err := milliseconds(func() error { _, err := s.p.sql(s.url, query); return err })
	return ms / 1000, err
}
