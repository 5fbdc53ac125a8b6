package main

import (
	"context"
	"io/fs"
	"path/filepath"
	"strconv"
	"syscall"
)

// diskScale is the scale of pgbench's tables: 300 MB.
const diskScale = 20

// benchDisk makes history on a branch, forgets all of it, and compares the disk space that is left with that
// of a plain data directory of the same state.
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

// diskAfterRetention gives the bytes on disk of a tenant whose history was forgotten, and of an export of its
// head.
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
	for _, args := range [][]string{{"pg", "stop", "main"}, {"export", "main", "--dir", exported}, {"gc", "main", "--retain", "0B", "--force"}, {"stop"}} {
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

// diskUse gives the bytes on disk that dir and everything below it take up: blocks, not file sizes.
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
