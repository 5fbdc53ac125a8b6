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
	p      *place
	url    string
	data   string    // data directory
	others []string  // pid files of the processes that serve its files: the page server, if it is on a mount
	used   []float64 // CPU time of a transaction in each run of TPC-B, in microseconds
}

// pids lists the pid files of the server and of the processes that serve its files.
func (s *side) pids() []string {
	return append([]string{filepath.Join(s.data, "postmaster.pid")}, s.others...)
}

// cpu gives the CPU time of these processes so far.
func (s *side) cpu() (time.Duration, error) { return cpuOf(s.pids()...) }

// benchPgbench runs the same load on a postgres on a mount and on one on ext4 (whatever
// the temporary directory lies on), both with the same shared_buffers.
func benchPgbench(ctx context.Context, o options) ([]row, error) {
	p, err := newPlace(ctx, o)
	if err != nil {
		return nil, err
	}
	defer p.close()
	if err := p.serve(); err != nil {
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

	mounted, err := filepath.Glob(filepath.Join(p.dir, ".zenith", "tenants", "*", "pg", "main", "data"))
	if err != nil || len(mounted) != 1 {
		return nil, fmt.Errorf("the mount: %v, %w", mounted, err)
	}
	ours := &side{p: p, url: url, data: mounted[0], others: []string{p.daemon()}}
	peer := &side{p: p, url: n.url, data: n.data}
	rows, err := benchLoads(o, ours, peer)
	if err != nil {
		return nil, err
	}
	most, err := p.memory.most()
	return append(rows, memoryRow("anonymous memory of the page server, the most of all this", most)), err
}

// benchLoads compares the sides load by load.
func benchLoads(o options, ours, peer *side) ([]row, error) {
	seconds := strconv.Itoa(o.seconds)
	const noIndex = "DROP INDEX IF EXISTS bench"
	loads := []struct {
		name, unit string
		warm       bool // on servers at rest whose data are in the kernel's cache; with twice the runs
		run        func(s *side) (float64, error)
	}{
		{name: "pgbench -i -s 40", unit: "s", run: func(s *side) (float64, error) {
			return s.timed("pgbench", "-i", "-q", "-s", "40", s.url)
		}},
		{name: "CREATE INDEX, 4 million rows", unit: "s", run: func(s *side) (float64, error) {
			return s.statement(noIndex, "CREATE INDEX bench ON pgbench_accounts (abalance, aid)")
		}},
		{name: "VACUUM FULL, 600 MB", unit: "s", run: func(s *side) (float64, error) {
			return s.statement(noIndex, "VACUUM FULL pgbench_accounts")
		}},
		{name: "select-only, 8 clients", unit: "tps", warm: true, run: func(s *side) (float64, error) {
			return s.p.pgbench(s.url, "-S", "-c", "8", "-j", "2", "-T", seconds)
		}},
		{name: "TPC-B, 8 clients, two checkpoints", unit: "tps", warm: true, run: func(s *side) (float64, error) { return s.tpcb(o.seconds) }},
		{name: "TPC-B, 1 client, a transaction", unit: "ms", run: func(s *side) (float64, error) {
			tps, err := s.p.pgbench(s.url, "-c", "1", "-T", seconds)
			return 1000 / tps, err
		}},
	}
	var rows []row
	for _, l := range loads {
		run, o := l.run, o
		if l.warm {
			if err := ours.p.settle([]string{ours.url, peer.url}, append(ours.pids(), peer.pids()...)...); err != nil {
				return nil, fmt.Errorf("%s: %w", l.name, err)
			}
			run, o.runs = warmed(run), 2*o.runs
		}
		r, err := compare(o, l.name, "ext4", l.unit,
			func() (float64, error) { return run(ours) },
			func() (float64, error) { return run(peer) })
		if err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	return append(rows, newRow("CPU of a TPC-B transaction, page server and postgres", "postgres on ext4", "us", ours.used, peer.used)), nil
}

// warmed gives a function that brings the side's data into the kernel's cache and then calls run.
func warmed(run func(s *side) (float64, error)) func(s *side) (float64, error) {
	return func(s *side) (float64, error) {
		if err := warm(s.data); err != nil {
			return 0, err
		}
		return run(s)
	}
}

// tpcb gives the transactions per second of a run of TPC-B, which is three intervals long, with a checkpoint
// after the first and after the second. interval is in seconds. It adds the CPU time of a transaction to
// s.used.
func (s *side) tpcb(interval int) (float64, error) {
	seconds := 3 * interval
	before, err := s.cpu()
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithCancel(s.p.ctx)
	checkpoints := make(chan error, 1)
	go func() { checkpoints <- s.checkpoints(ctx, time.Duration(interval)*time.Second) }()
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

// checkpoints makes a checkpoint at the end of each interval, until ctx ends.
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

// timed gives the seconds that a program of the PostgreSQL installation takes.
func (s *side) timed(name string, args ...string) (float64, error) {
	ms, err := milliseconds(func() error { _, err := s.p.pg(name, args...); return err })
	return ms / 1000, err
}

// statement runs prepare, and then gives the seconds that query takes.
func (s *side) statement(prepare, query string) (float64, error) {
	if _, err := s.p.sql(s.url, prepare); err != nil {
		return 0, err
	}
	ms, err := milliseconds(func() error { _, err := s.p.sql(s.url, query); return err })
	return ms / 1000, err
}
