package main

import (
	"context"
	"errors"
	"os"
)

// benchScan reads all rows of a table that was imported and never written since: cold, with nothing of it in any
// cache, and warm, right after another scan. The peer is postgres on an ordinary directory.
func benchScan(ctx context.Context, o options) ([]row, error) {
	p, err := newPlace(ctx, o)
	if err != nil {
		return nil, err
	}
	defer p.close()
	cluster, _, err := p.newCluster(40)
	if err != nil {
		return nil, err
	}
	if _, err := p.zenith("init", "--pg-distrib", o.distrib, "--from-pgdata", cluster); err != nil {
		return nil, err
	}
	ours := &scan{p: p, start: p.startCold, stop: func() error { _, err := p.zenith("stop"); return err }}
	var n *native
	peer := &scan{p: p,
		start: func() (url string, err error) {
			if n, err = p.startNative(cluster); err != nil {
				return "", err
			}
			return n.url, nil
		},
		stop: func() error { return n.stop("fast") },
	}
	cold, err := compare(o, "sequential scan, 600 MB, cold", "ext4, cold", "s", ours.cold, peer.cold)
	if err != nil {
		return nil, err
	}
	if err := p.settle([]string{ours.url, peer.url}, p.daemon()); err != nil {
		return nil, err
	}
	// A warm scan is short, so there is time for many of them.
	again := o
	again.runs = 5 * o.runs
	warm, err := compare(again, "sequential scan, 600 MB, warm", "ext4, warm", "s", ours.warm, peer.warm)
	if err != nil {
		return nil, err
	}
	return []row{cold, warm}, errors.Join(ours.close(), peer.close())
}

// scan is one side: a server that is started again for each cold scan, and keeps running for the warm ones.
type scan struct {
	p     *place
	start func() (url string, err error)
	stop  func() error
	url   string // "" if the server does not run
}

// startCold starts the page server, and postgres on its branch main.
func (p *place) startCold() (string, error) {
	if _, err := p.zenith("start"); err != nil {
		return "", err
	}
	return p.start("main", "--set", "shared_buffers="+sharedBuffers)
}

func (s *scan) close() error {
	if s.url == "" {
		return nil
	}
	s.url = ""
	return s.stop()
}

// dropCaches is the file to which "3" is written to make the kernel drop all cached files.
const dropCaches = "/proc/sys/vm/drop_caches"

// cold restarts the server with empty caches and gives the seconds of a scan.
func (s *scan) cold() (float64, error) {
	if err := s.close(); err != nil {
		return 0, err
	}
	if _, err := s.p.command("sync"); err != nil {
		return 0, err
	}
	if err := os.WriteFile(dropCaches, []byte("3"), 0); err != nil {
		return 0, err
	}
	var err error
	if s.url, err = s.start(); err != nil {
		return 0, err
	}
	return s.sum()
}

// warm scans the table twice and gives the seconds of the second scan.
func (s *scan) warm() (float64, error) {
	if _, err := s.sum(); err != nil {
		return 0, err
	}
	return s.sum()
}

// sum gives the seconds of a sequential scan. It sums up a column that is in no index; for a count(*), postgres
// would read an index instead of the table.
func (s *scan) sum() (float64, error) {
	ms, err := milliseconds(func() error {
		_, err := s.p.sql(s.url, "SELECT sum(abalance) FROM pgbench_accounts")
		return err
	})
	return ms / 1000, err
}
