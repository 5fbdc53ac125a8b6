package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// load is the work that a server does while the WAL of a corpus is recorded.
type load struct {
	name   string
	file   string                           // the corpus's name in the directory of -corpora
	config string                           // lines for postgresql.conf
	fill   func(p *place, url string) error // makes the tables, before the base is copied
	run    func(p *place, url string) error // does the work that is recorded
}

// tpcbTransactions is how many transactions each client runs: enough for stock recovery to take some seconds.
const tpcbTransactions = 100_000

// tpcb is pgbench's TPC-B, with full_page_writes on or off.
func tpcb(fpw string) load {
	return load{
		name:   "pgbench WAL, full_page_writes=" + fpw,
		file:   "tpcb-" + fpw,
		config: "full_page_writes = " + fpw,
		fill: func(p *place, url string) error {
			_, err := p.pg("pgbench", "-i", "-q", "-s", "20", url)
			return err
		},
		run: func(p *place, url string) error {
			_, err := p.pgbench(url, "-M", "prepared", "-c", "8", "-j", "2", "-t", strconv.Itoa(tpcbTransactions))
			return err
		},
	}
}

// corpus is recorded WAL: a base, which is the data directory of a stopped server, and the directory of the
// same server after it wrote WAL and was killed.
type corpus struct {
	p             *place
	base, crashed string // data directories, before and after
	n             int    // number of directories made from it so far, for their names
}

// record makes a corpus, or takes one that an earlier run has left in the directory of -corpora. A file
// "whole" beside it says that it is complete.
func (p *place) record(l load) (*corpus, error) {
	dir := filepath.Join(p.dir, "pg")
	if p.o.corpora != "" {
		dir = filepath.Join(p.o.corpora, l.file)
	}
	data, whole := filepath.Join(dir, "data"), filepath.Join(dir, "whole")
	c := &corpus{p: p, base: data + ".base", crashed: data}
	if _, err := os.Stat(whole); err == nil {
		return c, nil
	}
	n, err := p.initNative(data)
	if err != nil {
		return nil, err
	}
	if err := l.fill(p, n.url); err != nil {
		return nil, errors.Join(err, n.stop("immediate"))
	}
	if err := n.stop("fast"); err != nil {
		return nil, err
	}
	if _, err := p.command("cp", "-a", data, c.base); err != nil {
		return nil, err
	}
	conf := l.config + "\nshared_buffers = 2GB\nmax_wal_size = 32GB\ncheckpoint_timeout = 1h\n" +
		"autovacuum = off\nbgwriter_lru_maxpages = 0\nsynchronous_commit = off\n"
	if err := appendFile(filepath.Join(data, "postgresql.conf"), conf); err != nil {
		return nil, err
	}
	if n, err = p.startNativeWith(data, ""); err != nil {
		return nil, err
	}
	if err := errors.Join(l.run(p, n.url), n.stop("immediate")); err != nil {
		return nil, err
	}
	return c, os.WriteFile(whole, nil, 0o644)
}

func appendFile(path, text string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(text)
	return err
}

// recovery is how long stock recovery took, as its log says: elapsed time and CPU time, in seconds.
type recovery struct{ elapsed, user, system float64 }

var redoDone = regexp.MustCompile(`redo done at .* CPU: user: ([0-9.]+) s, system: ([0-9.]+) s, elapsed: ([0-9.]+) s`)

// recover has stock postgres recover a copy of the crashed directory, and removes the copy.
func (c *corpus) recover() (recovery, error) {
	r, data, err := c.recovered("immediate")
	return r, errors.Join(err, os.RemoveAll(data))
}

// recovered has stock postgres recover a copy of the crashed directory and stops it in the given mode. data is
// the copy, which the caller removes.
func (c *corpus) recovered(stop string) (r recovery, data string, err error) {
	c.n++
	data = filepath.Join(c.p.dir, "stock", "data"+strconv.Itoa(c.n))
	if err := c.p.ownDir(filepath.Dir(data)); err != nil {
		return r, data, err
	}
	if _, err := c.p.command("cp", "-a", c.crashed, data); err != nil {
		return r, data, err
	}
	n, err := c.p.startNativeWith(data, "")
	if err != nil {
		return r, data, err
	}
	if err := n.stop(stop); err != nil {
		return r, data, err
	}
	log, err := os.ReadFile(data + ".log")
	if err != nil {
		return r, data, err
	}
	m := redoDone.FindSubmatch(log)
	if m == nil {
		return r, data, errors.New("the server's log has no 'redo done'")
	}
	for i, v := range []*float64{&r.user, &r.system, &r.elapsed} {
		if *v, err = strconv.ParseFloat(string(m[i+1]), 64); err != nil {
			return r, data, fmt.Errorf("the server's log: %w", err)
		}
	}
	return r, data, nil
}

// segments lists the crashed server's WAL segments, in order.
func (c *corpus) segments() ([]string, error) {
	return filepath.Glob(filepath.Join(c.crashed, "pg_wal", strings.Repeat("[0-9A-F]", 24)))
}
