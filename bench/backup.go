package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"zenith/internal/pageserver"
)

// backupScale is the scale of pgbench's tables in the backups: about 450 MB.
const backupScale = 30

// benchBackup measures how fast the page server sends a full copy of a branch, which is thrown away. The peer
// is pg_basebackup from a server on an ordinary directory with the same tables.
func benchBackup(ctx context.Context, o options) ([]row, error) {
	p, err := newPlace(ctx, o)
	if err != nil {
		return nil, err
	}
	defer p.close()
	if err := p.serve(); err != nil {
		return nil, err
	}
	url, err := p.start("main")
	if err != nil {
		return nil, err
	}
	n, err := p.initNative(filepath.Join(p.dir, "pg", "data"))
	if err != nil {
		return nil, err
	}
	defer n.stop("immediate")
	for _, u := range []string{url, n.url} {
		if _, err := p.pg("pgbench", "-i", "-q", "-s", strconv.Itoa(backupScale), u); err != nil {
			return nil, err
		}
		if err := p.work(u); err != nil {
			return nil, err
		}
	}
	// After the restart, all history is in the store, as it is for a branch on which nothing runs.
	if _, err := p.zenith("pg", "stop", "main"); err != nil {
		return nil, err
	}
	if _, err := p.zenith("restart"); err != nil {
		return nil, err
	}
	peer := func() (float64, error) { return p.backupRate(p.stockBackup(n.url)) }
	full, err := compare(o, "fullbackup of a branch", "pg_basebackup from a server", "MB/s",
		func() (float64, error) { return p.backupRate(p.export()) }, peer)
	if err != nil {
		return nil, err
	}
	conninfo, err := p.replication()
	if err != nil {
		return nil, err
	}
	stock, err := compare(o, "pg_basebackup from the page server", "pg_basebackup from a server", "MB/s",
		func() (float64, error) { return p.backupRate(p.stockBackup(conninfo)) }, peer)
	return []row{full, stock}, err
}

func (p *place) export() *exec.Cmd {
	return exec.CommandContext(p.ctx, p.o.binary, "-q", "-D", filepath.Join(p.dir, ".zenith"), "export", "main", "--tar", "-")
}

func (p *place) stockBackup(conninfo string) *exec.Cmd {
	return exec.CommandContext(p.ctx, filepath.Join(p.o.distrib, "bin/pg_basebackup"),
		"-d", conninfo, "-D", "-", "-Ft", "-X", "none", "-c", "fast", "--no-manifest")
}

// replication gives the conninfo with which PostgreSQL's own replication clients reach the page server.
func (p *place) replication() (string, error) {
	socket, err := p.address()
	return fmt.Sprintf("host=%s port=%s user=zenith", filepath.Dir(socket), pageserver.DefaultPort), err
}

// counter counts the bytes that are written to it, and throws them away.
type counter int64

// Write implements io.Writer.
func (c *counter) Write(b []byte) (int, error) {
	*c += counter(len(b))
	return len(b), nil
}

// backupRate runs a command and gives how many MB per second it writes to its standard output.
func (p *place) backupRate(cmd *exec.Cmd) (float64, error) {
	var out counter
	var stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Dir = &out, &stderr, p.dir
	began := time.Now()
	if err := cmd.Run(); err != nil {
		return 0, fmt.Errorf("%s: %w: %s", filepath.Base(cmd.Path), err, stderr.Bytes())
	}
	if out < 100e6 {
		return 0, errors.New("the backup is too small to be one")
	}
	return float64(out) / 1e6 / time.Since(began).Seconds(), nil
}
