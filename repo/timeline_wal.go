package repo

import (
	"errors"
	"path/filepath"

	"zenith/internal/pg"
	"zenith/internal/xlog"
	"zenith/repo/segment"
)

// walTimeline is a timeline as its WAL sees it.
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

// WALConfig is what a reader of t's WAL must expect.
func (t *Timeline) WALConfig() xlog.Config {
	return xlog.Config{Version: t.Version(), SegSize: t.info.SegSize, SysID: t.info.SysID, TLI: t.info.TLI}
}

// WAL reads t's WAL: own segments at and above StartLSN, the ancestors' below.
func (t *Timeline) WAL() *segment.WAL { return t.wal }

// WALDir is the directory of t's own segments.
func (t *Timeline) WALDir() string { return filepath.Join(t.dir(), "wal") }

// SegmentPath is the path of t's own segment that holds lsn, present or not.
func (t *Timeline) SegmentPath(lsn pg.LSN) string { return t.wal.SegmentPath(lsn) }

// HoldWAL has held asked, before one of t's own segments is removed or packed, whether a
// server still has it in its pg_wal; nil: no server is there.
func (t *Timeline) HoldWAL(held func(segment string) bool) {
	t.r.pinMu.Lock()
	defer t.r.pinMu.Unlock()
	t.heldWAL = held
}

// PlainWAL makes a segment of t's own, which may be packed, a plain file again, so that a
// server can have it in its pg_wal. Nothing for one that is not there.
func (t *Timeline) PlainWAL(segment string) error {
	return t.wal.Unpack(segment, filepath.Join(t.dir(), "unpacking"))
}

// MarkDurable says that the WAL up to lsn is durable, and that a server may write it from
// there on.
func (t *Timeline) MarkDurable(lsn pg.LSN) error { return t.wal.MarkDurable(lsn) }

// Durable gives the LSN up to which t's WAL is known to be durable; ok is false for a timeline that
// no server writes.
func (t *Timeline) Durable() (lsn pg.LSN, ok bool, err error) { return t.wal.Durable() }

// PrepareWAL says that WAL from elsewhere will be written from the head on: if we die, what
// stands behind the last complete record is no damage. All WAL that is there must have been
// ingested.
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
