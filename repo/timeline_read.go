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

// Point is a record boundary and the control data there.
type Point struct {
	LSN   pg.LSN
	State *control.State // shared: callers must not change it
}

// Resolve finds the last record boundary at or below lsn, and the control data there. ErrOutOfRange
// if lsn is beyond LastLSN, or below FirstLSN and not pinned. ErrBusy if the WAL of an ancestor must
// be ingested again after a crash, and was not yet up to where t branches off.
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

// resolve is Resolve where it is known that lsn is in range and kept.
func (t *Timeline) resolve(ctx context.Context, lsn pg.LSN) (Point, error) {
	s, err := t.stateBefore(lsn)
	if err != nil {
		return Point{}, err
	}
	return t.walk(ctx, s, lsn, nil)
}

// complete reports ErrBusy if the WAL of a member below its cap must still be ingested again after a
// crash.
func (l lineage) complete() error {
	for _, m := range l {
		if head := m.t.LastLSN(); head < m.cap {
			return fmt.Errorf("wal of %s behind %v, up to %v, was not ingested yet: %w", m.t.Name(), head, m.cap, ErrBusy)
		}
	}
	return nil
}

// At gives the snapshot at the point that Resolve finds, with its errors.
func (t *Timeline) At(ctx context.Context, lsn pg.LSN) (*Snapshot, error) {
	p, err := t.Resolve(ctx, lsn)
	if err != nil {
		return nil, err
	}
	return t.snapshot(p), nil
}

// AtHead gives the snapshot at LastLSN. Unlike that of At, it has the files that PutFile has stored
// since the head got there, before the call or later. A writable mount starts from it.
func (t *Timeline) AtHead(ctx context.Context) (*Snapshot, error) {
	s, err := t.At(ctx, t.LastLSN())
	if err != nil {
		return nil, err
	}
	s.files = append(lineage(nil), s.l...)
	s.files[0].cap = putFileLSN(s.point.LSN)
	return s, nil
}

// stateBefore reads the stored state with the highest LSN at or below lsn.
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

// walk applies the WAL from s.LSN on to s, and gives the last point at or below upTo. stop, if not
// nil, is called with each record before it is applied, and ends the walk by true.
func (t *Timeline) walk(ctx context.Context, s *control.State, upTo pg.LSN, stop func(*xlog.Record) (bool, error)) (Point, error) {
	// Below the branch point it is an ancestor's WAL. No walk crosses that: a branch has a
	// state of its own where it begins.
	cfg, _ := t.WALConfigAt(s.LSN)
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

// FindTime finds the point behind the last commit before the first one that is later than when.
// ErrOutOfRange if the kept history begins after when.
func (t *Timeline) FindTime(ctx context.Context, when time.Time) (Point, error) {
	first := t.FirstLSN()
	p, err := t.findTime(ctx, when, first)
	if t.FirstLSN() != first { // a collection moved the horizon meanwhile
		return t.FindTime(ctx, when)
	}
	return p, err
}

// findTime is FindTime in the history from first on.
func (t *Timeline) findTime(ctx context.Context, when time.Time, first pg.LSN) (Point, error) {
	head := t.LastLSN()
	s, err := t.stateAtTime(ctx, when, first, head)
	if err != nil {
		return Point{}, err
	}
	// The walk ends at the first commit that is later than when. The point is the end of the commit
	// before, or s if there is none behind s.
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

// stateAtTime finds a stored state from which no commit later than when was seen: one of the last
// such, so that findTime need not walk far.
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
	// The state stored at or below lo is early enough. Of those above hi it is known that they are
	// too late, or that there are none.
	lo, hi := s.LSN, head
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
