package repo

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"zenith/internal/pg"
)

// coldWAL is how far behind what was flushed WAL must lie to be packed: what is read again
// and again is nearer.
const coldWAL = pg.LSN(64 << 20)

// The packer works for packWork, and rests for packRest times as long. While WAL comes in, it
// waits for packIdle without any being flushed, or until packBehind of it is cold.
const (
	packWork   = 5 * time.Millisecond
	packRest   = 4
	packIdle   = 2 * time.Second
	packBehind = pg.LSN(1 << 30)
)

// wakePacker says that more WAL may be cold.
func (r *Repository) wakePacker() {
	r.lastFlush.Store(time.Now().UnixNano())
	select {
	case r.cold <- struct{}{}:
	default:
	}
}

// runPacker packs WAL that has become cold, at its leisure, until ctx is done.
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
			r.log.Warn("pack cold WAL", "err", err) // it stays as it is
		}
		select {
		case <-r.cold:
		case <-ctx.Done():
			return
		}
	}
}

// awaitQuiet waits, until ctx is done, while WAL comes in.
func (r *Repository) awaitQuiet(ctx context.Context) {
	for r.ingesting() && sleep(ctx, packIdle/8) {
	}
}

// ingesting reports whether WAL comes in, and is not far ahead of the packer.
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

// PackWAL packs all WAL that is cold, without rest.
func (r *Repository) PackWAL(ctx context.Context) error { return r.packWAL(ctx.Err) }

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

// packTemp is where a packed segment is written before it takes the plain one's place. Who holds
// packing may use it.
func (r *Repository) packTemp() string { return filepath.Join(r.timelinesDir(), "packing") }
