package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"zenith/internal/pageserver"
	"zenith/internal/pg"
)

// benchLag follows a native server on the same machine, on which pgbench makes its tables and runs TPC-B. It
// measures how long after the server flushed a record that record can be read here and is durable. The bound
// is a second.
func benchLag(ctx context.Context, o options) ([]row, error) {
	p, err := newPlace(ctx, o)
	if err != nil {
		return nil, err
	}
	defer p.close()
	server, err := p.initNative(filepath.Join(p.dir, "native", "data"))
	if err != nil {
		return nil, err
	}
	defer server.stop("fast")
	if _, err := p.zenith("init", "--pg-distrib", o.distrib, "--from-server", server.url); err != nil {
		return nil, err
	}
	f := &follower{p: p}
	if f.client, err = p.startServer(); err != nil {
		return nil, err
	}
	defer f.client.Close()
	tenants, err := f.client.TenantList(ctx)
	if err != nil {
		return nil, err
	}
	f.tenant = tenants[0]
	if err := f.ask(server.url); err != nil {
		return nil, err
	}
	defer f.close()

	var rows []row
	for _, load := range []struct {
		name string
		args []string
	}{
		{"pgbench -i -s 40", []string{"-i", "-q", "-s", "40", server.url}},
		{"TPC-B, 8 clients", []string{"-n", "-c", "8", "-j", "2", "-T", strconv.Itoa(o.seconds), server.url}},
	} {
		rs, err := f.under(load.name, func() error { _, err := p.pg("pgbench", load.args...); return err })
		if err != nil {
			return nil, err
		}
		rows = append(rows, rs...)
	}
	return rows, nil
}

// follower compares where a server's WAL ends with how far the receiver of the page server is.
type follower struct {
	p      *place
	client *pageserver.Client
	tenant string

	psql    *exec.Cmd
	in      io.WriteCloser
	answers *bufio.Scanner
}

// ask opens a psql session with the server, so that a question costs no new connection.
func (f *follower) ask(url string) (err error) {
	f.psql = exec.CommandContext(f.p.ctx, filepath.Join(f.p.o.distrib, "bin/psql"), url, "-XqAt")
	if f.in, err = f.psql.StdinPipe(); err != nil {
		return err
	}
	out, err := f.psql.StdoutPipe()
	if err != nil {
		return err
	}
	f.answers = bufio.NewScanner(out)
	return f.psql.Start()
}

func (f *follower) close() {
	f.in.Close()
	_ = f.psql.Wait() // psql ends at the end of its input
}

// flushed asks the server where its durable WAL ends.
func (f *follower) flushed() (pg.LSN, error) {
	if _, err := io.WriteString(f.in, "SELECT pg_current_wal_flush_lsn();\n"); err != nil {
		return 0, err
	}
	if !f.answers.Scan() {
		return 0, fmt.Errorf("psql gives no answer: %w", f.answers.Err())
	}
	return pg.ParseLSN(f.answers.Text())
}

const (
	sampleEvery = 50 * time.Millisecond // pause between two samples
	lookEvery   = 2 * time.Millisecond  // pause between two questions to the page server, during a sample
)

// sample gives the seconds until the WAL that the server has flushed now is applied here.
func (f *follower) sample() (float64, error) {
	want, err := f.flushed()
	if err != nil {
		return 0, err
	}
	for began := time.Now(); ; time.Sleep(lookEvery) {
		list, err := f.client.ReceiveList(f.p.ctx, f.tenant)
		if err != nil || len(list) != 1 {
			return 0, fmt.Errorf("%d receivers: %w", len(list), err)
		}
		took := time.Since(began).Seconds()
		if list[0].Applied >= want {
			return took, nil
		}
		if took > 120 {
			return 0, fmt.Errorf("the receiver is %s at %v after two minutes, not at %v: %s", list[0].Status, list[0].Applied, want, list[0].LastError)
		}
	}
}

// under takes samples as long as the load runs, and makes a row of their median and one of the worst.
func (f *follower) under(name string, load func() error) ([]row, error) {
	from, err := f.flushed()
	if err != nil {
		return nil, err
	}
	began, done := time.Now(), make(chan error, 1)
	go func() { done <- load() }()
	var lags []float64
	for running := true; running; {
		lag, err := f.sample()
		if err != nil {
			return nil, err
		}
		lags = append(lags, lag)
		select {
		case err = <-done:
			running = false
		case <-time.After(sampleEvery):
		}
		if err != nil {
			return nil, err
		}
	}
	took := time.Since(began).Seconds()
	to, err := f.flushed()
	if err != nil {
		return nil, err
	}
	note := fmt.Sprintf("%d samples, %.1f MB/s of WAL", len(lags), float64(to-from)/1e6/took)
	half, worst := median(lags), slices.Max(lags)
	return []row{
		{Name: strings.Join([]string{"receiver's lag", name, "median"}, ", "), Ours: half, Peer: 1, PeerName: "the bound", Ratio: half, Unit: "s", Spread: spread(lags), Note: note},
		{Name: strings.Join([]string{"receiver's lag", name, "worst"}, ", "), Ours: worst, Peer: 1, PeerName: "the bound", Ratio: worst, Unit: "s"},
	}, nil
}
