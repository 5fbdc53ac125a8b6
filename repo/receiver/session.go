package receiver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	"golang.org/x/sync/errgroup"

	"zenith/internal/pg"
	"zenith/internal/xlog"
	"zenith/repo"
)

// session is one connection's stream.
type session struct {
	r    *Receiver
	c    *conn
	tl   *repo.Timeline
	segs *Segments

	from pg.LSN // where the stream begins, a little before head
	head pg.LSN // the timeline's head at first: WAL before it is compared, WAL behind it is written
	next pg.LSN // where the next message has to begin; belongs to the goroutine that reads

	flushed atomic.Uint64
	heard   atomic.Int64  // unix nanoseconds of the last message
	dirty   chan struct{} // capacity 1: something is to be synced
	moved   chan struct{} // capacity 1: the server is to be told
}

const (
	tellEvery = 10 * time.Second // how often the server gets a status update, at least
	askAfter  = 25 * time.Second // of the server's silence: the next update asks for an answer
	giveUp    = 60 * time.Second // of the server's silence: the connection is given up
)

func newSession(r *Receiver, c *conn) *session {
	s := &session{r: r, c: c, tl: r.tl, dirty: make(chan struct{}, 1), moved: make(chan struct{}, 1)}
	head, prev := r.tl.Head()
	seg := pg.LSN(r.tl.Info().SegSize)
	s.head = head
	// The stream begins with the page on which the last record starts, so that it can be
	// compared; but not in an older segment, which the server may have removed.
	s.from = max(prev&^(xlog.PageSize-1), head&^(seg-1), r.tl.FirstLSN()&^(xlog.PageSize-1))
	s.next = s.from
	s.segs = NewSegments(r.tl, head)
	s.flushed.Store(uint64(head))
	return s
}

// begin asks for the stream, making the slot if it is not there.
func (s *session) begin(ctx context.Context) error {
	slot, tli := s.r.server.slot, s.tl.Info().TLI
	err := s.c.stream(ctx, slot, s.from, tli)
	if slot != "" && sqlState(err) == stateUndefinedObject {
		if err = s.c.ready(ctx); err != nil {
			return err
		}
		if _, err = s.c.makeSlot(ctx, slot, false); err != nil {
			return err
		}
		err = s.c.stream(ctx, slot, s.from, tli)
	}
	if err != nil {
		return s.explain(fmt.Errorf("stream from %v: %w", s.from, err))
	}
	return nil
}

// explain gives the server's error for a removed segment its meaning for the branch.
func (s *session) explain(err error) error {
	if sqlState(err) == stateUndefinedFile {
		return fmt.Errorf("%w: the branch needs WAL from %v on (a replication slot, %s, would have kept it): %w", err, s.next, slotKey, ErrRemoved)
	}
	return err
}

// run follows the stream until it breaks or ctx ends.
func (s *session) run(ctx context.Context) (err error) {
	s.heard.Store(time.Now().UnixNano())
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.read(ctx) })
	g.Go(func() error { return s.flush(ctx) })
	g.Go(func() error { return s.applied(ctx) })
	g.Go(func() error { return s.tell(ctx) })
	err = g.Wait()
	return errors.Join(err, s.segs.Close())
}

// read writes what comes into the segments.
func (s *session) read(ctx context.Context) error {
	for {
		msg, err := s.c.receive(ctx)
		if err != nil {
			return s.explain(err)
		}
		s.heard.Store(time.Now().UnixNano())
		switch m := msg.(type) {
		case *pgproto3.CopyData:
			in, err := parseIncoming(m.Data)
			if err != nil {
				return err
			}
			if err := s.take(ctx, in); err != nil {
				return err
			}
		case *pgproto3.CopyDone:
			return errTimelineEnd
		case *pgproto3.CommandComplete:
			return errShutdown
		}
	}
}

// take acts on one message: WAL, or a keepalive.
func (s *session) take(ctx context.Context, in incoming) error {
	s.r.note(func(st *Status) { st.Server = max(in.end, in.at+pg.LSN(len(in.data))) })
	if in.reply {
		signal(s.moved)
	}
	if len(in.data) == 0 {
		s.noteKnown(in)
		return nil
	}
	sent := in
	if in.at != s.next {
		return fmt.Errorf("WAL of %v came where %v was expected: %w", in.at, s.next, errProtocol)
	}
	s.next += pg.LSN(len(in.data))
	if in.at < s.head {
		known := min(len(in.data), int(s.head-in.at))
		if err := s.compare(in.at, in.data[:known]); err != nil {
			return err
		}
		in.at, in.data = in.at+pg.LSN(known), in.data[known:]
	}
	if err := s.segs.Write(in.at, in.data); err != nil {
		return err
	}
	s.r.note(func(st *Status) { st.Received = s.next })
	s.noteKnown(sent)
	signal(s.dirty)
	s.r.o.Throttle(ctx)
	return nil
}

// noteKnown notes the time of a message if nothing that the server had then is still to come.
func (s *session) noteKnown(in incoming) {
	s.r.note(func(st *Status) {
		if s.next < st.Server {
			return
		}
		st.Known = in.sent.Time()
		close(s.r.news)
		s.r.news = make(chan struct{})
	})
}

// compare makes sure that the server's WAL from at on is the timeline's.
func (s *session) compare(at pg.LSN, theirs []byte) error {
	ours := make([]byte, len(theirs))
	if err := xlog.ReadFull(s.tl.WAL(), ours, at); err != nil {
		return err
	}
	if !bytes.Equal(ours, theirs) {
		return fmt.Errorf("the server's WAL before %v is not the branch's: the branch, or the server, was written to on its own: %w", s.head, ErrDiverged)
	}
	return nil
}

// flush makes durable what was written, and has it ingested.
func (s *session) flush(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.dirty:
		}
		upTo, err := s.segs.Sync()
		if err != nil {
			return err
		}
		s.flushed.Store(uint64(upTo))
		s.r.note(func(st *Status) { st.Flushed = upTo })
		signal(s.moved)
		s.r.o.Synced(upTo)
	}
}

// applied wakes tell whenever the timeline's head moves.
func (s *session) applied(ctx context.Context) error {
	for {
		if err := s.tl.WaitLSN(ctx, s.tl.LastLSN()+1); err != nil {
			return err
		}
		signal(s.moved)
	}
}

// tell sends status updates, and gives a connection up on which nothing comes any more.
func (s *session) tell(ctx context.Context) error {
	tick := time.NewTicker(tellEvery)
	defer tick.Stop()
	for {
		ask := false
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.moved:
		case <-s.r.ask:
			ask = true
		case <-tick.C:
			silence := time.Since(time.Unix(0, s.heard.Load()))
			if silence > giveUp {
				return fmt.Errorf("%w: %v", errSilence, silence.Round(time.Second))
			}
			ask = silence > askAfter
		}
		if err := s.c.reply(s.position(), ask); err != nil {
			return fmt.Errorf("reply to the server: %w", err)
		}
	}
}

// position gives what a status update tells the server.
func (s *session) position() position {
	p := position{write: s.segs.Written(), flush: pg.LSN(s.flushed.Load()), apply: s.tl.LastLSN()}
	if s.r.server.slot != "" {
		// The server removes the segments before the position that the slot has as flushed. The
		// segment with the head is needed, for there the next stream begins.
		seg := pg.LSN(s.tl.Info().SegSize)
		p.flush = min(p.flush, p.apply&^(seg-1)+seg-1)
	}
	return p
}

// signal puts a token into a channel of capacity 1.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
