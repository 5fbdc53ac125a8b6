package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

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
	for _, l := range []load{tpcb("on"), tpcb("off")} {
		rs, err := benchIngestOf(ctx, o, l)
		if err != nil {
			return nil, err
		}
		rows = append(rows, rs...)
	}
	return rows, nil
}

func benchIngestOf(ctx context.Context, o options, l load) ([]row, error) {
	p, err := newPlace(ctx, o)
	if err != nil {
		return nil, err
	}
	defer p.close()
	c, err := p.record(l)
	if err != nil {
		return nil, fmt.Errorf("record WAL: %w", err)
	}
	var records, bytes float64
	seconds := func() (float64, error) {
		n, b, s, err := c.ingest(ctx)
		records, bytes = float64(n), float64(b)
		return s, err
	}
	stock := func() (float64, error) {
		r, err := c.recover()
		return r.elapsed, err
	}
	r, err := compare(o, "ingest until settled, "+l.name, "stock recovery (redo)", "s", seconds, stock)
	if err != nil {
		return nil, err
	}
	r.note = fmt.Sprintf("%.0f records, %.0f MB: ours %.0f k records/s, %.0f MB/s; stock %.0f k records/s, %.0f MB/s",
		records, bytes/1e6, records/r.Ours/1e3, bytes/r.Ours/1e6, records/r.Peer/1e3, bytes/r.Peer/1e6)
	return []row{r}, nil
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
	segments, err := c.segments()
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
