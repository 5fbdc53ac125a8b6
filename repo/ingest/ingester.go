package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"zenith/internal/pg"
	"zenith/internal/xlog"
	"zenith/repo"
	"zenith/repo/control"
	"zenith/repo/history"
	"zenith/walredo"
)

// Options are New's. The zero value works.
type Options struct {
	Log        *slog.Logger // default: discards
	BatchBytes int          // of WAL in a batch; default 4 MiB
}

// Ingester follows the WAL of one timeline. It is for one goroutine at a time.
type Ingester struct {
	tl    *repo.Timeline
	log   *slog.Logger
	limit pg.LSN // of WAL in a batch

	reader  *xlog.Reader   // nil: to be placed at the head
	state   *control.State // as of the reader's EndLSN
	rec     xlog.Record
	batch   *batch             // nil: nothing is collected
	touch   func(pg.BufferTag) // in.touched, made once
	synced  pg.LSN             // end of the newest segment whose name is durable
	stated  pg.LSN             // of the newest state that was stored
	dbs     map[database]bool  // what is known of databases at the reader's EndLSN
	stop    pg.LSN             // do not apply the record that starts there: stopErr
	stopErr error
	refused map[pg.BufferTag]bool // see loadNotes; at the reader's EndLSN
	history *history.Tracker      // at the reader's EndLSN
	commits history.Chunk         // of the batch
	bare    bool                  // it is noted already that the timeline has a bare record: see note
	badMark error                 // why the mark of durable WAL could not be read: see mendMark
}

// database is a database's directory in a tablespace.
type database struct{ spc, db pg.OID }

// batch is a stretch of records that will be published together.
type batch struct {
	w     *repo.Writer
	start pg.LSN             // end of the record before
	notes []repo.ForeignNote // to be stored before the batch is published
	err   error              // the first of touched's
	ends  int64              // how many transactions were committed
}

// stateEvery is how much WAL may lie between two stored states.
const stateEvery = 256 << 10

// New makes an Ingester for tl. It starts from tl's head.
func New(tl *repo.Timeline, o Options) (*Ingester, error) {
	if tl == nil {
		return nil, fmt.Errorf("no timeline: %w", repo.ErrInvalid)
	}
	in := &Ingester{tl: tl, log: o.Log, limit: pg.LSN(o.BatchBytes)}
	if in.log == nil {
		in.log = slog.New(slog.DiscardHandler)
	}
	if o.BatchBytes <= 0 {
		in.limit = 4 << 20
	}
	in.touch = in.touched
	return in, nil
}

// Catchup takes in all valid WAL that the timeline has on disk, makes it durable, and
// publishes it. It returns the head then. After an error, too, what is before the place
// of the error has been published, and a later call goes on from there.
func (in *Ingester) Catchup(ctx context.Context) (pg.LSN, error) {
	err := in.follow(ctx)
	if err != nil && in.batch == nil && in.stopErr != nil {
		// A record was refused after others of its batch, which count.
		err = in.follow(ctx)
	}
	in.stop, in.stopErr = 0, nil
	return in.tl.LastLSN(), err
}

// follow reads to the end of the WAL. After an error the reader is placed anew.
func (in *Ingester) follow(ctx context.Context) error {
	if err := in.place(ctx); err != nil {
		return err
	}
	for {
		err := in.reader.Next(&in.rec)
		if err != nil {
			return in.end(ctx, err)
		}
		if in.stopErr != nil && in.rec.StartLSN == in.stop {
			return in.end(ctx, in.stopErr)
		}
		if err := in.apply(ctx); err != nil {
			return in.refuse(err)
		}
		if in.batch != nil && in.rec.EndLSN-in.batch.start >= in.limit {
			if err := in.commit(ctx); err != nil {
				return err
			}
		}
	}
}

// place puts a reader behind the head, unless there is one.
func (in *Ingester) place(ctx context.Context) error {
	if in.reader != nil {
		return nil
	}
	last, prev := in.tl.Head()
	at, err := in.tl.Resolve(ctx, last)
	if err != nil {
		return fmt.Errorf("control data at %v: %w", last, err)
	}
	if err := in.loadNotes(ctx); err != nil {
		return err
	}
	tracker, err := in.tl.Tracker(at.State.CheckPoint.NextXID.XID())
	if err != nil {
		return fmt.Errorf("running transactions at %v: %w", last, err)
	}
	in.reader = xlog.NewReader(in.tl.WAL(), in.tl.WALConfig(), last) // from here on it is placed
	in.reader.SetPrev(prev)
	in.state = at.State.Clone()
	in.stated = last
	in.dbs = make(map[database]bool)
	in.commits.Reset()
	in.history = tracker
	if _, _, err := in.tl.Durable(); errors.Is(err, repo.ErrCorrupt) {
		in.badMark = err
	}
	return nil
}

// drop forgets what is not published.
func (in *Ingester) drop() {
	if in.batch != nil {
		in.batch.w.Abort()
		in.batch = nil
	}
	in.reader = nil
}

// end is what to do when no record follows because of cause.
func (in *Ingester) end(ctx context.Context, cause error) error {
	if err := in.commit(ctx); err != nil {
		return err
	}
	if errors.Is(cause, io.EOF) {
		return in.mendMark()
	}
	in.drop()
	return in.unlessTorn(cause)
}

// unlessTorn tells damage from what a server leaves that is writing, or died: see
// repo.Timeline.Durable.
func (in *Ingester) unlessTorn(cause error) error {
	var damage *xlog.Damage
	if !errors.As(cause, &damage) {
		return cause
	}
	mark, ok, err := in.tl.Durable()
	if err != nil {
		return errors.Join(cause, err)
	}
	if !ok || damage.At < mark {
		return cause
	}
	in.log.Debug("wal ends with a record that was never completed", "at", damage.At, "goes on at", damage.Proof, "cause", damage.Err)
	return nil
}

// refuse is what to do when the record in hand cannot be applied because of cause. If
// others are in its batch, they are to be taken in first, up to it.
func (in *Ingester) refuse(cause error) error {
	start := in.rec.StartLSN
	rm, op := walredo.Name(&in.rec)
	err := fmt.Errorf("%s/%s at %v: %w", rm, op, start, cause)
	alone := in.batch == nil || in.batch.start == in.state.LSN || in.stopErr != nil
	in.drop()
	if !alone && isBadRecord(cause) {
		in.stop, in.stopErr = start, err
	}
	return err
}

// isBadRecord tells what will not go away from what may.
func isBadRecord(err error) bool {
	return errors.Is(err, xlog.ErrCorrupt) || errors.Is(err, walredo.ErrCorrupt) || errors.Is(err, ErrMinimal)
}

// begin starts a batch, unless there is one.
func (in *Ingester) begin(ctx context.Context) error {
	if in.batch != nil {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	w, err := in.tl.Begin(ctx)
	if err != nil {
		return err
	}
	in.batch = &batch{w: w, start: in.state.LSN}
	return nil
}

// mark notes how far the WAL is durable, for a timeline that a server writes. A damaged mark stays as
// it is until the end of the WAL is reached: there may be a hole in the WAL on the way, below the
// mark that there was, and a new mark in front of it would make it the end.
func (in *Ingester) mark() error {
	mark, ok, err := in.tl.Durable()
	if errors.Is(err, repo.ErrCorrupt) {
		in.badMark = err
		return nil
	}
	if err != nil || !ok || in.state.LSN <= mark { // after a crash WAL is read again
		return err
	}
	return in.tl.MarkDurable(in.state.LSN)
}

// mendMark replaces a mark that was found to be damaged, at the end of the WAL, all of which is durable.
func (in *Ingester) mendMark() error {
	if in.badMark == nil {
		return nil
	}
	in.log.Warn("the mark of durable wal is damaged; it is moved aside, and made anew at the end of wal", "at", in.state.LSN, "err", in.badMark)
	in.badMark = nil
	return in.tl.MarkDurable(in.state.LSN)
}

// commit publishes the batch, if there is one, up to the last record applied.
func (in *Ingester) commit(ctx context.Context) error {
	if in.batch == nil {
		return nil
	}
	b := in.batch
	if in.state.LSN-in.stated >= stateEvery {
		b.w.State(in.state)
		in.stated = in.state.LSN
	}
	b.w.Commits(&in.commits)
	b.w.Running(in.history.Running())
	in.commits.Reset()
	err := in.syncWAL(b.start, in.state.LSN)
	if err == nil && len(b.notes) > 0 {
		err = in.tl.NoteForeign(b.notes)
	}
	if err == nil {
		in.batch = nil
		err = b.w.Commit(in.state.LSN, in.state.Prev)
	}
	if err == nil {
		m := in.tl.Meters()
		m.WALBytes.Add(int64(in.state.LSN - b.start))
		m.Commits.Add(b.ends)
	}
	if err == nil {
		err = in.mark()
	}
	if err != nil {
		in.drop()
		return fmt.Errorf("publish up to %v: %w", in.state.LSN, err)
	}
	return ctx.Err()
}
