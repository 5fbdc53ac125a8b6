package repo

import (
	"context"
	"log/slog"
	"testing"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// closingContext is canceled at the first look at it, right after close was called.
type closingContext struct {
	context.Context
	close func()
}

func (c *closingContext) Err() error {
	if c.close != nil {
		c.close()
		c.close = nil
	}
	return context.Canceled
}

// TestFlusherStops checks that the flusher does not stop before it has flushed a window which Close
// queued while the flusher looked whether it is to stop.
func TestFlusherStops(t *testing.T) {
	r := &Repository{
		log: slog.New(slog.DiscardHandler), mem: NewMemory(0),
		kick: make(chan struct{}, 1), cold: make(chan struct{}, 1), flusherDone: make(chan struct{}),
	}
	tl := newTimeline(r, 1, Info{Name: "main", SegSize: xlog.DefaultSegSize}, pg.OnTLI(1), nil, flushedRow{})
	tl.deleted = true // to flush its window takes no store
	r.runFlusher(&closingContext{t.Context(), func() { r.enqueue(flushJob{tl, tl.view.Load().open()}) }})
	if n := len(r.queue); n != 0 {
		t.Errorf("%d windows are left in the queue", n)
	}
}
