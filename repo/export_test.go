package repo

import "zenith/internal/pg"

// PackUpTo packs the WAL up to lsn, even if it is not cold.
func (t *Timeline) PackUpTo(lsn pg.LSN) error {
	t.r.packing.Lock()
	defer t.r.packing.Unlock()
	return t.wal.Pack(lsn, t.r.packTemp(), func() error { return nil })
}

// Kill stops all goroutines of r without a flush, as the death of the process would.
func (r *Repository) Kill() {
	r.closeOnce.Do(func() {
		r.mem.leave(r)
		close(r.done)
		r.stopFlusher()
		r.dropQueue()
		<-r.flusherDone
		<-r.packerDone
		for _, t := range r.Timelines() {
			t.dropOpen()
		}
	})
}

// FormatVersion is the version of the layout that this code writes.
const FormatVersion = formatVersion
