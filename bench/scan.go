package main

import (
	"context"
	"errors"
	"os"
)

// benchScan reads all rows of a table that the branch has not written, first with nothing
// of it in any cache, then again.
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
	if _, err := p.zenith("init", "--pg-distrib", o.distrib, "--listen", "127.0.0.1:0", "--from-pgdata", cluster); err != nil {
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
	// A warm scan is over soon: many of them, each right after one that is not counted.
	again := o
	again.runs = 5 * o.runs
	warm, err := compare(again, "sequential scan, 600 MB, warm", "ext4, warm", "s", ours.warm, peer.warm)
	if err != nil {
		return nil, err
	}
	return []row{cold, warm}, errors.Join(ours.close(), peer.close())
}

// scan is one side: a server that is started for each cold scan, and then stays.
type scan struct {
	p     *place
	start func() (url string, err error)
	stop  func() error
	url   string
}

// startCold starts the page server and postgres on a branch.
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

// dropCaches makes the kernel forget what it has of files.
const dropCaches = "/proc/sys/vm/drop_caches"

// cold starts the server anew, with empty caches, and gives the seconds of a scan.
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

// warm gives the seconds of a scan of what was read just now.
func (s *scan) warm() (float64, error) {
	if _, err := s.sum(); err != nil {
		return 0, err
	}
	return s.sum()
}

// sum gives the seconds of a scan. No index has that column: a count(*) would read one instead.
func (s *scan) sum() (float64, error) {
	ms, err := milliseconds(func() error {
		_, err := s.p.sql(s.url, "SELECT sum(abalance) FROM pgbench_accounts")
		return err
	})
	return ms / 1000, err
}
