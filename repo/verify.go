package repo

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"zenith/internal/pg"
	"zenith/repo/store"
)

// Verify reads the whole store, its files and its entries, and the WAL that the entries
// point at, on all processors. It calls found with each damage, until found returns an
// error, which is then Verify's. It calls tell with its progress in bytes. found is called by one
// goroutine at a time, tell by several at once. Entries of deleted branches are compared with their WAL if
// ReadDeleted has opened these. No pages are rebuilt: see Snapshot.VerifyPages.
func (r *Repository) Verify(ctx context.Context, found func(problem error) error, tell func(what string, done, total int64)) error {
	v := &verifier{store: r.store, tell: tell, timelines: make(map[timelineNo]verified)}
	v.found = func(problem error) error {
		v.mu.Lock()
		defer v.mu.Unlock()
		return found(problem)
	}
	if err := r.store.Verify(ctx, v.found, func(done, total int64) {
		v.total.Store(total)
		tell("check store", done, total)
	}); err != nil {
		return err
	}
	if err := v.learn(r); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	batches := make(chan []storeEntry, runtime.GOMAXPROCS(0))
	g.Go(func() error {
		defer close(batches)
		return v.scan(ctx, r.store, batches)
	})
	for range runtime.GOMAXPROCS(0) {
		g.Go(func() error {
			w := entryChecker{v: v, page: make(pg.Page, pg.BlockSize)}
			for b := range batches {
				if err := w.batch(ctx, b); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// verifier is one run of Verify.
type verifier struct {
	store     store.Store
	tell      func(what string, done, total int64)
	total     atomic.Int64 // bytes of the store's files: about as many as its entries have
	timelines map[timelineNo]verified

	mu    sync.Mutex // held while found runs
	found func(error) error
}

// verified is a timeline whose entries are verified.
type verified struct {
	t    *Timeline // nil if it is gone
	upTo pg.LSN    // its flushed LSN when Verify began
}

// storeEntry is a copy of an entry of the store.
type storeEntry struct{ key, value []byte }

// learn fills v.timelines.
func (v *verifier) learn(r *Repository) error {
	err := readTimelineRows(r.store, func(no timelineNo, _ timelineRow) error {
		v.timelines[no] = verified{}
		return nil
	})
	for _, t := range r.Timelines() {
		v.timelines[t.no] = verified{t, t.view.Load().flushed.lsn}
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, k := range r.kept {
		if k.read != nil {
			v.timelines[k.no] = verified{k.read, k.read.view.Load().flushed.lsn}
		}
	}
	return err
}

// isNew reports whether a timeline that learn did not find is there now: it was made meanwhile. Its entries are compared
// with no WAL.
func (v *verifier) isNew(no timelineNo) (bool, error) {
	var row timelineRow
	return readRow(v.store, timelineKey(kindTimeline, no), &row)
}

// verifiedKinds are the kinds of versioned keys.
var verifiedKinds = [...]kind{kindState, kindDatabase, kindFile, kindRelSize, kindPage, kindForeign, kindCommits, kindRunning}

// batchBytes is how many bytes of entries one goroutine verifies at a time.
const batchBytes = 256 << 10

// scan sends all versioned entries to out, in batches.
func (v *verifier) scan(ctx context.Context, s store.Store, out chan<- []storeEntry) error {
	var done int64
	for _, k := range verifiedKinds {
		err := v.scanKind(ctx, s, k, func(b []storeEntry, size int) error {
			done += int64(size)
			v.tell("check index", min(done, v.total.Load()), v.total.Load())
			select {
			case out <- b:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		if errors.Is(err, ErrCorrupt) {
			// An iterator cannot go on behind damage. The next kind has an iterator of its own.
			err = v.found(fmt.Errorf("read index of %ss: %w", kindNames[k], err))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// scanKind calls fn with the entries of a kind, in order, in batches, and how many bytes a batch has.
func (v *verifier) scanKind(ctx context.Context, s store.Store, k kind, fn func(b []storeEntry, size int) error) (err error) {
	it := s.Iterator([]byte{byte(k)})
	defer closeIterator(it, &err)
	var batch []storeEntry
	var buf []byte
	for it.Seek([]byte{byte(k)}); it.Valid(); it.Next() {
		value, err := it.Value()
		if err != nil {
			return err
		}
		at := len(buf)
		buf = append(append(buf, it.Key()...), value...)
		n := at + len(it.Key())
		batch = append(batch, storeEntry{buf[at:n:n], buf[n:len(buf):len(buf)]})
		if len(buf) >= batchBytes {
			if err := fn(batch, len(buf)); err != nil {
				return err
			}
			batch, buf = nil, make([]byte, 0, batchBytes+batchBytes/8)
		}
	}
	if len(batch) == 0 {
		return ctx.Err()
	}
	return fn(batch, len(buf))
}
