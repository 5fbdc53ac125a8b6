package repo

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"

	"zenith/internal/pg"
	"zenith/internal/xlog"
	"zenith/repo/segment"
)

// walTimeline is a timeline as a segment.Timeline.
type walTimeline struct{ *Timeline }

// Forgotten implements segment.Timeline.
func (o walTimeline) Forgotten(lsn pg.LSN) error {
	if lsn < o.OwnHorizon() && lsn >= o.info.StartLSN {
		return o.errForgotten(lsn)
	}
	return nil
}

// Held implements segment.Timeline.
func (o walTimeline) Held(name string) bool {
	o.r.pinMu.Lock()
	held := o.heldWAL
	o.r.pinMu.Unlock()
	return held != nil && held(name)
}

// WALConfig describes t's WAL to an xlog.Reader.
func (t *Timeline) WALConfig() xlog.Config {
	return xlog.Config{Version: t.Version(), SegSize: t.info.SegSize, SysID: t.info.SysID, TLI: t.History().TLI()}
}

// WALConfigAt describes the WAL that begins at lsn: below the branch point it is an ancestor's, which may be of another major
// version or another cluster than t. A reader so configured must stop at end, where a descendant's begins.
func (t *Timeline) WALConfigAt(lsn pg.LSN) (cfg xlog.Config, end pg.LSN) {
	end = math.MaxUint64
	for t.parent != nil && lsn < t.info.StartLSN {
		t, end = t.parent, t.info.StartLSN
	}
	return t.WALConfig(), end
}

// History says which of PostgreSQL's timelines t's WAL is on, and from where. A branch has inherited its ancestor's
// up to the branch point.
func (t *Timeline) History() pg.History { return t.wal.History() }

// SwitchTLI has t's WAL go on at at, its head, on another timeline of PostgreSQL's, durably: the server that t follows
// was promoted there, or is one that took another's place. t's points up to the head stay on the old
// one. All WAL that is there must have been ingested; what lies behind the head is removed. ErrInvalid if at is not
// the head, ErrCorrupt if the history would not be one: tli is lower than the one that t is on.
func (t *Timeline) SwitchTLI(ctx context.Context, tli pg.TLI, at pg.LSN) error {
	if err := t.takeTurn(ctx); err != nil {
		return err
	}
	defer t.giveTurn()
	if head := t.LastLSN(); head != at {
		return fmt.Errorf("switch %q to timeline %d at %v: its head is %v: %w", t.Name(), tli, at, head, ErrInvalid)
	}
	err := t.wal.Switch(tli, func(history pg.History) error {
		row := t.timelineRow(statusLive)
		row.setHistory(history)
		return t.r.update(rowOp(timelineKey(kindTimeline, t.no), row))
	})
	if err != nil {
		return fmt.Errorf("switch %q to timeline %d: %w", t.Name(), tli, err)
	}
	return nil
}

// WAL reads t's WAL: t's own segments from StartLSN on, its ancestors' below.
func (t *Timeline) WAL() *segment.WAL { return t.wal }

// WALDir is the directory of t's own segments.
func (t *Timeline) WALDir() string { return filepath.Join(t.dir(), "wal") }

// SegmentPath is the path of t's own segment that holds lsn, present or not.
func (t *Timeline) SegmentPath(lsn pg.LSN) string { return t.wal.SegmentPath(lsn) }

// HoldWAL says which of t's own segments a server has in its pg_wal: those are neither removed nor
// packed. held is called, with the segment's name, whenever one is about to be; it must not block.
// nil means that there is no server.
func (t *Timeline) HoldWAL(held func(segment string) bool) {
	t.r.pinMu.Lock()
	defer t.r.pinMu.Unlock()
	t.heldWAL = held
}

// PlainWAL makes the segment of t's own with that name a plain file again if it is packed, so that a
// server can have it in its pg_wal. A segment that is not there is no error.
func (t *Timeline) PlainWAL(segment string) error {
	return t.wal.Unpack(segment, filepath.Join(t.dir(), "unpacking"))
}

// MarkDurable notes that the WAL up to lsn is durable, and that a server may be writing from
// there on: see package segment about the mark.
func (t *Timeline) MarkDurable(lsn pg.LSN) error { return t.wal.MarkDurable(lsn) }

// Durable gives the LSN up to which t's WAL is known to be durable; ok is false for a timeline that
// no server writes.
func (t *Timeline) Durable() (lsn pg.LSN, ok bool, err error) { return t.wal.Durable() }

// PrepareWAL must be called before WAL from elsewhere is written behind the head. It makes t's
// directories, and marks the WAL up to the head durable, so that an incomplete record which a crash
// leaves behind the mark does not count as damage. All WAL that is there must have been ingested.
func (t *Timeline) PrepareWAL() error {
	if err := t.MakeDirs(); err != nil {
		return err
	}
	head := t.LastLSN()
	mark, ok, err := t.Durable()
	if errors.Is(err, ErrCorrupt) {
		err = nil // MarkDurable moves it aside
	}
	if err != nil || ok && mark >= head {
		return err
	}
	return t.MarkDurable(head)
}
