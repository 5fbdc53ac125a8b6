package ingest

import (
	"context"
	"fmt"

	"zenith/internal/pg"
	"zenith/internal/xlog"
	"zenith/walredo"
)

// apply takes in the record in hand.
func (in *Ingester) apply(ctx context.Context) error {
	rec := &in.rec
	h := handlerOf(rec)
	if h.alone {
		if err := in.commit(ctx); err != nil {
			return err
		}
	}
	if err := in.checkLevel(rec); err != nil {
		return err
	}
	if h.whole != nil {
		if err := h.whole(ctx, in); err != nil {
			return err
		}
		return in.track(rec)
	}
	if err := in.begin(ctx); err != nil {
		return err
	}
	if h.apply != nil {
		if err := h.apply(ctx, in); err != nil {
			return err
		}
	}
	in.pages(rec)
	if err := walredo.Touches(rec, in.touch); err != nil {
		return err
	}
	if in.batch.err != nil {
		return in.batch.err
	}
	if err := in.advance(rec); err != nil {
		return err
	}
	return in.track(rec)
}

// track counts what the record does for the index of commits.
func (in *Ingester) track(rec *xlog.Record) error {
	c, err := in.history.Add(rec)
	if err == nil && c != nil {
		in.commits.Add(c)
	}
	return err
}

// advance brings the control data to after rec.
func (in *Ingester) advance(rec *xlog.Record) error {
	before := in.state.LastCommitLSN
	if err := in.state.Apply(rec); err != nil {
		return err
	}
	if in.state.LastCommitLSN != before {
		in.batch.ends++
	}
	if in.state.LSN-in.stated >= stateEvery {
		in.batch.w.State(in.state)
		in.stated = in.state.LSN
	}
	return nil
}

// checkLevel refuses changes by a server that does not log all of them. What such a
// server logs before it tells its settings is harmless.
func (in *Ingester) checkLevel(rec *xlog.Record) error {
	if in.state.Settings.WALLevel > 0 || rec.RmgrID == xlog.RmXLOG || rec.RmgrID == xlog.RmStandby {
		return nil
	}
	return fmt.Errorf("set wal_level to replica: %w", ErrMinimal)
}

// pages adds the record to the pages that it names.
func (in *Ingester) pages(rec *xlog.Record) {
	w := in.batch.w
	for i := range rec.Blocks {
		tag := rec.Blocks[i].Tag
		if !rec.Changes(&rec.Blocks[i]) {
			continue
		}
		w.Page(tag, rec)
		w.Extend(tag.RelFork, rec.EndLSN, tag.Block+1)
		in.note(rec, &rec.Blocks[i])
	}
}

// touched adds the record to a page that it changes without naming it.
func (in *Ingester) touched(tag pg.BufferTag) {
	rec, w := &in.rec, in.batch.w
	if tag.Fork == pg.VisibilityMapFork {
		in.touchedMap(tag)
		return
	}
	if slru, _, _ := tag.SLRU(); slru == pg.SLRUCommitTs && !in.state.Settings.TrackCommitTimestamp {
		return
	}
	w.Page(tag, rec)
	w.Extend(tag.RelFork, rec.EndLSN, tag.Block+1)
}

// emptyMap is a page of a visibility map as vm_extend makes it.
var emptyMap = func() pg.Page {
	page := make(pg.Page, pg.BlockSize)
	page.Init(0)
	return page
}()

// touchedMap is touched for a visibility map. Replay makes the map longer, if need be,
// to clear bits that then cannot be set; it does not to truncate it.
func (in *Ingester) touchedMap(tag pg.BufferTag) {
	rec, w := &in.rec, in.batch.w
	n, _, err := w.Size(tag.RelFork)
	if err != nil {
		in.batch.err = fmt.Errorf("size of %v: %w", tag.RelFork, err)
		return
	}
	if tag.Block < n {
		w.Page(tag, rec)
		return
	}
	if rec.RmgrID == xlog.RmSmgr {
		return
	}
	w.Extend(tag.RelFork, rec.EndLSN, tag.Block+1)
	for blk := n; blk <= tag.Block; blk++ {
		w.Image(tag.RelFork.Tag(blk), rec.EndLSN, emptyMap)
	}
}
