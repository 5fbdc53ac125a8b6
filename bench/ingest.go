package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"zenith/internal/pg"
	"zenith/internal/xlog"
	"zenith/repo"
	"zenith/repo/ingest"
	"zenith/walredo"
)

// benchIngest ingests recorded WAL. The peer is stock crash recovery of the same WAL from the same base. For
// both, the WAL is on disk before the clock starts.
func benchIngest(ctx context.Context, o options) (rows []row, err error) {
	// The page server's code runs in this process, so its memory is this process's.
	memory := watchMemory(o.memory, func() (int, error) { return os.Getpid(), nil })
	defer func() { err = errors.Join(err, memory.stop()) }()
	for _, l := range []load{tpcb("on"), tpcb("off"), kinds()} {
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
	var m ingestFigures
	for range o.runs {
		if err := c.ingest(ctx, &m); err != nil {
			return nil, fmt.Errorf("%s: %w", l.name, err)
		}
		r, err := c.recover()
		if err != nil {
			return nil, fmt.Errorf("%s, stock recovery: %w", l.name, err)
		}
		m.stock = append(m.stock, r.elapsed)
		m.stockCPU = append(m.stockCPU, (r.user+r.system)*1e6/float64(m.records))
	}
	return m.rows(l), nil
}

// ingestFigures are the figures of one corpus. The slices have one value for each run.
type ingestFigures struct {
	records int
	wal     pg.LSN // length of the WAL, in bytes

	taken, settled, stock []float64 // seconds until WAL can be read, until it is in the store, of stock recovery
	cpu, stockCPU         []float64 // microseconds of CPU time per record, user and system
	plain, packed         []float64 // bytes on disk per byte of WAL, before and after WAL is packed
}

func (m *ingestFigures) rows(l load) []row {
	const stock = "stock recovery (redo)"
	one := make([]float64, len(m.plain))
	for i := range one {
		one[i] = 1
	}
	rows := []row{
		newRow("ingest until settled, "+l.name, stock, "s", m.settled, m.stock),
		newRow("the same until it can be read and is durable: a burst", stock, "s", m.taken, m.stock),
		newRow("CPU per record, settled", stock, "us", m.cpu, m.stockCPU),
		newRow("bytes on disk with history: WAL and growth of the store", "the WAL", "", m.plain, one),
		newRow("the same with cold WAL packed", "the WAL", "", m.packed, one),
	}
	n, b := float64(m.records), float64(m.wal)/1e6
	settled, taken, them := median(m.settled), median(m.taken), median(m.stock)
	rows[0].Note = fmt.Sprintf("%.0f records, %.0f MB: settled %.0f k records/s, %.0f MB/s; taken in %.0f k records/s; stock %.0f k records/s, %.0f MB/s",
		n, b, n/settled/1e3, b/settled, n/taken/1e3, n/them/1e3, b/them)
	return rows
}

// ingest imports the base into a fresh repository and ingests the WAL, once.
func (c *corpus) ingest(ctx context.Context, m *ingestFigures) (err error) {
	c.n++
	dir := filepath.Join(c.p.dir, "repo"+strconv.Itoa(c.n))
	r, err := repo.Open(repo.Options{Dir: dir, Redo: walredo.Redo})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close(), os.RemoveAll(dir)) }()
	tl, err := ingest.Import(ctx, r, c.base, ingest.ImportOptions{Name: "main"})
	if err != nil {
		return err
	}
	if err := c.copyWAL(tl.WALDir()); err != nil {
		return err
	}
	if _, err := c.p.command("sync", "-f", dir); err != nil {
		return err
	}
	store := filepath.Join(dir, "store")
	before, err := diskUse(store)
	if err != nil {
		return err
	}
	segments, err := diskUse(tl.WALDir()) // before any of them is packed
	if err != nil {
		return err
	}
	start := tl.LastLSN()
	if err := m.time(ctx, tl); err != nil {
		return err
	}
	m.wal = tl.LastLSN() - start
	if m.records, err = count(tl, start); err != nil {
		return err
	}
	m.cpu[len(m.cpu)-1] *= 1e6 / float64(m.records)
	after, err := diskUse(store)
	if err != nil {
		return err
	}
	m.plain = append(m.plain, 1+(after-before)/float64(m.wal))
	return m.pack(ctx, r, tl, start, segments, after-before)
}

// time ingests the WAL and adds a run's times to m. cpu is in seconds until the caller knows the number of
// records.
func (m *ingestFigures) time(ctx context.Context, tl *repo.Timeline) error {
	in, err := ingest.New(tl, ingest.Options{})
	if err != nil {
		return err
	}
	began, used := time.Now(), processCPU()
	if _, err := in.Catchup(ctx); err != nil {
		return err
	}
	m.taken = append(m.taken, time.Since(began).Seconds())
	if err := tl.Flush(ctx); err != nil {
		return err
	}
	m.settled = append(m.settled, time.Since(began).Seconds())
	m.cpu = append(m.cpu, processCPU()-used)
	return nil
}

// pack packs the cold WAL and adds to m how much is on disk then. start is where the ingested WAL begins;
// segments is how many bytes on disk its segments took before; grown is by how many bytes the store has grown.
func (m *ingestFigures) pack(ctx context.Context, r *repo.Repository, tl *repo.Timeline, start pg.LSN, segments, grown float64) error {
	if err := r.PackWAL(ctx); err != nil {
		return err
	}
	left, err := diskUse(tl.WALDir())
	if err != nil {
		return err
	}
	wal := float64(m.wal)
	m.packed = append(m.packed, (wal-(segments-left)+grown)/wal)
	n, err := count(tl, start)
	if err == nil && n != m.records {
		err = fmt.Errorf("%d records in packed WAL, not %d", n, m.records)
	}
	return err
}

// processCPU gives the CPU time of this process, user and system, in seconds.
func processCPU() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // getrusage of oneself cannot fail
	}
	return float64(u.Utime.Sec+u.Stime.Sec) + float64(u.Utime.Usec+u.Stime.Usec)/1e6
}

// copyWAL copies the crashed server's segments to dir, over those that the import put there.
func (c *corpus) copyWAL(dir string) error {
	segments, err := c.segments()
	if err != nil {
		return err
	}
	_, err = c.p.command("cp", append(segments, dir)...)
	return err
}

// count counts the records from start to the end of the WAL.
func count(tl *repo.Timeline, start pg.LSN) (n int, err error) {
	reader := xlog.NewReader(tl.WAL(), tl.WALConfig(), start)
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
