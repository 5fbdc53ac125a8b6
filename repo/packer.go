package repo

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"zenith/internal/pg"
)

// coldWAL is how far WAL must lie below the flushed LSN to be packed. The WAL above is still read
// often, which is cheaper from plain segments.
const coldWAL = pg.LSN(64 << 20)

// The packer works for packWork, and then rests packRest times as long as it worked. While WAL comes
// in it does nothing, until no window was flushed for packIdle, or packBehind of cold WAL waits to be
// packed.
const (
	packWork   = 5 * time.Millisecond
	packRest   = 4
	packIdle   = 2 * time.Second
	packBehind = pg.LSN(1 << 30)
)

// wakePacker is called when a window was flushed: more WAL may be cold.
func (r *Repository) wakePacker() {
	r.lastFlush.Store(time.Now().UnixNano())
	select {
	case r.cold <- struct{}{}:
	default:
	}
}

// runPacker packs WAL that has become cold, slowly, until ctx is done.
func (r *Repository) runPacker(ctx context.Context) {
	defer close(r.packerDone)
	for {
		r.awaitQuiet(ctx)
		began := time.Now()
		rest := func() error {
			worked := time.Since(began)
			if worked < packWork {
				return ctx.Err()
			}
			sleep(ctx, packRest*worked)
			r.awaitQuiet(ctx)
			began = time.Now()
			return ctx.Err()
		}
		if err := r.packWAL(rest); err != nil && ctx.Err() == nil {
			r.log.Warn("pack cold WAL", "err", err) // the segment stays plain
		}
		select {
		case <-r.cold:
		case <-ctx.Done():
			return
		}
	}
}

// awaitQuiet waits until no WAL comes in any more, or ctx is done.
func (r *Repository) awaitQuiet(ctx context.Context) {
	for r.ingesting() && sleep(ctx, packIdle/8) {
	}
}

// ingesting reports whether WAL comes in, and the packer is not far behind on any timeline.
func (r *Repository) ingesting() bool {
	if time.Since(time.Unix(0, r.lastFlush.Load())) > packIdle {
		return false
	}
	for _, t := range r.Timelines() {
		from := max(t.wal.PackedUpTo(), t.info.StartLSN)
		if t.view.Load().flushed.lsn > from+coldWAL+packBehind {
			return false
		}
	}
	return true
}

// PackWAL packs all WAL that is cold, without a rest.
func (r *Repository) PackWAL(ctx context.Context) error { return r.packWAL(ctx.Err) }

// packWAL packs the cold WAL of all timelines. It calls rest as segment.WAL.Pack does.
func (r *Repository) packWAL(rest func() error) error {
	r.packing.Lock()
	defer r.packing.Unlock()
	var errs []error
	for _, t := range r.Timelines() {
		flushed := t.view.Load().flushed.lsn
		if flushed < coldWAL {
			continue
		}
		if err := t.wal.Pack(flushed-coldWAL, r.packTemp(), rest); err != nil && !t.isDeleted() {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// packTemp is the file in which a packed segment is built. The caller holds packing while it uses it.
func (r *Repository) packTemp() string { return filepath.Join(r.timelinesDir(), "packing") }
