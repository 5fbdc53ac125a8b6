package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// benchBranch times branch, start and first query, at two sizes ten times apart, against
// a reflink copy of a running server's data directory on XFS and crash recovery of it.
func benchBranch(ctx context.Context, o options) ([]row, error) {
	var rows []row
	for _, scale := range []int{6, 60} {
		r, err := benchBranchAt(ctx, o, scale)
		if err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	return rows, nil
}

func benchBranchAt(ctx context.Context, o options, scale int) (row, error) {
	p, err := newPlace(ctx, o)
	if err != nil {
		return row{}, err
	}
	defer p.close()
	if _, err := p.zenith("init", "--pg-distrib", o.distrib, "--listen", "127.0.0.1:0"); err != nil {
		return row{}, err
	}
	if _, err := p.zenith("start"); err != nil {
		return row{}, err
	}
	main, err := p.start("main", "--set", "shared_buffers="+sharedBuffers)
	if err != nil {
		return row{}, err
	}
	if err := p.fill(main, scale); err != nil {
		return row{}, err
	}
	x, err := p.newXFS(4 << 30)
	if err != nil {
		return row{}, fmt.Errorf("an XFS to reflink on (needs root, a loop device, xfsprogs): %w", err)
	}
	defer x.close()
	source, err := p.initNative(filepath.Join(x.dir, "pg", "data"))
	if err != nil {
		return row{}, err
	}
	defer source.stop("immediate")
	if err := p.fill(source.url, scale); err != nil {
		return row{}, err
	}

	copies := 0
	size, err := p.sql(main, "SELECT pg_database_size('postgres') / 1000000")
	if err != nil {
		return row{}, err
	}
	return compare(o, "branch, start, first query, "+size+" MB", "reflink on XFS + crash recovery", "ms",
		func() (float64, error) { copies++; return p.timeBranch("b" + strconv.Itoa(copies)) },
		func() (float64, error) {
			return x.timeCopy(source, filepath.Join(x.dir, "pg", "copy"+strconv.Itoa(copies)))
		})
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

// timeCopy gives the milliseconds of a reflink copy of a running server until its first answer.
func (x *xfs) timeCopy(source *native, copied string) (float64, error) {
	var v *native
	ms, err := milliseconds(func() error {
		if _, err := x.p.asPostgres("cp", "-a", "--reflink=always", source.data, copied); err != nil {
			return err
		}
		if err := os.Remove(filepath.Join(copied, "postmaster.pid")); err != nil {
			return err
		}
		var err error
		if v, err = x.p.startNative(copied); err == nil {
			_, err = x.p.sql(v.url, firstQuery)
		}
		return err
	})
	if err == nil {
		err = v.stop("immediate")
	}
	return ms, err
}

const firstQuery = "SELECT abalance FROM pgbench_accounts WHERE aid = 4711"

// fill loads pgbench's tables and lets some transactions run, as a live database has them.
func (p *place) fill(url string, scale int) error {
	if _, err := p.pg("pgbench", "-i", "-q", "-s", strconv.Itoa(scale), url); err != nil {
		return err
	}
	_, err := p.pgbench(url, "-c", "4", "-j", "2", "-t", "2000")
	return err
}

// xfs is a file system in a file, mounted through a loop device.
type xfs struct {
	p   *place
	dir string
}

func (p *place) newXFS(size int64) (*xfs, error) {
	image, dir := filepath.Join(p.dir, "xfs.img"), filepath.Join(p.dir, "xfs")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		return nil, err
	}
	if err := os.Truncate(image, size); err != nil {
		return nil, err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	if _, err := p.command("mkfs.xfs", "-q", "-m", "reflink=1", image); err != nil {
		return nil, err
	}
	_, err := p.command("mount", "-o", "loop", image, dir)
	return &xfs{p: p, dir: dir}, err
}

func (x *xfs) close() { _, _ = x.p.command("umount", x.dir) }
