package segment

import "zenith/internal/pg"

// Forget closes a segment, which the test has changed, and drops what was read of it.
func (w *WAL) Forget(seg pg.LSN) {
	w.forget(seg)
	clear(w.frames[:])
}
