package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// place is the temporary directory of one benchmark, with the programs that it runs there.
type place struct {
	o      options
	dir    string
	ctx    context.Context
	memory *memoryWatch // watches its page server
}

// newPlace makes a directory that the account of postgres can reach.
func newPlace(ctx context.Context, o options) (*place, error) {
	dir, err := os.MkdirTemp("", "zbench")
	if err != nil {
		return nil, err
	}
	p := &place{o: o, dir: dir, ctx: ctx}
	p.memory = watchMemory(o.memory, func() (int, error) { return pidIn(p.daemon()) })
	return p, os.Chmod(dir, 0o755)
}

// daemon gives the path of the page server's pid file.
func (p *place) daemon() string { return filepath.Join(p.dir, ".zenith", "pageserver.pid") }

// tidy is called before commands that clean up: they run even after an interrupt, which cancels all others.
func (p *place) tidy() { p.ctx = context.WithoutCancel(p.ctx) }

func (p *place) close() {
	p.tidy()
	if err := p.memory.stop(); err != nil {
		fmt.Fprintln(os.Stderr, "bench: memory of the page server:", err)
	}
	_, _ = p.zenith("stop")
	os.RemoveAll(p.dir)
}

// command runs a program and gives what it prints to standard output.
func (p *place) command(name string, args ...string) (string, error) {
	cmd := exec.CommandContext(p.ctx, name, args...)
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Dir = &out, &stderr, p.dir
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s %s: %w: %s", filepath.Base(name), strings.Join(args, " "), err, stderr.Bytes())
	}
	return strings.TrimSpace(out.String()), nil
}

// serve makes a work directory, with args for zenith init, and starts its page server.
func (p *place) serve(args ...string) error {
	_, err := p.zenith(append([]string{"init", "--pg-distrib", p.o.distrib}, args...)...)
	if err == nil {
		_, err = p.zenith("start")
	}
	return err
}

func (p *place) zenith(args ...string) (string, error) {
	return p.command(p.o.binary, append([]string{"-D", filepath.Join(p.dir, ".zenith")}, args...)...)
}

// start runs postgres at a point and gives its connection string.
func (p *place) start(point string, args ...string) (string, error) {
	if !strings.Contains(point, "@") { // over TCP, as to a native server; what runs on a scratch mount has none
		args = append(args, "--tcp")
	}
	out, err := p.zenith(append([]string{"pg", "start", point}, args...)...)
	return out[strings.LastIndexByte(out, '\n')+1:], err
}

func (p *place) pg(name string, args ...string) (string, error) {
	return p.command(filepath.Join(p.o.distrib, "bin", name), args...)
}

// asPostgres runs a program as the account that runs postgres: "postgres" if this process is root's.
func (p *place) asPostgres(name string, args ...string) (string, error) {
	if os.Geteuid() == 0 {
		return p.command("runuser", append([]string{"-u", "postgres", "--", name}, args...)...)
	}
	return p.command(name, args...)
}

func (p *place) sql(url, query string) (string, error) {
	return p.pg("psql", url, "-XqAt", "-v", "ON_ERROR_STOP=1", "-c", query)
}

// sharedBuffers is the shared_buffers of both sides.
const sharedBuffers = "128MB"

// native is a postgres with its default durability on an ordinary directory.
type native struct {
	p         *place
	data, url string
}

// initNative makes a cluster in dir and starts it.
func (p *place) initNative(dir string) (*native, error) {
	if err := p.ownDir(filepath.Dir(dir)); err != nil {
		return nil, err
	}
	if _, err := p.asPostgres(filepath.Join(p.o.distrib, "bin/initdb"), "-D", dir, "-U", "postgres", "-A", "trust", "-N", "-k"); err != nil {
		return nil, err
	}
	return p.startNative(dir)
}

// ownDir makes a directory that belongs to the account that runs postgres.
func (p *place) ownDir(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return nil
	}
	_, err := p.command("chown", "postgres:", dir)
	return err
}

func (p *place) startNative(dir string) (*native, error) {
	return p.startNativeWith(dir, "-c max_wal_size=4GB -c shared_buffers="+sharedBuffers)
}

// startNativeWith starts a server on dir with settings, which are options of postgres.
func (p *place) startNativeWith(dir, settings string) (*native, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	opts := fmt.Sprintf("-p %d -k '' -c listen_addresses=127.0.0.1 %s", port, settings)
	_, err = p.asPostgres(filepath.Join(p.o.distrib, "bin/pg_ctl"), "-D", dir, "-l", dir+".log", "-w", "-o", opts, "start")
	return &native{p: p, data: dir, url: fmt.Sprintf("postgresql://postgres@127.0.0.1:%d/postgres", port)}, err
}

func (n *native) stop(mode string) error {
	_, err := n.p.asPostgres(filepath.Join(n.p.o.distrib, "bin/pg_ctl"), "-D", n.data, "-w", "-m", mode, "stop")
	return err
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// pgbench runs a load and gives its transactions per second.
func (p *place) pgbench(url string, args ...string) (float64, error) {
	out, err := p.pg("pgbench", append(append([]string{"-n"}, args...), url)...)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(out) {
		if rest, ok := strings.CutPrefix(line, "tps = "); ok {
			return strconv.ParseFloat(strings.Fields(rest)[0], 64)
		}
	}
	return 0, errors.New("pgbench says no tps")
}

// warm reads all relations of a data directory, so that the kernel has them in its cache. The kernel may drop
// pages that nobody uses even if memory is free, for example if a virtual machine's host wants memory back.
func warm(data string) error {
	return filepath.WalkDir(filepath.Join(data, "base"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a temporary file, deleted meanwhile
		}
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(io.Discard, f)
		return err
	})
}

// settle finishes what earlier loads have left to do, so that it does not disturb the next one: it vacuums,
// writes dirty pages, and waits until the processes of the pid files are at rest.
func (p *place) settle(urls []string, pidFiles ...string) error {
	for _, url := range urls {
		for _, query := range []string{"VACUUM ANALYZE", "CHECKPOINT"} {
			if _, err := p.sql(url, query); err != nil {
				return err
			}
		}
	}
	if _, err := p.command("sync"); err != nil {
		return err
	}
	const look, calm, patience = time.Second, 2 * tick, 60
	before, err := cpuOf(pidFiles...)
	for range patience {
		if err != nil {
			return err
		}
		time.Sleep(look)
		var now time.Duration
		if now, err = cpuOf(pidFiles...); err == nil && now-before <= calm {
			return nil
		}
		before = now
	}
	return errors.New("the servers do not come to rest")
}

// milliseconds gives how long fn takes.
func milliseconds(fn func() error) (float64, error) {
	began := time.Now()
	err := fn()
	return float64(time.Since(began).Microseconds()) / 1000, err
}
