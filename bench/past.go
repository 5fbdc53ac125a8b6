package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"
)

const (
	pastScale = 10   // scale of pgbench's tables: pgbench_accounts has 130 MB
	pastReads = 2000 // number of pages that a run reads, each once
)

// benchPast reads single pages at random from mounts of the past, right after the page server was started.
// Each page is rebuilt from an image and some records; the peer is go-fuse's loopback of a copy. Two more rows
// read pages on branches of branches; their peer is a single branch.
func benchPast(ctx context.Context, o options) ([]row, error) {
	p, err := newPlace(ctx, o)
	if err != nil {
		return nil, err
	}
	defer p.close()
	q := &past{place: p, depths: map[int]string{}}
	if err := q.build(); err != nil {
		return nil, err
	}
	rows, err := q.againstLoopback(o)
	if err != nil {
		return nil, err
	}
	if err := q.deepen(100); err != nil {
		return nil, err
	}
	for _, depth := range []int{10, 100} {
		r, err := compare(o, fmt.Sprintf("the same, branch depth %d, p50", depth), "depth 1", "us",
			func() (float64, error) { return q.median(q.depths[depth]) },
			func() (float64, error) { return q.median(q.depths[1]) })
		if err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// past is a tenant with a history.
type past struct {
	*place
	at     string         // a point of the past
	path   string         // path of the table's file in a data directory
	copied string         // a directory with a copy of that file as it was at that point
	depths map[int]string // points on branches, by the number of ancestors that the branch has
	n      int            // number of mounts so far, for their names
}

// build makes a table, then about ten records for each of its pages, and then more of them behind the point.
func (q *past) build() error {
	if err := q.serve(); err != nil {
		return err
	}
	url, err := q.start("main", "--set", "autovacuum=off")
	if err != nil {
		return err
	}
	if _, err := q.pg("pgbench", "-i", "-q", "-s", strconv.Itoa(pastScale), url); err != nil {
		return err
	}
	if _, err := q.pgbench(url, "-c", "8", "-j", "2", "-t", strconv.Itoa(1000*pastScale)); err != nil {
		return err
	}
	if q.path, err = q.sql(url, "SELECT pg_relation_filepath('pgbench_accounts')"); err != nil {
		return err
	}
	lsn, err := q.sql(url, "SELECT pg_current_wal_flush_lsn()")
	if err != nil {
		return err
	}
	q.at = "main@" + lsn
	if _, err := q.pgbench(url, "-c", "8", "-j", "2", "-t", strconv.Itoa(200*pastScale)); err != nil {
		return err
	}
	if _, err := q.zenith("pg", "stop", "main"); err != nil {
		return err
	}
	q.copied = filepath.Join(q.dir, "copied")
	return q.mounted(q.at, func(root string) error {
		to := filepath.Join(q.copied, q.path)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		_, err := q.command("cp", filepath.Join(root, q.path), to)
		return err
	})
}

// mounted mounts point read-only, and calls fn with the directory.
func (q *past) mounted(point string, fn func(root string) error) (err error) {
	q.n++
	dir := filepath.Join(q.dir, "mnt"+strconv.Itoa(q.n))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	if _, err := q.zenith("mount", point, dir); err != nil {
		return err
	}
	defer func() {
		_, e := q.zenith("umount", dir)
		err = errors.Join(err, e)
	}()
	return fn(dir)
}

// againstLoopback compares the median and the 99th percentile of the time of a read with go-fuse's loopback.
func (q *past) againstLoopback(o options) ([]row, error) {
	loopback := filepath.Join(q.dir, "loopback")
	build := exec.CommandContext(q.ctx, "go", "build", "-o", loopback, "zenith/bench/loopback")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the peer: %w: %s", err, out)
	}
	var ours, peer [2][]float64 // p50, p99
	for range o.runs {
		us, err := q.cold(q.at)
		if err != nil {
			return nil, err
		}
		them, err := q.loopback(loopback)
		if err != nil {
			return nil, err
		}
		for i, p := range []float64{0.5, 0.99} {
			ours[i], peer[i] = append(ours[i], percentile(us, p)), append(peer[i], percentile(them, p))
		}
	}
	name := "read of a page in the past, daemon cold, behind up to 10 records, "
	return []row{
		newRow(name+"p50", "go-fuse loopback of a copy", "us", ours[0], peer[0]),
		newRow(name+"p99", "go-fuse loopback of a copy", "us", ours[1], peer[1]),
	}, nil
}

// cold restarts the page server, so that it has nothing in its caches, and gives the microseconds of each read
// from a mount of point.
func (q *past) cold(point string) (us []float64, err error) {
	if _, err := q.zenith("stop"); err != nil {
		return nil, err
	}
	if _, err := q.zenith("start"); err != nil {
		return nil, err
	}
	err = q.mounted(point, func(root string) error {
		us, err = readPages(filepath.Join(root, q.path))
		return err
	})
	return us, err
}

func (q *past) median(point string) (float64, error) {
	us, err := q.cold(point)
	return percentile(us, 0.5), err
}

// loopback gives the microseconds of each read of the copy through the peer's mount.
func (q *past) loopback(program string) (us []float64, err error) {
	q.n++
	dir := filepath.Join(q.dir, "mnt"+strconv.Itoa(q.n))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(q.ctx, program, dir, q.copied)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	defer func() {
		// At SIGTERM the peer unmounts and ends.
		err = errors.Join(err, cmd.Process.Signal(syscall.SIGTERM), cmd.Wait())
	}()
	path := filepath.Join(dir, q.path)
	for range 500 {
		if _, err := os.Stat(path); err == nil {
			return readPages(path)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil, errors.New("the peer does not mount")
}

// readPages reads pages of a file at random, each once, and gives the microseconds that
// each took.
func readPages(path string) ([]float64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	// Without readahead, which would bring pages into the kernel's cache that are to be read later.
	const fadvRandom = 1
	if _, _, e := syscall.Syscall6(syscall.SYS_FADVISE64, f.Fd(), 0, 0, fadvRandom, 0, 0); e != 0 {
		return nil, e
	}
	page := make([]byte, 8192)
	blocks := rand.New(rand.NewPCG(1, 2)).Perm(int(st.Size() / int64(len(page))))
	us := make([]float64, 0, pastReads)
	for _, block := range blocks[:min(len(blocks), pastReads)] {
		began := time.Now()
		if _, err := f.ReadAt(page, int64(block)*int64(len(page))); err != nil {
			return nil, err
		}
		us = append(us, float64(time.Since(began).Nanoseconds())/1e3)
	}
	return us, nil
}

func percentile(v []float64, p float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	return s[min(len(s)-1, int(float64(len(s))*p))]
}

// deepen makes a branch of the point, a branch of that branch, and so on, and has postgres write to a few pages
// on each. A read on the last branch finds its pages on all of the ancestors.
func (q *past) deepen(depth int) error {
	from := q.at
	for i := 1; i <= depth; i++ {
		name := "b" + strconv.Itoa(i)
		if _, err := q.zenith("branch", name, from); err != nil {
			return err
		}
		url, err := q.start(name, "--set", "autovacuum=off")
		if err != nil {
			return err
		}
		update := fmt.Sprintf("UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid %% 5000 = %d", i)
		if _, err := q.sql(url, update); err != nil {
			return err
		}
		lsn, err := q.sql(url, "SELECT pg_current_wal_flush_lsn()")
		if err != nil {
			return err
		}
		if _, err := q.zenith("pg", "stop", name, "--destroy"); err != nil {
			return err
		}
		from = name
		q.depths[i] = name + "@" + lsn
	}
	return nil
}
