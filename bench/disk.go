package main

import (
	"context"
	"io/fs"
	"path/filepath"
	"strconv"
	"syscall"
)

// diskScale is of pgbench: 300 MB.
const diskScale = 20

// benchDisk forgets all history of a branch that has some, and compares what is left with the
// plain data directory of the same state.
func benchDisk(ctx context.Context, o options) ([]row, error) {
	var us, them []float64
	for range o.runs {
		ours, peer, err := diskAfterRetention(ctx, o)
		if err != nil {
			return nil, err
		}
		us, them = append(us, ours/1e6), append(them, peer/1e6)
	}
	return []row{newRow("bytes on disk after retention dropped all history", "the plain data directory", "MB", us, them)}, nil
}

// diskAfterRetention gives the bytes that a tenant takes then, and those of an export of it.
func diskAfterRetention(ctx context.Context, o options) (ours, plain float64, err error) {
	p, err := newPlace(ctx, o)
	if err != nil {
		return 0, 0, err
	}
	defer p.close()
	if err := p.serve(); err != nil {
		return 0, 0, err
	}
	url, err := p.start("main")
	if err != nil {
		return 0, 0, err
	}
	if _, err := p.pg("pgbench", "-i", "-q", "-s", strconv.Itoa(diskScale), url); err != nil {
		return 0, 0, err
	}
	if _, err := p.pgbench(url, "-c", "8", "-j", "2", "-t", strconv.Itoa(500*diskScale)); err != nil {
		return 0, 0, err
	}
	exported := filepath.Join(p.dir, "plain")
	for _, args := range [][]string{{"pg", "stop", "main"}, {"export", "main", "--dir", exported}, {"gc", "main", "--retain", "0"}, {"stop"}} {
		if _, err := p.zenith(args...); err != nil {
			return 0, 0, err
		}
	}
	if plain, err = diskUse(exported); err != nil {
		return 0, 0, err
	}
	ours, err = diskUse(filepath.Join(p.dir, ".zenith", "tenants"))
	return ours, plain, err
}

// diskUse is how many bytes of disk dir and all below it have.
func diskUse(dir string) (n float64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			n += float64(st.Blocks) * 512
		}
		return nil
	})
	return n, err
}
