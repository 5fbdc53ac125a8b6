package repo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"zenith/internal/pg"
	"zenith/internal/xlog"
	"zenith/repo/control"
)

// Point is a record boundary and the state there.
type Point struct {
	LSN   pg.LSN
	State *control.State // shared: do not change
}

// Resolve finds the last record boundary at or below lsn, and the state there.
// ErrOutOfRange before FirstLSN, unless the point is pinned, and beyond LastLSN. ErrBusy if
// after a crash an ancestor has not got back to where t branches off.
func (t *Timeline) Resolve(ctx context.Context, lsn pg.LSN) (Point, error) {
	if head := t.LastLSN(); lsn > head {
		return Point{}, fmt.Errorf("%v is beyond the head of %s, %v: %w", lsn, t.Name(), head, ErrOutOfRange)
	}
	if lsn < t.first {
		return Point{}, fmt.Errorf("%v is before the history of %s begins, %v: %w", lsn, t.Name(), t.first, ErrOutOfRange)
	}
	if err := t.lineage(lsn).complete(); err != nil {
		return Point{}, err
	}
	at, err := t.keptPoint(lsn)
	if err != nil {
		return Point{}, err
	}
	p, err := t.resolve(ctx, at)
	if kerr := t.checkKept(at); kerr != nil {
		err = kerr
	}
	return p, err
}

// resolve is Resolve for an LSN that is kept.
func (t *Timeline) resolve(ctx context.Context, lsn pg.LSN) (Point, error) {
	s, err := t.stateBefore(lsn)
	if err != nil {
		return Point{}, err
	}
	return t.walk(ctx, s, lsn, nil)
}

// complete reports an error if the WAL of a member that was not flushed before a crash
// is still to be ingested again.
func (l lineage) complete() error {
	for _, m := range l {
		if head := m.t.LastLSN(); head < m.cap {
			return fmt.Errorf("wal of %s behind %v, up to %v, was not ingested yet: %w", m.t.Name(), head, m.cap, ErrBusy)
		}
	}
	return nil
}

// At gives the immutable snapshot at Resolve(lsn).
func (t *Timeline) At(ctx context.Context, lsn pg.LSN) (*Snapshot, error) {
	p, err := t.Resolve(ctx, lsn)
	if err != nil {
		return nil, err
	}
	return t.snapshot(p), nil
}

// AtHead gives the snapshot at LastLSN that, unlike At(LastLSN), sees files put by
// PutFile since: what a writable mount starts from.
func (t *Timeline) AtHead(ctx context.Context) (*Snapshot, error) {
	s, err := t.At(ctx, t.LastLSN())
	if err != nil {
		return nil, err
	}
	s.files = append(lineage(nil), s.l...)
	s.files[0].cap = putFileLSN(s.point.LSN)
	return s, nil
}

// stateBefore reads the stored state that is nearest to lsn from below.
func (t *Timeline) stateBefore(lsn pg.LSN) (s *control.State, err error) {
	p := probe{object: appendState(nil)}
	p.window = func(w *window, limit pg.LSN) (pg.LSN, bool) {
		v, ok := w.state(limit)
		if ok {
			s, err = control.Decode(v.encoded)
		}
		return v.lsn, ok
	}
	p.store = func(body []byte, _, _ pg.LSN) (err error) {
		s, err = control.Decode(body)
		return err
	}
	found, perr := p.find(t.r.store, nil, t.lineage(lsn).look())
	if err == nil {
		err = perr
	}
	if err == nil && !found {
		err = fmt.Errorf("none is stored: %w", ErrCorrupt)
	}
	if err != nil {
		return nil, fmt.Errorf("state of %s at %v: %w", t.Name(), lsn, err)
	}
	return s, nil
}

// walk reads the WAL from s, which it changes, and gives the last point at or below upTo.
// stop, if not nil, is asked before each record is applied, and ends the walk by true.
func (t *Timeline) walk(ctx context.Context, s *control.State, upTo pg.LSN, stop func(*xlog.Record) (bool, error)) (Point, error) {
	// Below the branch point it is an ancestor's WAL. No walk crosses that: a branch has a
	// state of its own where it begins.
	cfg := t.WALConfig()
	cfg.Version = t.wal.VersionAt(s.LSN)
	r := xlog.NewReader(t.wal, cfg, s.LSN)
	r.SetPrev(s.Prev)
	var rec xlog.Record
	for n := 0; s.LSN < upTo; n++ {
		if n%256 == 0 {
			if err := ctx.Err(); err != nil {
				return Point{}, err
			}
		}
		err := r.Next(&rec)
		if errors.Is(err, io.EOF) {
			return Point{}, fmt.Errorf("wal of %s ends at %v, before %v: %w", t.Name(), s.LSN, upTo, ErrCorrupt)
		}
		if err != nil {
			return Point{}, fmt.Errorf("wal of %s at %v: %w", t.Name(), s.LSN, err)
		}
		if rec.EndLSN > upTo {
			break
		}
		if stop != nil {
			if done, err := stop(&rec); done || err != nil {
				return Point{s.LSN, s}, err
			}
		}
		if err := s.Apply(&rec); err != nil {
			return Point{}, fmt.Errorf("wal of %s: %w", t.Name(), err)
		}
	}
	return Point{s.LSN, s}, nil
}

// FindTime finds the end of the last commit at or before when. ErrOutOfRange if the
// history begins later.
func (t *Timeline) FindTime(ctx context.Context, when time.Time) (Point, error) {
	first := t.FirstLSN()
	p, err := t.findTime(ctx, when, first)
	if t.FirstLSN() != first { // history was forgotten meanwhile
		return t.FindTime(ctx, when)
	}
	return p, err
}

// findTime is FindTime where what is kept begins at first.
func (t *Timeline) findTime(ctx context.Context, when time.Time, first pg.LSN) (Point, error) {
	head := t.LastLSN()
	s, err := t.stateAtTime(ctx, when, first, head)
	if err != nil {
		return Point{}, err
	}
	// Behind s the first commit after when ends the search; the point is the last commit's
	// end, or s itself, if that knows none.
	last := Point{s.LSN, s.Clone()}
	_, err = t.walk(ctx, s, head, func(rec *xlog.Record) (bool, error) {
		next := s
		if rec.RmgrID == xlog.RmXact {
			next = s.Clone()
			if err := next.Apply(rec); err != nil {
				return false, err
			}
		}
		if next.LastCommitLSN == s.LastCommitLSN {
			return false, nil
		}
		if next.CommittedAfter(when) {
			return true, nil
		}
		last = Point{next.LSN, next}
		return false, nil
	})
	if err != nil {
		return Point{}, err
	}
	if last.State.LastCommitLSN > first && last.State.LastCommitLSN < last.LSN {
		return t.Resolve(ctx, last.State.LastCommitLSN)
	}
	return last, nil
}

// stateAtTime finds a stored state before the first commit after when, a late one.
func (t *Timeline) stateAtTime(ctx context.Context, when time.Time, first, head pg.LSN) (*control.State, error) {
	s, err := t.stateBefore(first)
	if err != nil {
		return nil, err
	}
	if s.KnownSince().After(when) && first > t.first {
		return nil, fmt.Errorf("%v is before the horizon of %s, %v: %w", when.UTC().Format(time.RFC3339), t.Name(), first, ErrOutOfRange)
	}
	if s.KnownSince().After(when) {
		return nil, fmt.Errorf("%s begins at %v: %w", t.Name(), s.KnownSince().UTC().Format(time.RFC3339), ErrOutOfRange)
	}
	lo, hi := s.LSN, head // the state before lo is early enough; that before hi+1 is not known to be
	for lo < hi {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		mid := lo + (hi-lo+1)/2
		c, err := t.stateBefore(mid)
		if err != nil {
			return nil, err
		}
		if c.CommittedAfter(when) {
			hi = c.LSN - 1
		} else {
			s, lo = c, mid
		}
	}
	return s, nil
}
