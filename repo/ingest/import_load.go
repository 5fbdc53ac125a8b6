package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"zenith/internal/pg"
	"zenith/internal/xlog"
	"zenith/repo"
)

// loader copies the files of a data directory into a new timeline.
type loader struct {
	bulk      *repo.Bulk
	dir       string
	lsn       pg.LSN
	version   *pg.Version
	checksums bool
	workers   int
	log       *slog.Logger

	mu       sync.Mutex // guards what follows, and orders calls of progress
	progress func(what string, done, total int64)
	done     int64
	total    int64
	err      error // the first
}

func newLoader(b *repo.Bulk, dir string, c *pg.ControlFile, lsn pg.LSN, o ImportOptions) *loader {
	l := &loader{bulk: b, dir: dir, lsn: lsn, version: c.Version, checksums: c.ChecksumVersion != 0, workers: o.Workers, progress: o.Progress, log: o.Log}
	if l.workers <= 0 {
		l.workers = 4
	}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	return l
}

// load copies list, a few files at a time, about in order.
func (l *loader) load(ctx context.Context, list []source) error {
	for _, f := range list {
		l.total += f.size
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	next := make(chan source)
	var wg sync.WaitGroup
	for range l.workers {
		wg.Go(func() {
			for f := range next {
				if err := l.loadOne(ctx, f); err != nil {
					l.fail(err)
					cancel()
				}
			}
		})
	}
	for _, f := range list {
		if ctx.Err() != nil {
			break
		}
		next <- f
	}
	close(next)
	wg.Wait()
	l.fail(ctx.Err())
	return l.err
}

func (l *loader) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = err
	}
}

func (l *loader) add(n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done += n
	if l.progress != nil {
		l.progress("import", l.done, l.total)
	}
}

// loadOne copies one source.
func (l *loader) loadOne(ctx context.Context, f source) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	switch {
	case f.db:
		return l.bulk.DBCreate(f.fork.SpcOID, f.fork.DBOID, l.lsn)
	case f.page:
		return l.fork(ctx, f)
	case f.data != nil:
		return l.bulk.File(f.path, l.lsn, f.data)
	}
	content, err := os.ReadFile(cmp.Or(f.from, filepath.Join(l.dir, f.path)))
	if err != nil {
		return err
	}
	if err := checkFile(l.version, f.path, content); err != nil {
		return err
	}
	l.add(f.size)
	return l.bulk.File(f.path, l.lsn, content)
}

// checkFile looks at the checksums that some files have.
func checkFile(v *pg.Version, path string, content []byte) error {
	p := v.ParsePath(path)
	if p.Kind != pg.PathTwoPhase {
		return nil
	}
	if _, err := xlog.TwoPhaseState(content); err != nil {
		return fmt.Errorf("%s: %v: %w", path, err, ErrDamaged)
	}
	return nil
}

// readBytes is how much of a relation is read at a time.
const readBytes = 64 * pg.BlockSize

// fork copies a relation's fork, or an SLRU's segment.
func (l *loader) fork(ctx context.Context, f source) error {
	if err := l.bulk.RelSize(f.fork, l.lsn, pg.BlockNumber(f.size/pg.BlockSize)); err != nil {
		return err
	}
	buf := make([]byte, min(f.size, readBytes))
	for at := int64(0); at < f.size; {
		n, err := l.segment(ctx, f, at, buf)
		if err != nil {
			return err
		}
		at += n
	}
	return nil
}

// segment copies the one file of a fork that holds the byte at, to its end.
func (l *loader) segment(ctx context.Context, f source, at int64, buf []byte) (int64, error) {
	path := l.version.RelPath(f.fork, uint32(at/segmentSize))
	file, err := os.Open(filepath.Join(l.dir, path))
	if err != nil {
		return 0, err
	}
	defer file.Close()
	size := min(f.size-at, segmentSize)
	for off := int64(0); off < size; off += int64(len(buf)) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		part := buf[:min(size-off, int64(len(buf)))]
		if _, err := io.ReadFull(file, part); err != nil {
			if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
				err = fmt.Errorf("it is changing: %w", ErrNotClean)
			}
			return 0, fmt.Errorf("read %s: %w", path, err)
		}
		if err := l.pages(f.fork, pg.BlockNumber((at+off)/pg.BlockSize), part); err != nil {
			return 0, fmt.Errorf("%s: %w", path, err)
		}
		l.add(int64(len(part)))
	}
	return size, nil
}

// pages stores blocks. Those that are all zeros are there without being stored.
func (l *loader) pages(rf pg.RelFork, first pg.BlockNumber, b []byte) error {
	for i := 0; i < len(b); i += pg.BlockSize {
		page, blkno := pg.Page(b[i:i+pg.BlockSize]), first+pg.BlockNumber(i/pg.BlockSize)
		if isZero(page) {
			continue
		}
		if err := l.verify(rf, blkno, page); err != nil {
			return err
		}
		if err := l.bulk.Image(rf.Tag(blkno), l.lsn, page); err != nil {
			return err
		}
	}
	return nil
}

// verify is PageIsVerified: what is damaged must not come in, for it would go out with
// a checksum that is right.
func (l *loader) verify(rf pg.RelFork, blkno pg.BlockNumber, page pg.Page) error {
	if rf.IsSLRU() {
		return nil
	}
	if page.IsNew() {
		return fmt.Errorf("block %d is neither a page nor zeros: %w", blkno, ErrDamaged)
	}
	if want := pg.Checksum(page, blkno); l.checksums && want != page.Checksum() {
		return fmt.Errorf("block %d has checksum %04X, should have %04X: %w", blkno, page.Checksum(), want, ErrDamaged)
	}
	if lower, upper, special := page.Lower(), page.Upper(), page.Special(); lower > upper || upper > special || special > pg.BlockSize {
		return fmt.Errorf("block %d has a bad page header: %w", blkno, ErrDamaged)
	}
	return nil
}
