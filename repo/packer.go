package repo

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"zenith/internal/pg"
	"zenith/internal/xlog"
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
		t.packMu.Lock()
		from := max(t.packed, t.info.StartLSN)
		t.packMu.Unlock()
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
		if err := t.pack(flushed-coldWAL, rest); err != nil && !t.isDeleted() {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// pack packs t's segments up to an LSN, oldest first, until one that a server has.
func (t *Timeline) pack(upTo pg.LSN, rest func() error) error {
	size := pg.LSN(t.info.SegSize)
	t.packMu.Lock()
	from := t.packed
	t.packMu.Unlock()
	if upTo < from+size {
		return nil
	}
	entries, err := os.ReadDir(t.WALDir())
	if errors.Is(err, fs.ErrNotExist) {
		return nil // no WAL of its own, or deleted
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		_, start, ok := xlog.ParseSegmentName(e.Name(), t.info.SegSize)
		if !ok || start < from || start+size > upTo {
			continue
		}
		if held, err := t.packSegment(e.Name(), rest); held || err != nil {
			return err
		}
		t.packMu.Lock()
		t.packed = max(t.packed, start+size)
		t.packMu.Unlock()
		if err := rest(); err != nil {
			return err
		}
	}
	return nil
}

// packSegment packs one segment, unless a server has it.
func (t *Timeline) packSegment(name string, rest func() error) (held bool, err error) {
	path := filepath.Join(t.WALDir(), name)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	if t.isHeld(name) {
		return true, nil
	}
	st, err := f.Stat()
	if err != nil {
		return false, err
	}
	if packed, err := isPacked(path); packed || err != nil || st.Size() != int64(t.info.SegSize) {
		return false, err
	}
	// Not in the timeline's directory, which may be deleted meanwhile. What a crash leaves of it,
	// the next one writes over.
	temp := filepath.Join(t.r.timelinesDir(), "packing")
	if err := packFile(f, temp, t.info.SegSize, rest); err != nil {
		return false, errors.Join(err, os.Remove(temp))
	}
	t.packMu.Lock()
	defer t.packMu.Unlock()
	now, err := os.Stat(path)
	if err != nil || t.isHeld(name) || !os.SameFile(st, now) {
		return true, os.Remove(temp) // gone meanwhile, or taken
	}
	return false, t.replaceSegment(name, temp)
}

func (t *Timeline) isHeld(name string) bool {
	t.r.pinMu.Lock()
	held := t.heldWAL
	t.r.pinMu.Unlock()
	return held != nil && held(name)
}

// replaceSegment puts the file temp in a segment's place. The caller has packMu.
func (t *Timeline) replaceSegment(name, temp string) error {
	if err := os.Rename(temp, filepath.Join(t.WALDir(), name)); err != nil {
		return err
	}
	_, start, _ := xlog.ParseSegmentName(name, t.info.SegSize)
	t.wal.forget(start)
	return SyncDir(t.WALDir())
}
