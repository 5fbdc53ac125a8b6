package repo

import (
	"errors"
	"maps"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"zenith/internal/pg"
	"zenith/repo/store"
)

// writeWindow writes all versions of w, which is sealed, to the store.
func (t *Timeline) writeWindow(w *window) error {
	out := t.bulk()
	defer out.Cancel()
	for _, step := range []func(*window, store.BulkWriter) error{t.writeStates, t.writeDatabases, t.writeFiles, t.writeSizes, t.writeCommits} {
		if err := step(w, out); err != nil {
			return err
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	return t.writePages(w)
}

func (t *Timeline) writeStates(w *window, out store.BulkWriter) error {
	for _, s := range w.states {
		key := appendVersion(appendState(nil), t.no, s.lsn)
		if err := putStamped(out, key, slices.Clone(s.encoded)); err != nil {
			return err
		}
	}
	return nil
}

func (t *Timeline) writeDatabases(w *window, out store.BulkWriter) error {
	for k, evs := range w.dbs {
		for _, ev := range evs {
			key := appendVersion(appendDB(nil, kindDatabase, k.spc, k.db), t.no, ev.lsn)
			if err := putStamped(out, key, encodeDB(ev)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *Timeline) writeFiles(w *window, out store.BulkWriter) error {
	for path, vs := range w.files {
		for _, v := range vs {
			err := putFile(path, v.content, func(object, body []byte) error {
				return putStamped(out, appendVersion(object, t.no, v.lsn), body)
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *Timeline) writeSizes(w *window, out store.BulkWriter) error {
	for _, rf := range slices.SortedFunc(maps.Keys(w.rels), compareRelForks) {
		r := w.rels[rf]
		before := r.before
		for evs := range slices.Chunk(r.events, relChunkEvents) {
			key := appendVersion(appendRelFork(nil, kindRelSize, rf), t.no, evs[0].lsn)
			if err := putStamped(out, key, encodeRelChunk(before, evs)); err != nil {
				return err
			}
			for _, ev := range evs {
				before = before.apply(ev)
			}
		}
	}
	return nil
}

// flushers is how many goroutines make the values of a window's pages. While a Writer is at work only
// one of them is: ingest, which a commit may wait for, is to have the other processor.
const flushers = 2

// flushPages is how many pages a flusher takes at a time.
const flushPages = 256

// writePages writes the versions of w's pages, in the order of their keys, about.
func (t *Timeline) writePages(w *window) error {
	before := t.lineage(w.start).look()
	parts := slices.Collect(slices.Chunk(w.pages.sorted(), flushPages))
	var next atomic.Int64
	var g errgroup.Group
	for i := range flushers {
		g.Go(func() error {
			return t.writeParts(w, before, func() []*pageSlot[pageLog] {
				for i > 0 && t.turnTaken() && int(next.Load()) < len(parts) {
					time.Sleep(time.Millisecond)
				}
				if n := int(next.Add(1)); n <= len(parts) {
					return parts[n-1]
				}
				return nil
			})
		})
	}
	return g.Wait()
}

// turnTaken reports whether somebody has the turn, which is mostly a Writer.
func (t *Timeline) turnTaken() bool { return len(t.turn) == 0 }

// writeParts writes the pages of w that next gives, until it gives none. While somebody has the turn
// it yields the processor after each page: else the Writer could wait for it for 10 ms, the time slice
// of Go's scheduler.
func (t *Timeline) writeParts(w *window, before []sight, next func() []*pageSlot[pageLog]) error {
	out := t.bulk()
	defer out.Cancel()
	f := pageFlush{t: t, w: w, out: out, before: before, settled: settled(before)}
	for some := next(); some != nil; some = next() {
		for _, p := range some {
			if t.turnTaken() {
				runtime.Gosched()
			}
			if err := f.write(p); err != nil {
				return errors.Join(err, f.close())
			}
		}
	}
	return errors.Join(f.close(), out.Flush())
}

// cuts gives the cuts of a fork above w.start that w knows of, oldest first.
func (w *window) cuts(rf pg.RelFork) (cuts []relCut) {
	r := w.rels[rf]
	if r == nil || !r.last.cutAfter(w.start) {
		return nil
	}
	st := r.before
	// The state before the first event may have a cut above w.start: a drop of the database.
	for _, cut := range st.cuts {
		if cut.lsn > w.start {
			cuts = append(cuts, cut)
		}
	}
	for _, ev := range r.events {
		if cut, ok := st.cutBy(ev); ok {
			cuts = append(cuts, cut)
		}
		st = st.resize(ev)
	}
	return cuts
}

// cutAfter reports whether there was a cut above lsn. s.cuts always has the last one.
func (s relState) cutAfter(lsn pg.LSN) bool {
	return len(s.cuts) > 0 && s.cuts[len(s.cuts)-1].lsn > lsn
}

// relAtStart finds the state of a fork at the window's start, and its cuts in the window.
func (f *pageFlush) relAtStart(rf pg.RelFork) (relState, error) {
	if f.relOf == rf && f.relKnown {
		return f.rel, nil
	}
	st, err := lookupSize(f.t.r.store, f.before, rf)
	f.rel, f.cuts, f.relOf, f.relKnown = st, f.w.cuts(rf), rf, err == nil
	return st, err
}
