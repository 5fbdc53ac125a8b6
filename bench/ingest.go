package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"zenith/internal/pg"
	"zenith/internal/xlog"
	"zenith/repo"
	"zenith/repo/ingest"
	"zenith/walredo"
)

// benchIngest takes recorded WAL in until all of it is settled in the store, against
// stock crash recovery of the same WAL from the same base.
func benchIngest(ctx context.Context, o options) ([]row, error) {
	var rows []row
	for _, fpw := range []string{"on", "off"} {
		rs, err := benchIngestOf(ctx, o, fpw)
		if err != nil {
			return nil, err
		}
		rows = append(rows, rs...)
	}
	return rows, nil
}

func benchIngestOf(ctx context.Context, o options, fpw string) ([]row, error) {
	p, err := newPlace(ctx, o)
	if err != nil {
		return nil, err
	}
	defer p.close()
	c, err := p.record(fpw)
	if err != nil {
		return nil, fmt.Errorf("record WAL: %w", err)
	}
	var records, bytes float64
	seconds := func() (float64, error) {
		n, b, s, err := c.ingest(ctx)
		records, bytes = float64(n), float64(b)
		return s, err
	}
	r, err := compare(o, "ingest until settled, pgbench WAL, full_page_writes="+fpw, "stock recovery (redo)", "s", seconds, c.recover)
	if err != nil {
		return nil, err
	}
	r.note = fmt.Sprintf("%.0f records, %.0f MB: ours %.0f k records/s, %.0f MB/s; stock %.0f k records/s, %.0f MB/s",
		records, bytes/1e6, records/r.Ours/1e3, bytes/r.Ours/1e6, records/r.Peer/1e3, bytes/r.Peer/1e6)
	return []row{r}, nil
}

// corpus is a base and the WAL that a server wrote after it, until it was killed.
type corpus struct {
	p             *place
	base, crashed string
	n             int
}

// record makes a corpus of TPC-B's WAL.
func (p *place) record(fpw string) (*corpus, error) {
	data := filepath.Join(p.dir, "pg", "data")
	n, err := p.initNative(data)
	if err != nil {
		return nil, err
	}
	if _, err := p.pg("pgbench", "-i", "-q", "-s", "20", n.url); err != nil {
		return nil, errors.Join(err, n.stop("immediate"))
	}
	if err := n.stop("fast"); err != nil {
		return nil, err
	}
	c := &corpus{p: p, base: data + ".base", crashed: data}
	if _, err := p.command("cp", "-a", data, c.base); err != nil {
		return nil, err
	}
	conf := "full_page_writes = " + fpw + "\nshared_buffers = 2GB\nmax_wal_size = 32GB\ncheckpoint_timeout = 1h\n" +
		"autovacuum = off\nbgwriter_lru_maxpages = 0\nsynchronous_commit = off\n"
	if err := appendFile(filepath.Join(data, "postgresql.conf"), conf); err != nil {
		return nil, err
	}
	if n, err = p.startNativeWith(data, ""); err != nil {
		return nil, err
	}
	_, err = p.pgbench(n.url, "-c", "8", "-j", "2", "-T", strconv.Itoa(2*p.o.seconds))
	return c, errors.Join(err, n.stop("immediate"))
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

var redoDone = regexp.MustCompile(`redo done at .* elapsed: ([0-9.]+) s`)

// recover lets stock postgres recover a copy, and gives the seconds that redo took.
func (c *corpus) recover() (float64, error) {
	c.n++
	data := c.crashed + strconv.Itoa(c.n)
	if _, err := c.p.command("cp", "-a", c.crashed, data); err != nil {
		return 0, err
	}
	defer os.RemoveAll(data)
	n, err := c.p.startNativeWith(data, "")
	if err != nil {
		return 0, err
	}
	if err := n.stop("immediate"); err != nil {
		return 0, err
	}
	log, err := os.ReadFile(data + ".log")
	if err != nil {
		return 0, err
	}
	m := redoDone.FindSubmatch(log)
	if m == nil {
		return 0, errors.New("the server's log has no 'redo done'")
	}
	return strconv.ParseFloat(string(m[1]), 64)
}

// ingest takes the WAL in, in a fresh repository, and says how many records and bytes in
// how many seconds.
func (c *corpus) ingest(ctx context.Context) (records int, bytes pg.LSN, seconds float64, err error) {
	c.n++
	dir := filepath.Join(c.p.dir, "repo"+strconv.Itoa(c.n))
	r, err := repo.Open(repo.Options{Dir: dir, Redo: walredo.Redo})
	if err != nil {
		return 0, 0, 0, err
	}
	defer func() { err = errors.Join(err, r.Close(), os.RemoveAll(dir)) }()
	tl, err := ingest.Import(ctx, r, c.base, ingest.ImportOptions{Name: "main"})
	if err != nil {
		return 0, 0, 0, err
	}
	if err := c.copyWAL(tl.WALDir()); err != nil {
		return 0, 0, 0, err
	}
	in, err := ingest.New(tl, ingest.Options{})
	if err != nil {
		return 0, 0, 0, err
	}
	start := tl.LastLSN()
	ms, err := milliseconds(func() error {
		if _, err := in.Catchup(ctx); err != nil {
			return err
		}
		return tl.Flush(ctx)
	})
	if err != nil {
		return 0, 0, 0, err
	}
	records, err = count(tl, start)
	return records, tl.LastLSN() - start, ms / 1000, err
}

// copyWAL puts the server's segments in place of those of the import.
func (c *corpus) copyWAL(dir string) error {
	segments, err := filepath.Glob(filepath.Join(c.crashed, "pg_wal", strings.Repeat("[0-9A-F]", 24)))
	if err != nil {
		return err
	}
	_, err = c.p.command("cp", append(segments, dir)...)
	return err
}

// count reads the records from start on.
func count(tl *repo.Timeline, start pg.LSN) (n int, err error) {
	reader := xlog.NewReader(tl.WAL(), xlog.Config{SegSize: tl.Info().SegSize}, start)
	var rec xlog.Record
	for ; ; n++ {
		switch err := reader.Next(&rec); {
		case errors.Is(err, io.EOF):
			return n, nil
		case err != nil:
			return n, err
		}
	}
}
