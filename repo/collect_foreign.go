package repo

import (
	"context"
	"errors"

	"zenith/internal/pg"
)

// replayable lowers h, to which t's horizon is to move, so that pages which redo cannot rebuild there, or at
// a pinned point below, can still be made by a server with the extension's library: it needs everything
// from the last readable point before on, and the WAL from the checkpoint before that. Pins below the present
// horizon are not looked at: what they need was held when the horizon passed them.
func (t *Timeline) replayable(ctx context.Context, h pg.LSN) (pg.LSN, error) {
	now := t.OwnHorizon()
	t.r.pinMu.Lock()
	points := append(t.pointsBelow(h), h)
	t.r.pinMu.Unlock()
	for _, at := range points {
		if at <= now {
			continue
		}
		s, err := t.At(ctx, at)
		if err != nil {
			return 0, err
		}
		from, err := s.ReadableBefore(ctx)
		switch {
		case errors.Is(err, ErrOutOfRange) || errors.Is(err, ErrCorrupt):
			// It is too late for these pages, so they are no reason to keep history.
		case err != nil:
			return 0, err
		case from != s:
			need := min(from.LSN(), from.State().CheckPoint.Redo)
			if need < h {
				t.r.log.Warn("history is kept for pages that only an extension's library can make", "timeline", t.info.ID, "at", at, "from", need)
			}
			h = min(h, need)
		}
	}
	return max(h, now), nil
}
