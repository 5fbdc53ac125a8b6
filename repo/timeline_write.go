package repo

import (
	"context"
	"fmt"
	"slices"
)

// maxSealed is how many windows of a timeline may wait to be flushed.
const maxSealed = 8

// Begin begins a batch of changes. It waits until the Writer before it has ended, and while windows
// take too much memory or too many wait to be flushed. The caller must end the Writer by Commit or
// Abort: it has the turn until then.
func (t *Timeline) Begin(ctx context.Context) (*Writer, error) {
	for {
		if err := t.takeTurn(ctx); err != nil {
			return nil, err
		}
		wait, err := t.pressure()
		if err != nil {
			t.giveTurn()
			return nil, err
		}
		if wait == nil {
			break
		}
		t.giveTurn()
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-t.r.done:
			return nil, ErrClosed
		}
	}
	if t.writer == nil {
		t.writer = newWriter(t)
	}
	t.writer.reset()
	return t.writer, nil
}

// pressure gives a channel that is closed when Begin should look again, nil if a batch can begin now.
// It seals windows if memory is short. The caller has the turn.
func (t *Timeline) pressure() (wait <-chan struct{}, err error) {
	over, _, changed := t.r.mem.over()
	if !over && t.sealedCount() < maxSealed {
		return nil, nil
	}
	if over && t.view.Load().open().memory() >= minSeal {
		t.sealOpen()
	} else if over {
		t.r.mem.sealLargest(t)
	}
	if err := t.lastFlushError(); err != nil {
		return nil, fmt.Errorf("%s: history cannot be stored: %w", t.info.Name, err)
	}
	if _, flushing, _ := t.r.mem.over(); !flushing && t.sealedCount() < maxSealed {
		return nil, nil // no flush is under way that would give memory back: waiting would not end
	}
	return changed, nil
}

func (t *Timeline) sealedCount() int { return len(t.view.Load().windows) - 1 }

func (t *Timeline) lastFlushError() error {
	t.flushMu.Lock()
	defer t.flushMu.Unlock()
	return t.flushErr
}

// memory is how many bytes w takes, about.
func (w *window) memory() int64 {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.size
}

// sealOpen seals the open window, if there is anything in it, and queues it to be flushed. The caller
// has the turn.
func (t *Timeline) sealOpen() {
	t.mu.Lock()
	defer t.mu.Unlock()
	v := t.view.Load()
	w := v.open()
	w.mu.RLock()
	end := w.end
	w.mu.RUnlock()
	if end.lsn == w.start {
		return
	}
	t.view.Store(&view{windows: append([]*window{newWindow(end)}, v.windows...), flushed: v.flushed})
	t.r.mem.sealed()
	t.r.enqueue(flushJob{t, w})
}

// dropFlushed takes w, which is in the store now, out of the view.
func (t *Timeline) dropFlushed(w *window) {
	t.mu.Lock()
	defer t.mu.Unlock()
	v := t.view.Load()
	rest := slices.DeleteFunc(slices.Clone(v.windows), func(x *window) bool { return x == w })
	t.view.Store(&view{windows: rest, flushed: w.end})
}

// Flush writes all that was committed to the store, durably.
func (t *Timeline) Flush(ctx context.Context) error {
	if err := t.takeTurn(ctx); err != nil {
		return err
	}
	t.sealOpen()
	t.giveTurn()
	return t.waitFlushed(ctx)
}

// waitFlushed waits until all sealed windows are flushed, or that fails.
func (t *Timeline) waitFlushed(ctx context.Context) error {
	for {
		_, _, changed := t.r.mem.over()
		if t.sealedCount() == 0 || t.isDeleted() {
			return nil
		}
		if err := t.lastFlushError(); err != nil {
			return fmt.Errorf("flush %s: %w", t.info.Name, err)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-t.r.flusherDone:
			return ErrClosed
		}
	}
}
