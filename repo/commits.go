package repo

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
	"sync/atomic"

	"zenith/internal/pg"
	"zenith/internal/xlog"
	"zenith/repo/history"
	"zenith/repo/store"
)

// The commit index: what each transaction of a timeline's WAL did (package history). It is made at ingest, and
// flushed with the versions: an entry is a chunk of commits, at the LSN of the first of them. Beside it is what
// transactions have done so far that had not ended at the end of a window, for ingest to go on after a restart.
//
// A store of earlier builds has no index. It is made, from the WAL, when somebody asks for commits of that time.

// indexedRow stores from where on the store has a timeline's commits.
type indexedRow struct{ From rowLSN }

// commitChunk is a run of commits of a window, encoded.
type commitChunk struct {
	first   pg.LSN
	encoded []byte
}

// maxChunkCommits is how many commits a chunk in the store has at most; one of maxChunkBytes gets no more of them.
const (
	maxChunkCommits = 512
	maxChunkBytes   = 1 << 20
)

// Commits adds commits to the index. The Writer keeps none of the chunk's memory.
func (w *Writer) Commits(k *history.Chunk) {
	if k.Len() > 0 && w.at(k.First()) && w.at(k.Last()) {
		w.commits = append(w.commits, commitChunk{k.First(), k.Encode()})
	}
}

// Running sets what transactions have done that have not ended at the end of the batch (history.Tracker).
func (w *Writer) Running(running []byte) { w.running = running }

// Tracker goes on with what is known at the head of the transactions that have not ended. next is the id of the
// next transaction there.
func (t *Timeline) Tracker(next pg.TransactionID) (*history.Tracker, error) {
	v := t.view.Load()
	for _, w := range v.windows {
		w.mu.RLock()
		running := w.running
		w.mu.RUnlock()
		if running != nil {
			return history.Resume(running)
		}
	}
	_, running, err := t.newestStored(kindRunning, v.flushed.lsn)
	if running == nil || err != nil {
		return history.NewTracker(next), err
	}
	return history.Resume(running)
}

// newestStored gives the newest entry of t's in the store that is at or below an LSN, of a kind whose keys have no object.
// body is nil if there is none.
func (t *Timeline) newestStored(k kind, at pg.LSN) (found pg.LSN, body []byte, err error) {
	object := []byte{byte(k)}
	c := newCursor(t.r.store, object)
	defer c.close(&err)
	c.reset(object)
	found, ok := c.find(t.no, at)
	if !ok {
		return 0, nil, nil
	}
	body, err = c.value()
	return found, slices.Clone(body), err
}

// writeCommits writes a window's commits, in chunks of a useful size, and what was running at its end.
func (t *Timeline) writeCommits(w *window, out store.BulkWriter) error {
	row := rowOp(timelineKey(kindIndexed, t.no), indexedRow{rowLSN(t.index.start())})
	if err := out.Put(row.Key, row.Value); err != nil {
		return err
	}
	into := chunkWriter{t: t, out: out}
	for _, k := range w.commits {
		commits, err := history.Decode(k.encoded)
		if err != nil {
			return err
		}
		for i := range commits {
			if err := into.add(&commits[i]); err != nil {
				return err
			}
		}
	}
	if err := into.flush(); err != nil {
		return err
	}
	if w.running == nil {
		return nil
	}
	if err := t.dropRunning(w.start, out); err != nil {
		return err
	}
	return putStamped(out, appendVersion([]byte{byte(kindRunning)}, t.no, w.end.lsn), slices.Clone(w.running))
}

// dropRunning deletes what was stored of running transactions below lsn: until the flush is complete, that at lsn is
// needed after a crash.
func (t *Timeline) dropRunning(lsn pg.LSN, out store.BulkWriter) (err error) {
	object := []byte{byte(kindRunning)}
	c := newCursor(t.r.store, object)
	defer c.close(&err)
	c.reset(object)
	for _, ok := c.find(t.no, lsn-1); ok; _, ok = c.next(t.no) {
		if err := out.Delete(slices.Clone(c.it.Key())); err != nil {
			return err
		}
	}
	return nil
}

// chunkWriter writes commits to the index, in LSN order.
type chunkWriter struct {
	t   *Timeline
	out store.BulkWriter
	k   history.Chunk
}

func (x *chunkWriter) add(c *history.Commit) error {
	x.k.Add(c)
	if x.k.Len() < maxChunkCommits && x.k.Size() < maxChunkBytes {
		return nil
	}
	return x.flush()
}

func (x *chunkWriter) flush() error {
	if x.k.Len() == 0 {
		return nil
	}
	key := appendVersion([]byte{byte(kindCommits)}, x.t.no, x.k.First())
	err := putStamped(x.out, key, x.k.Encode())
	x.k.Reset()
	return err
}

// commitIndex says from where on a timeline's commits are in the index.
type commitIndex struct {
	making sync.Mutex // held by the one that makes what is missing

	from atomic.Uint64 // an LSN; each flush stores it
}

func (x *commitIndex) start() pg.LSN   { return pg.LSN(x.from.Load()) }
func (x *commitIndex) set(from pg.LSN) { x.from.Store(uint64(from)) }

// loadIndex reads from where on the store has t's commits. A store of an earlier build does not say: it has none.
func (t *Timeline) loadIndex() error {
	var row indexedRow
	found, err := readRow(t.r.store, timelineKey(kindIndexed, t.no), &row)
	switch {
	case err != nil:
		return err
	case found:
		t.index.set(pg.LSN(row.From))
	default:
		t.index.set(t.view.Load().flushed.lsn)
	}
	return nil
}

// Commits goes through the commits of t and its ancestors that are above an LSN and not above another, the newest
// first. What it yields is valid until the next one. Below the horizon there are none.
func (t *Timeline) Commits(ctx context.Context, above, upTo pg.LSN) iter.Seq2[*history.Commit, error] {
	return func(yield func(*history.Commit, error) bool) {
		top := min(upTo, t.LastLSN()) + 1 // what is at or above it was yielded
		for _, m := range t.lineage(top - 1) {
			bottom := max(above, m.t.info.StartLSN)
			if bottom >= m.cap {
				continue
			}
			if err := m.t.makeIndex(ctx, bottom); err != nil {
				yield(nil, err)
				return
			}
			for k, err := range m.chunks(ctx, bottom) {
				if err != nil {
					yield(nil, fmt.Errorf("commits of %s: %w", m.t.Name(), err))
					return
				}
				for i := len(k) - 1; i >= 0 && k[i].LSN > bottom; i-- {
					if k[i].LSN > m.cap || k[i].LSN >= top {
						continue
					}
					top = k[i].LSN
					if !yield(&k[i], nil) {
						return
					}
				}
			}
		}
	}
}

// chunks goes through a member's chunks that have commits above bottom, the newest first.
func (m member) chunks(ctx context.Context, bottom pg.LSN) iter.Seq2[[]history.Commit, error] {
	return func(yield func([]history.Commit, error) bool) {
		s := lineage{m}.look()[0]
		for _, w := range s.windows {
			w.mu.RLock()
			list := slices.Clone(w.commits)
			w.mu.RUnlock()
			for _, k := range slices.Backward(list) {
				if k.first > m.cap {
					continue
				}
				commits, err := history.Decode(k.encoded)
				if !yield(commits, err) || err != nil {
					return
				}
			}
		}
		for below := s.limit; below > bottom; {
			if err := ctx.Err(); err != nil {
				yield(nil, err)
				return
			}
			first, body, err := m.t.newestStored(kindCommits, below)
			if body == nil && err == nil {
				return
			}
			var commits []history.Commit
			if err == nil {
				commits, err = history.Decode(body)
			}
			if !yield(commits, err) || err != nil {
				return
			}
			below = first - 1
		}
	}
}

// makeIndex makes the index of what t has from bottom on, as far as the store has none of it.
func (t *Timeline) makeIndex(ctx context.Context, bottom pg.LSN) error {
	if bottom >= t.index.start() {
		return nil
	}
	t.index.making.Lock()
	defer t.index.making.Unlock()
	defer t.Hold()() // the horizon stays where it is, and the WAL behind it
	from, upTo := t.OwnHorizon(), t.index.start()
	if from >= upTo {
		return nil
	}
	out := t.r.store.Bulk()
	defer out.Cancel()
	if err := t.indexWAL(ctx, from, upTo, out); err != nil {
		return fmt.Errorf("make the index of commits of %s from %v to %v: %w", t.Name(), from, upTo, err)
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if err := t.r.store.Sync(); err != nil {
		return err
	}
	t.index.set(from)
	return t.r.update(rowOp(timelineKey(kindIndexed, t.no), indexedRow{rowLSN(from)}))
}

// indexWAL writes the commits of a stretch of t's WAL.
func (t *Timeline) indexWAL(ctx context.Context, from, upTo pg.LSN, out store.BulkWriter) error {
	s, err := t.stateBefore(from)
	if err != nil {
		return err
	}
	tracker := history.NewTracker(s.CheckPoint.NextXID.XID())
	into := chunkWriter{t: t, out: out}
	_, err = t.walk(ctx, s, upTo, func(rec *xlog.Record) (bool, error) {
		c, err := tracker.Add(rec)
		if err == nil && c != nil && c.LSN > from {
			err = into.add(c)
		}
		return false, err
	})
	if err != nil {
		return err
	}
	return into.flush()
}
