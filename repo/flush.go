package repo

import (
	"context"
	"fmt"
	"slices"
	"time"

	"zenith/internal/pg"
	"zenith/repo/store"
)

// flushJob is a sealed window to be written to the store. The windows of a timeline are
// flushed in order.
type flushJob struct {
	t *Timeline
	w *window
}

// flushRetry is how long the flusher waits after an error before it tries the same window again.
const flushRetry = time.Second

// enqueue adds a job and wakes the flusher.
func (r *Repository) enqueue(j flushJob) {
	r.queueMu.Lock()
	defer r.queueMu.Unlock()
	r.queue = append(r.queue, j)
	select {
	case r.kick <- struct{}{}:
	default:
	}
}

// firstJob gives the job at the front of the queue, and leaves it there.
func (r *Repository) firstJob() (flushJob, bool) {
	r.queueMu.Lock()
	defer r.queueMu.Unlock()
	if len(r.queue) == 0 {
		return flushJob{}, false
	}
	return r.queue[0], true
}

// finishJob removes the job at the front of the queue.
func (r *Repository) finishJob() {
	r.queueMu.Lock()
	defer r.queueMu.Unlock()
	if len(r.queue) > 0 { // a test's Kill may have emptied it
		r.queue = slices.Delete(r.queue, 0, 1)
	}
}

// dropQueue gives the memory of the windows that could not be flushed back. Their WAL is
// ingested again after the next Open.
func (r *Repository) dropQueue() {
	r.queueMu.Lock()
	defer r.queueMu.Unlock()
	for _, j := range r.queue {
		r.mem.flushed(j.w.memory())
	}
	r.queue = nil
}

// runFlusher flushes windows until ctx is done and the queue is empty, or a flush fails.
func (r *Repository) runFlusher(ctx context.Context) {
	defer close(r.flusherDone)
	for {
		stop := ctx.Err() != nil // before the look at the queue, where Close puts jobs before it cancels ctx
		j, ok := r.firstJob()
		switch {
		case ok:
			if err := r.flushNext(j); err == nil {
				r.finishJob()
			} else if !sleep(ctx, flushRetry) {
				return
			}
		case stop:
			return
		default:
			select {
			case <-r.kick:
			case <-ctx.Done():
			}
		}
	}
}

// sleep waits for d, and reports false if ctx is done before.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// flushNext flushes one window and wakes the goroutines that wait for memory.
func (r *Repository) flushNext(j flushJob) error {
	// Close waits for the flush, so its context must not interrupt it.
	if err := r.mem.takeSlot(context.Background()); err != nil {
		return err
	}
	defer r.mem.giveSlot()
	began := time.Now()
	j.t.flushing.Lock()
	var err error
	stored := j.t.stored.Load()
	if !j.t.isDeleted() {
		err = j.t.flush(j.w)
	}
	j.t.flushing.Unlock()
	if err != nil {
		j.t.stored.Store(stored) // the next attempt writes the same again
		j.t.tails.clear()        // some may describe versions that were not stored
	}
	j.t.flushMu.Lock()
	had := j.t.flushErr
	j.t.flushErr = err
	j.t.flushMu.Unlock()
	if err != nil {
		if had == nil {
			r.log.Error("flush history", "timeline", j.t.info.ID, "from", j.w.start, "err", err)
		}
		r.mem.wake()
		return err
	}
	j.t.dropFlushed(j.w)
	r.log.Debug("flushed history", "timeline", j.t.info.ID, "to", j.w.end.lsn, "pages", j.w.pages.n, "took", time.Since(began))
	r.mem.flushed(j.w.memory())
	r.wakePacker()
	return nil
}

// flush writes w, the oldest of t's sealed windows, to the store. After a crash in the middle of it
// the same stretch of WAL is ingested again, into windows that may end elsewhere. The row's Intent
// tells the flush of those that the store may have some of their versions already. Intent is set
// further than the window's end, so that the next windows need no fsync of their own for it.
func (t *Timeline) flush(w *window) error {
	old := t.flushedRow()
	if old.Intent < w.end.lsn {
		old.Intent = w.end.lsn + sealWAL
		if err := t.storeRow(old); err != nil {
			return err
		}
		if err := t.r.store.Sync(); err != nil {
			return err
		}
	}
	if old.left > w.start {
		if err := t.sweep(w, old.left); err != nil {
			return fmt.Errorf("remove what an unfinished flush left: %w", err)
		}
	}
	if err := t.writeWindow(w); err != nil {
		return err
	}
	if err := t.r.store.Sync(); err != nil {
		return err
	}
	old.LSN, old.Prev = w.end.lsn, w.end.prev
	return t.storeRow(old)
}

// noIntent takes Intent back when the repository closes and all windows are flushed, so that the
// next Open does not look for the remains of a flush.
func (t *Timeline) noIntent() error {
	row := t.flushedRow()
	sure := max(row.LSN, row.left)
	if row.Intent <= sure || t.isDeleted() || t.lastFlushError() != nil || t.sealedCount() > 0 {
		return nil
	}
	row.Intent = sure
	return t.storeRow(row)
}

func (t *Timeline) flushedRow() flushedRow {
	t.flushMu.Lock()
	defer t.flushMu.Unlock()
	return t.row
}

// storeRow stores t's flushedRow, not durably yet.
func (t *Timeline) storeRow(row flushedRow) error {
	if err := t.r.store.Update([]store.Op{rowOp(timelineKey(kindFlushed, t.no), row), t.spaceOp()}); err != nil {
		return err
	}
	t.flushMu.Lock()
	defer t.flushMu.Unlock()
	t.row = row
	return nil
}

// sweep deletes the versions that an interrupted flush has left: those at LSNs above w.start and up
// to limit, of the pages and sizes that are in w, and of the commits.
func (t *Timeline) sweep(w *window, limit pg.LSN) (err error) {
	out := t.r.store.Bulk()
	defer out.Cancel()
	one := func(object []byte) (err error) {
		c := newCursor(t.r.store, object)
		defer c.close(&err)
		c.reset(object)
		for at, ok := c.find(t.no, limit); ok && at > w.start; at, ok = c.next(t.no) {
			if err := out.Delete(slices.Clone(c.it.Key())); err != nil {
				return err
			}
		}
		return nil
	}
	for p := range w.pages.all() {
		if err := one(appendPage(nil, p.tag)); err != nil {
			return err
		}
	}
	for _, k := range [...]kind{kindCommits, kindRunning} {
		if err := one([]byte{byte(k)}); err != nil {
			return err
		}
	}
	for rf := range w.rels {
		if err := one(appendRelFork(nil, kindRelSize, rf)); err != nil {
			return err
		}
	}
	return out.Flush()
}
