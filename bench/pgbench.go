package main

import (
	"context"
	"path/filepath"
	"strconv"
)

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
	ours, err := p.start("main", "--set", "shared_buffers="+sharedBuffers, "--set", "max_wal_size=4GB")
	if err != nil {
		return nil, err
	}
	peer, err := p.initNative(filepath.Join(p.dir, "native", "data"))
	if err != nil {
		return nil, err
	}
	defer peer.stop("fast")

	seconds := strconv.Itoa(o.seconds)
	loads := []struct {
		name string
		args []string
	}{
		{"select-only, 8 clients", []string{"-S", "-c", "8", "-j", "2", "-T", seconds}},
		{"TPC-B, 8 clients", []string{"-c", "8", "-j", "2", "-T", seconds}},
		{"TPC-B, 1 client", []string{"-c", "1", "-T", seconds}},
	}
	load, err := compare(options{runs: 1}, "pgbench -i -s 40", "ext4", "s",
		p.timed("pgbench", "-i", "-q", "-s", "40", ours), p.timed("pgbench", "-i", "-q", "-s", "40", peer.url))
	if err != nil {
		return nil, err
	}
	rows := []row{load}
	for _, l := range loads {
		r, err := compare(o, l.name, "ext4", "tps",
			func() (float64, error) { return p.pgbench(ours, l.args...) },
			func() (float64, error) { return p.pgbench(peer.url, l.args...) })
		if err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// timed gives the seconds that a program of the installation takes.
func (p *place) timed(name string, args ...string) func() (float64, error) {
	return func() (float64, error) {
		ms, err := milliseconds(func() error { _, err := p.pg(name, args...); return err })
		return ms / 1000, err
	}
}
