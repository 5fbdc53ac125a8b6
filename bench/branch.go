package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
)

// benchBranch times branch, start and first query at two sizes, against a start of postgres
// on an ordinary directory and against what copies one by sharing blocks, with the crash
// recovery that a copy of a running server needs.
func benchBranch(ctx context.Context, o options) ([]row, error) {
	var rows []row
	var ours [][]float64
	for _, scale := range o.scales {
		rs, err := benchBranchAt(ctx, o, scale)
		if err != nil {
			return nil, err
		}
		rows = append(rows, rs...)
		var all []float64
		for _, r := range rs {
			all = append(all, r.runs...)
		}
		ours = append(ours, all)
	}
	return append(rows, newRow("branch, start, first query, the largest", "the smallest", "ms", ours[len(ours)-1], ours[0])), nil
}

func benchBranchAt(ctx context.Context, o options, scale int) ([]row, error) {
	p, err := newPlace(ctx, o)
	if err != nil {
		return nil, err
	}
	defer p.close()
	cluster, size, err := p.newCluster(scale)
	if err != nil {
		return nil, err
	}
	if err := p.serve("--from-pgdata", cluster); err != nil {
		return nil, err
	}
	main, err := p.start("main", "--set", "shared_buffers="+sharedBuffers)
	if err != nil {
		return nil, err
	}
	if err := p.work(main); err != nil {
		return nil, err
	}
	branches := 0
	branch := func() (float64, error) { branches++; return p.timeBranch("b" + strconv.Itoa(branches)) }
	name := fmt.Sprintf("branch, start, first query, %d MB", size/1e6)
	started, err := compare(o, name, "start on an ordinary directory", "ms", branch, func() (float64, error) { return p.timeStart(cluster) })
	if err != nil {
		return nil, err
	}
	rows := []row{started}
	for _, c := range copyings {
		r, err := p.compareCopy(c, name, cluster, size, branch)
		if err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// compareCopy makes a row with copies on a file system as the peer.
func (p *place) compareCopy(c copying, name, cluster string, size int64, branch func() (float64, error)) (row, error) {
	copier, err := p.newCopier(c, cluster, 2*size+4<<30)
	if err != nil {
		return row{}, err
	}
	defer copier.close()
	return compare(p.o, name, c.name+", crash recovery", "ms", branch, copier.time)
}

// newCluster makes a stopped cluster with pgbench's tables, and says how many bytes its
// database has.
func (p *place) newCluster(scale int) (dir string, size int64, err error) {
	dir = filepath.Join(p.dir, "native", "data")
	n, err := p.initNative(dir)
	if err != nil {
		return "", 0, err
	}
	if _, err := p.pg("pgbench", "-i", "-q", "-s", strconv.Itoa(scale), n.url); err != nil {
		return "", 0, err
	}
	text, err := p.sql(n.url, "SELECT pg_database_size('postgres')")
	if err != nil {
		return "", 0, err
	}
	if size, err = strconv.ParseInt(text, 10, 64); err != nil {
		return "", 0, err
	}
	return dir, size, n.stop("fast")
}

// timeBranch gives the milliseconds of a branch from main's head until its first answer.
func (p *place) timeBranch(name string) (float64, error) {
	ms, err := milliseconds(func() error {
		if _, err := p.zenith("branch", name, "main"); err != nil {
			return err
		}
		url, err := p.start(name)
		if err == nil {
			_, err = p.sql(url, firstQuery)
		}
		return err
	})
	if err == nil {
		_, err = p.zenith("pg", "stop", name, "--destroy")
	}
	return ms, err
}

// timeStart gives the milliseconds of a start of postgres on a cluster until its first answer.
func (p *place) timeStart(cluster string) (float64, error) {
	var n *native
	ms, err := milliseconds(func() (err error) {
		if n, err = p.startNative(cluster); err == nil {
			_, err = p.sql(n.url, firstQuery)
		}
		return err
	})
	if err == nil {
		err = n.stop("fast")
	}
	return ms, err
}

const firstQuery = "SELECT abalance FROM pgbench_accounts WHERE aid = 4711"

// work lets some transactions run, as a live database has them.
func (p *place) work(url string) error {
	_, err := p.pgbench(url, "-c", "4", "-j", "2", "-t", "2000")
	return err
}
