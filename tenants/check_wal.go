package tenants

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sync/errgroup"

	"zenith/internal/pg"
	"zenith/internal/xlog"
	"zenith/repo"
)

// checkWAL reads the branches' own WAL from their horizons up to their heads: every segment is there, and
// every record follows the one before.
func (c *checker) checkWAL(ctx context.Context) error {
	var total int64
	for _, h := range c.heads {
		total += int64(h.b.tl.LastLSN() - h.b.tl.OwnHorizon())
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, h := range c.heads {
		g.Go(func() error {
			w := walCheck{c: c, h: h, total: total, head: h.b.tl.LastLSN()}
			if h.snap != nil {
				w.head = h.snap.LSN()
			}
			w.indexed = w.head
			w.head = max(w.head, h.wal) // what was not flushed is ingested again when the branch comes back
			return w.run(ctx)
		})
	}
	return g.Wait()
}

// walCheck checks one branch's WAL.
type walCheck struct {
	c       *checker
	h       *headCheck
	total   int64
	head    pg.LSN
	indexed pg.LSN          // the index has the records up to here
	missing map[pg.LSN]bool // segments, by their start
}

func (w *walCheck) run(ctx context.Context) error {
	tl := w.h.b.tl
	if err := w.findMissing(ctx); err != nil {
		return err
	}
	for at := tl.OwnHorizon(); at < w.head; {
		end, err := w.read(ctx, at)
		if err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		// Records behind the damage can only be found at the start of a segment, so it goes on at the next.
		at = w.next(end)
		if seg := w.segment(end); w.missing[seg] || w.missing[seg+w.size()] {
			continue // that the segment is missing was reported before
		}
		err = fmt.Errorf("wal behind %v, segment %s: %w", end, filepath.Base(tl.SegmentPath(end)), err)
		if err := w.c.of(ctx, w.h, err); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (w *walCheck) size() pg.LSN { return pg.LSN(w.h.b.tl.Info().SegSize) }

func (w *walCheck) segment(lsn pg.LSN) pg.LSN { return lsn - lsn%w.size() }

// next gives the start of the next segment behind lsn that is not missing.
func (w *walCheck) next(lsn pg.LSN) pg.LSN {
	at := w.segment(lsn) + w.size()
	for w.missing[at] {
		at += w.size()
	}
	return at
}

// findMissing reports each segment that is not there as a problem.
func (w *walCheck) findMissing(ctx context.Context) error {
	tl := w.h.b.tl
	w.missing = make(map[pg.LSN]bool)
	for seg := w.segment(tl.OwnHorizon()); seg < w.head && tl.OwnHorizon() < w.head; seg += w.size() {
		path := tl.SegmentPath(seg)
		_, err := os.Stat(path)
		if now := tl.SegmentPath(seg); err != nil && now != path { // the branch went over to another timeline just now
			_, err = os.Stat(now)
		}
		if err == nil {
			continue
		}
		if errors.Is(err, fs.ErrNotExist) {
			w.missing[seg] = true
			err = fmt.Errorf("wal segment %s is missing: %w", filepath.Base(tl.SegmentPath(seg)), repo.ErrCorrupt)
		}
		if err := w.c.of(ctx, w.h, err); err != nil {
			return err
		}
	}
	return nil
}

// read reads the records from at to the head, and gives the end of the last one that is sound. at is the
// start of a segment, or the horizon, where the kept WAL begins.
func (w *walCheck) read(ctx context.Context, at pg.LSN) (pg.LSN, error) {
	tl := w.h.b.tl
	r := xlog.NewReader(tl.WAL(), tl.WALConfig(), at)
	if at != tl.OwnHorizon() {
		if err := r.Seek(at); err != nil {
			return at, err
		}
	}
	var rec xlog.Record
	for n := 0; r.EndLSN() < w.head; n++ {
		if n%256 == 0 {
			if err := ctx.Err(); err != nil {
				return w.head, err
			}
			w.c.p("check wal", w.c.wal.Load(), w.total)
		}
		err := r.Next(&rec)
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("it ends before the head, %v: %w: %w", w.head, repo.ErrCorrupt, r.EndReason())
		}
		if err != nil {
			return r.EndLSN(), err
		}
		w.c.wal.Add(int64(rec.EndLSN - rec.StartLSN))
		w.note(&rec)
	}
	return r.EndLSN(), nil
}

// note keeps what the index must have of a record, and which pages are not the same before and after it.
func (w *walCheck) note(rec *xlog.Record) {
	if rec.EndLSN > w.indexed {
		return
	}
	if rec.RmgrID == xlog.RmDbase {
		w.h.all = true // it may have copied a database, all of whose pages are new
	}
	for i := range rec.Blocks {
		tag := rec.Blocks[i].Tag
		if !rec.Changes(&rec.Blocks[i]) {
			continue
		}
		w.h.changes(tag, rec.EndLSN, w.room)
		if _, known := w.h.newest[tag]; !known && !w.room() {
			w.h.all = true // as far as the index is compared with WAL, this page is not checked
			w.c.uncompared.Add(1)
			continue
		}
		w.h.newest[tag] = rec.EndLSN
	}
}

// room reports whether one more page may be remembered.
func (w *walCheck) room() bool { return w.c.newest.Add(1) <= maxNewest }
