package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
)

// benchBranch times how long it takes to make a branch, start postgres on it and get the first answer, for a
// small and a large database. The peers are a start of postgres on an ordinary directory, and file systems
// that copy the directory of a running server by sharing its blocks; such a copy needs crash recovery. The
// last row compares the sizes with each other.
func benchBranch(ctx context.Context, o options) ([]row, error) {
	var rows []row
	var all []*branching
	for _, scale := range o.scales {
		b, err := newBranching(ctx, o, scale)
		if err != nil {
			return nil, err
		}
		defer b.p.close()
		rs, err := b.rows()
		if err != nil {
			return nil, err
		}
		rows, all = append(rows, rs...), append(all, b)
	}
	smallest, largest := all[0], all[len(all)-1]
	o.runs *= 3 // without copies, which take seconds, there is time for more runs
	r, err := compare(o, largest.name(), fmt.Sprintf("the same, %d MB", smallest.size/1e6), "ms", largest.time, smallest.time)
	return append(rows, r), err
}

// branching is a database from which branches are made.
type branching struct {
	p       *place
	cluster string // the data directory that it was imported from
	size    int64  // of the database, in bytes
	made    int    // number of branches so far
}

func newBranching(ctx context.Context, o options, scale int) (_ *branching, err error) {
	p, err := newPlace(ctx, o)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	b := &branching{p: p}
	if b.cluster, b.size, err = p.newCluster(scale); err != nil {
		return nil, err
	}
	if err := p.serve("--from-pgdata", b.cluster); err != nil {
		return nil, err
	}
	main, err := p.start("main", "--set", "shared_buffers="+sharedBuffers)
	if err != nil {
		return nil, err
	}
	return b, p.work(main)
}

func (b *branching) name() string {
	return fmt.Sprintf("branch, start, first query, %d MB", b.size/1e6)
}

// time gives the milliseconds from the creation of a new branch to its first answer.
func (b *branching) time() (float64, error) {
	b.made++
	return b.p.timeBranch("b" + strconv.Itoa(b.made))
}

func (b *branching) rows() ([]row, error) {
	started, err := compare(b.p.o, b.name(), "start on an ordinary directory", "ms", b.time, func() (float64, error) { return b.p.timeStart(b.cluster) })
	if err != nil {
		return nil, err
	}
	rows := []row{started}
	for _, c := range copyings {
		r, err := b.compareCopy(c)
		if err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// compareCopy makes a row whose peer is a file system that copies by sharing blocks.
func (b *branching) compareCopy(c copying) (row, error) {
	copier, err := b.p.newCopier(c, b.cluster, 2*b.size+4<<30)
	if err != nil {
		return row{}, err
	}
	defer copier.close()
	return compare(b.p.o, b.name(), c.name+", crash recovery", "ms", b.time, copier.time)
}

// newCluster makes a stopped cluster with pgbench's tables. size is that of its database, in bytes.
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

// timeBranch makes a branch of main's head, starts postgres on it, and gives the milliseconds until the first
// answer. Then it destroys that postgres.
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

// timeStart starts postgres on a cluster and gives the milliseconds until the first answer.
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

// work runs some transactions, so that a crash leaves WAL to be replayed, as in a database in use.
func (p *place) work(url string) error {
	_, err := p.pgbench(url, "-c", "4", "-j", "2", "-t", "2000")
	return err
}
