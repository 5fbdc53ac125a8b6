package admin

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// LogCounts are how many lines a log has had, by level.
type LogCounts struct{ Info, Warn, Error int64 }

// Event is a line of the log that an operator should see.
type Event struct {
	At     time.Time
	Level  slog.Level
	Text   string
	Tenant string // that it is about; "": not known
}

// maxEvents is how many events are kept.
const maxEvents = 200

// Journal counts the lines that go through its Handler, and keeps the last warnings and errors, with what is at least
// info of what runs. The zero value is ready.
type Journal struct {
	info, warn, errors atomic.Int64

	mu     sync.Mutex
	events []Event // the oldest first
}

// Counts gives the counts up to now.
func (j *Journal) Counts() LogCounts {
	return LogCounts{j.info.Load(), j.warn.Load(), j.errors.Load()}
}

// Events gives what is kept, the newest first.
func (j *Journal) Events() []Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	list := slices.Clone(j.events)
	slices.Reverse(list)
	return list
}

// Handler makes a handler that notes what next is given.
func (j *Journal) Handler(next slog.Handler) slog.Handler {
	return &journalHandler{Handler: next, journal: j}
}

type journalHandler struct {
	slog.Handler
	journal *Journal
	attrs   []slog.Attr
}

// WithAttrs implements slog.Handler.
func (h *journalHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &journalHandler{h.Handler.WithAttrs(attrs), h.journal, slices.Concat(h.attrs, attrs)}
}

// WithGroup implements slog.Handler.
func (h *journalHandler) WithGroup(name string) slog.Handler {
	return &journalHandler{h.Handler.WithGroup(name), h.journal, h.attrs}
}

// levelAboveErrors is where lines begin that are no errors though their level is higher: audit lines.
const levelAboveErrors = slog.LevelError + 1

// Handle implements slog.Handler.
func (h *journalHandler) Handle(ctx context.Context, r slog.Record) error {
	j := h.journal
	switch {
	case r.Level >= levelAboveErrors:
	case r.Level >= slog.LevelError:
		j.errors.Add(1)
		j.keep(r, h.attrs)
	case r.Level >= slog.LevelWarn:
		j.warn.Add(1)
		j.keep(r, h.attrs)
	case r.Level >= slog.LevelInfo:
		j.info.Add(1)
		j.keep(r, h.attrs)
	}
	return h.Handler.Handle(ctx, r)
}

func (j *Journal) keep(r slog.Record, attrs []slog.Attr) {
	e := Event{At: r.Time, Level: r.Level, Text: r.Message}
	add := func(a slog.Attr) bool {
		switch value := a.Value.Resolve().String(); {
		case a.Key == "tenant":
			e.Tenant = value
		case value != "<nil>" && value != "":
			e.Text += ", " + a.Key + " " + value
		}
		return true
	}
	for _, a := range attrs {
		add(a)
	}
	r.Attrs(add)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.events = append(j.events, e)
	if len(j.events) > maxEvents {
		j.events = slices.Delete(j.events, 0, len(j.events)-maxEvents)
	}
}
