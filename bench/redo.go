package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"

	"zenith/internal/pg"
	"zenith/internal/xlog"
	"zenith/repo"
)

// benchRedo replays recorded WAL by package walredo. The peer is stock crash recovery of the same WAL from the
// same base.
func benchRedo(ctx context.Context, o options) ([]row, error) {
	var rows []row
	for _, l := range []load{tpcb("on"), tpcb("off"), kinds()} {
		rs, err := benchRedoOf(ctx, o, l)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", l.name, err)
		}
		rows = append(rows, rs...)
	}
	return rows, nil
}

// redoCores is how many threads redo may use.
const redoCores = 2

func benchRedoOf(ctx context.Context, o options, l load) ([]row, error) {
	p, err := newPlace(ctx, o)
	if err != nil {
		return nil, err
	}
	defer p.close()
	c, err := p.record(l)
	if err != nil {
		return nil, fmt.Errorf("record WAL: %w", err)
	}
	j, err := newRedoJob(c)
	if err != nil {
		return nil, err
	}
	if err := j.verify(); err != nil {
		return nil, fmt.Errorf("against stock recovery: %w", err)
	}
	s, err := c.ingested(ctx)
	if err != nil {
		return nil, fmt.Errorf("ingest: %w", err)
	}
	defer s.r.Close()
	var m redoFigures
	for range o.runs {
		if err := j.measure(ctx, s, &m); err != nil {
			return nil, err
		}
	}
	rows := m.rows(l)
	if l.file == tpcb("off").file {
		h, err := j.history()
		if err != nil {
			return nil, err
		}
		r, err := s.benchChain(ctx, o, h)
		if err != nil {
			return nil, err
		}
		rows = append(rows, r...)
	}
	return rows, nil
}

// redoJob is a corpus with its WAL in memory.
type redoJob struct {
	c       *corpus
	wal     *memoryWAL
	control *pg.ControlFile // pg_control of the base
}

func newRedoJob(c *corpus) (*redoJob, error) {
	b, err := os.ReadFile(filepath.Join(c.base, "global/pg_control"))
	if err != nil {
		return nil, err
	}
	control, err := pg.ParseControlFile(b)
	if err != nil {
		return nil, err
	}
	segments, err := c.segments()
	if err != nil {
		return nil, err
	}
	j := &redoJob{c: c, control: control, wal: &memoryWAL{}}
	for i, path := range segments {
		_, start, ok := xlog.ParseSegmentName(filepath.Base(path), j.segSize())
		if !ok || i > 0 && start != j.wal.start+pg.LSN(len(j.wal.b)) {
			break
		}
		if i == 0 {
			j.wal.start = start
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		j.wal.b = append(j.wal.b, b...)
	}
	return j, nil
}

func (j *redoJob) segSize() int { return int(j.control.SegSize) }

func (j *redoJob) history() (*history, error) {
	return readHistory(j.wal, xlog.Config{Version: j.control.Version, SegSize: j.segSize()}, j.control.CheckPoint)
}

// verify compares each page that changed with the page that stock recovery writes.
func (j *redoJob) verify() error {
	_, data, err := j.c.recovered("fast")
	defer os.RemoveAll(data)
	if err != nil {
		return err
	}
	h, err := j.history()
	if err != nil {
		return err
	}
	stock := baseFiles{version: j.control.Version, dir: data}
	defer stock.close()
	theirs := make(pg.Page, pg.BlockSize)
	same := 0
	_, err = h.materialise(j.c.base, 1, func(tag pg.BufferTag, page pg.Page) error {
		if err := stock.read(tag, theirs); err != nil {
			return err
		}
		if !tag.IsSLRU() {
			if theirs.IsNew() || tag.Fork == pg.FSMFork {
				return nil // the page was cut off or dropped; stock recovery fills free space maps from hints that WAL does not have
			}
			page.SetChecksumInplace(tag.Block)
		}
		if string(page) != string(theirs) {
			return fmt.Errorf("%v differs", tag)
		}
		same++
		return nil
	})
	if err == nil {
		fmt.Fprintf(os.Stderr, "  %d of %d pages are as stock recovery makes them\n", same, len(h.pages))
	}
	return err
}

// redoFigures are the figures of one corpus. The slices have one value for each run.
type redoFigures struct {
	find, memory, store, stock   []float64 // seconds: find the pages' records; and apply them; read all from the store; stock
	cpu, stockCPU                []float64 // microseconds of user CPU per record
	records, applied, pages, wal int       // counts; wal is in bytes
	apply                        []float64 // microseconds of user CPU per application of a record to a page
}

// measure does the job once in each way, stock recovery included, and adds the figures to m.
func (j *redoJob) measure(ctx context.Context, s *ingestedCorpus, m *redoFigures) error {
	runtime.GC()
	var h *history
	began := userCPU()
	find, err := milliseconds(func() (err error) { h, err = j.history(); return err })
	if err != nil {
		return err
	}
	found := userCPU()
	rest, err := milliseconds(func() (err error) {
		m.applied, err = h.materialise(j.c.base, redoCores, func(pg.BufferTag, pg.Page) error { return nil })
		return err
	})
	if err != nil {
		return err
	}
	done := userCPU()
	m.records, m.pages, m.wal = len(h.recs), len(h.pages), len(j.wal.b)
	m.find, m.memory = append(m.find, find/1000), append(m.memory, (find+rest)/1000)
	m.cpu = append(m.cpu, (done-began)/float64(m.records)*1e6)
	m.apply = append(m.apply, (done-found)/float64(m.applied)*1e6)

	tags := h.tags()
	h = nil
	runtime.GC()
	read, err := milliseconds(func() error { return s.readAll(ctx, tags, redoCores) })
	if err != nil {
		return err
	}
	m.store = append(m.store, read/1000)
	r, err := j.c.recover()
	if err != nil {
		return err
	}
	m.stock = append(m.stock, r.elapsed)
	m.stockCPU = append(m.stockCPU, r.user/float64(m.records)*1e6)
	return nil
}

func (m *redoFigures) rows(l load) []row {
	const stock = "stock recovery (redo)"
	rows := []row{
		newRow("redo of "+l.name+": each changed page at its end, from the store", stock, "s", m.store, m.stock),
		newRow("the same from the base and WAL in memory", stock, "s", m.memory, m.stock),
		newRow("of that: decode, and find each page's records, two cores", stock, "s", m.find, m.stock),
		newRow("CPU per record: decode, find, apply", stock+", user CPU", "us", m.cpu, m.stockCPU),
	}
	rows[1].Note = fmt.Sprintf("%d records in %d MB of WAL, %d applications to %d pages; user CPU per application %.2f us",
		m.records, m.wal>>20, m.applied, m.pages, median(m.apply))
	return rows
}

// userCPU gives the CPU time of this process in user mode, in seconds.
func userCPU() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // getrusage of oneself cannot fail
	}
	return float64(u.Utime.Sec) + float64(u.Utime.Usec)/1e6
}

// readAll reads those pages of tags that exist at the head, on several goroutines.
func (s *ingestedCorpus) readAll(ctx context.Context, tags []pg.BufferTag, workers int) error {
	snapshot, err := s.tl.AtHead(ctx)
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	errs := make([]error, workers)
	for i := range workers {
		wg.Go(func() { errs[i] = readRuns(ctx, snapshot, tags[len(tags)*i/workers:len(tags)*(i+1)/workers]) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// longestRun is how many pages one read asks for, at most.
const longestRun = 64

// readRuns reads pages; consecutive blocks of a relation are read together.
func readRuns(ctx context.Context, s *repo.Snapshot, tags []pg.BufferTag) error {
	dst := make([]byte, longestRun*pg.BlockSize)
	for len(tags) > 0 {
		n := 1
		for n < min(len(tags), longestRun) && tags[n].RelFork == tags[0].RelFork && tags[n].Block == tags[0].Block+pg.BlockNumber(n) {
			n++
		}
		size, exists, err := s.RelSize(ctx, tags[0].RelFork)
		if err != nil {
			return err
		}
		if there := int(size) - int(tags[0].Block); exists && there > 0 {
			if err := s.ReadPages(ctx, tags[0], min(n, there), dst); err != nil {
				return err
			}
		}
		tags = tags[n:]
	}
	return nil
}
