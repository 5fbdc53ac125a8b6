package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"zenith/internal/api"
	"zenith/internal/pageserver"
)

const (
	fewBranches  = 10   // number of branches at the first measurement
	manyBranches = 1000 // and at the second
	timedCreates = 40   // number of branches that each measurement makes
)

// benchMany makes a thousand branches. It measures what one more costs, against fsyncs on the same disk in the
// same run; what listing them costs, against a start of psql; and what each takes on disk.
func benchMany(ctx context.Context, o options) ([]row, error) {
	p, err := newPlace(ctx, o)
	if err != nil {
		return nil, err
	}
	defer p.close()
	if _, err := p.zenith("init", "--pg-distrib", o.distrib); err != nil {
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

// branches makes branches on a page server, one after the other.
type branches struct {
	p       *place
	client  *pageserver.Client
	tenant  string
	url     string
	made    int      // number of branches so far
	fsynced *os.File // the file that fsync appends to
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
	return &branches{p: p, client: client, tenant: tenants[0], url: socketURL(addr), fsynced: f}, err
}

// startServer starts the page server and connects to it.
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

// socketURL gives the connection string for a page server by the path of its socket.
func socketURL(path string) string {
	return "postgresql:///zenith?port=" + pageserver.DefaultPort + "&host=" + filepath.Dir(path)
}

// address gives the path of the page server's socket.
func (p *place) address() (string, error) {
	text, err := os.ReadFile(filepath.Join(p.dir, ".zenith", "pageserver.addr"))
	return strings.TrimSpace(string(text)), err
}

// create makes a branch and gives the milliseconds that it took.
func (b *branches) create() (float64, error) {
	b.made++
	return milliseconds(func() error {
		_, err := b.client.BranchCreate(b.p.ctx, b.tenant, fmt.Sprintf("b%d", b.made), "main", api.BranchOptions{})
		return err
	})
}

// fsync appends a page to a file and gives the milliseconds of its fsync.
func (b *branches) fsync() (float64, error) {
	if _, err := b.fsynced.Write(make([]byte, 4096)); err != nil {
		return 0, err
	}
	return milliseconds(b.fsynced.Sync)
}

// timeCreates compares the creation of a branch with three times the median of an fsync.
func (b *branches) timeCreates(name string) (row, error) {
	r, err := compare(options{runs: timedCreates}, name, "3 fsyncs", "ms", b.create, b.fsync)
	r.Peer, r.Ratio = 3*r.Peer, r.Ratio/3
	return r, err
}

// disk gives the bytes on disk of the tenants' files. It restarts the page server, because some files are there
// only while it runs.
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
	b.url = socketURL(addr)
	return total, err
}
