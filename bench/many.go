package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"zenith/internal/pageserver"
)

// How many branches there are when benchMany looks.
const (
	fewBranches  = 10
	manyBranches = 1000
	timedCreates = 40
)

// benchMany has a thousand branches: what creating one more costs, against fsyncs of the same
// disk in the same run; what listing them costs, against a start of psql; what each takes.
func benchMany(ctx context.Context, o options) ([]row, error) {
	p, err := newPlace(ctx, o)
	if err != nil {
		return nil, err
	}
	defer p.close()
	if _, err := p.zenith("init", "--pg-distrib", o.distrib, "--listen", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	b, err := p.openBranches()
	if err != nil {
		return nil, err
	}
	defer b.client.Close()
	var rows []row
	empty := 0.0
	for _, n := range []int{fewBranches, manyBranches} {
		for b.made < n {
			if _, err := b.create(); err != nil {
				return nil, err
			}
		}
		if n == fewBranches {
			if empty, err = b.disk(); err != nil {
				return nil, err
			}
		}
		r, err := b.timeCreates(fmt.Sprintf("create a branch beside %d", n))
		if err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	full, err := b.disk()
	if err != nil {
		return nil, err
	}
	each := (full - empty) / float64(b.made-fewBranches) / 1024
	rows = append(rows, row{Name: "disk space of a branch", Ours: each, Peer: 16, PeerName: "the bound", Ratio: each / 16, Unit: "KiB"})
	wire, err := compare(options{runs: 5 * o.runs}, fmt.Sprintf("branch_list of %d", b.made), "a start of psql", "ms",
		func() (float64, error) {
			return milliseconds(func() error { _, err := b.client.BranchList(ctx, b.tenant); return err })
		},
		func() (float64, error) {
			return milliseconds(func() error { _, err := p.pg("psql", b.url, "-Xqc", "SET x = 1"); return err })
		})
	if err != nil {
		return nil, err
	}
	cli, err := compare(options{runs: 5 * o.runs}, fmt.Sprintf("zenith branch, of %d", b.made), "a start of psql on the path", "ms",
		func() (float64, error) {
			return milliseconds(func() error { _, err := p.zenith("branch"); return err })
		},
		func() (float64, error) {
			return milliseconds(func() error { _, err := p.command("psql", b.url, "-Xqc", "SET x = 1"); return err })
		})
	return append(rows, wire, cli), err
}

// branches are what a page server is given, one after the other.
type branches struct {
	p       *place
	client  *pageserver.Client
	tenant  string
	url     string
	made    int
	fsynced *os.File
}

func (p *place) openBranches() (*branches, error) {
	client, err := p.startServer()
	if err != nil {
		return nil, err
	}
	tenants, err := client.TenantList(p.ctx)
	if err != nil {
		return nil, err
	}
	addr, err := p.address()
	if err != nil {
		return nil, err
	}
	f, err := os.Create(filepath.Join(p.dir, "fsynced"))
	return &branches{p: p, client: client, tenant: tenants[0], url: "postgresql://" + addr + "/", fsynced: f}, err
}

// startServer starts the page server and connects.
func (p *place) startServer() (*pageserver.Client, error) {
	if _, err := p.zenith("start"); err != nil {
		return nil, err
	}
	addr, err := p.address()
	if err != nil {
		return nil, err
	}
	return pageserver.Dial(p.ctx, addr)
}

// address is where the page server listens.
func (p *place) address() (string, error) {
	text, err := os.ReadFile(filepath.Join(p.dir, ".zenith", "pageserver.addr"))
	return strings.TrimSpace(string(text)), err
}

// create makes a branch, and gives the milliseconds.
func (b *branches) create() (float64, error) {
	b.made++
	return milliseconds(func() error {
		_, err := b.client.BranchCreate(b.p.ctx, b.tenant, fmt.Sprintf("b%d", b.made), "main")
		return err
	})
}

// fsync gives the milliseconds of an fsync of what was appended to a file.
func (b *branches) fsync() (float64, error) {
	if _, err := b.fsynced.Write(make([]byte, 4096)); err != nil {
		return 0, err
	}
	return milliseconds(b.fsynced.Sync)
}

// timeCreates compares with three fsyncs: medians, taken in turn.
func (b *branches) timeCreates(name string) (row, error) {
	r, err := compare(options{runs: timedCreates}, name, "3 fsyncs", "ms", b.create, b.fsync)
	r.Peer, r.Ratio = 3*r.Peer, r.Ratio/3
	return r, err
}

// disk is what the tenants' files take, once the page server has put away what it needs to run only.
func (b *branches) disk() (float64, error) {
	if _, err := b.p.zenith("stop"); err != nil {
		return 0, err
	}
	total, err := diskUse(filepath.Join(b.p.dir, ".zenith", "tenants"))
	if err != nil {
		return 0, err
	}
	b.client.Close()
	if b.client, err = b.p.startServer(); err != nil {
		return 0, err
	}
	addr, err := b.p.address()
	b.url = "postgresql://" + addr + "/"
	return total, err
}
