package receiver

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"zenith/internal/pg"
	"zenith/repo"
)

// Options are New's. Catchup and Synced must be set.
type Options struct {
	// Catchup ingests all WAL that the timeline has on disk. It is called before each
	// connection, so that the stream begins where it has to.
	Catchup func(ctx context.Context) (pg.LSN, error)
	// Synced is called with the end of the WAL that has become durable. It must not block.
	Synced func(upTo pg.LSN)
	// Throttle waits, a second at most, while ingest is too far behind; may be nil.
	Throttle func(ctx context.Context)
	Log      *slog.Logger // default: discards
}

// The values of Status.State.
const (
	Connecting = "connecting" // or ingesting the WAL that is on disk, which comes first
	Streaming  = "streaming"
	Waiting    = "waiting" // for the next attempt, after an error
	Failed     = "failed"  // the same, after an error that comes again until somebody does something
)

// Status is a receiver's state, and how far it has come.
type Status struct {
	State    string
	Received pg.LSN    // the end of the WAL that is written
	Flushed  pg.LSN    // the end of the WAL that is durable
	Applied  pg.LSN    // the end of the WAL that is ingested
	Server   pg.LSN    // the end of the server's WAL, when it was last heard of
	Known    time.Time // by the server's clock: what it had committed by then has been received; zero: not known
	Since    time.Time // when it began to stream, or ceased to, or was made
	Err      error     // of the last connection; nil while streaming
}

// Age is how many seconds ago, at now, the server had what is known to be here whole: 0 while nothing of the
// server's is outstanding on a connection.
func (s Status) Age(now time.Time) int64 {
	switch {
	case s.State == Streaming && s.Applied >= s.Server:
		return 0
	case s.Known.IsZero(): // it was never caught up with in this process's time
		return max(0, int64(now.Sub(s.Since)/time.Second))
	}
	return max(0, int64(now.Sub(s.Known)/time.Second))
}

// Receiver follows a server into a timeline.
type Receiver struct {
	server *Server
	tl     *repo.Timeline
	o      Options

	ask chan struct{} // capacity 1: the server is to say how far it is

	mu     sync.Mutex
	status Status
	news   chan struct{} // closed, and replaced by a new one, when the server has said anew how far it is
}

// How long a receiver waits after an error: twice as long after each in a row.
const (
	minWait = 100 * time.Millisecond
	maxWait = 10 * time.Second
)

// New makes a receiver of server's WAL into tl. Run runs it.
func New(server *Server, tl *repo.Timeline, o Options) *Receiver {
	if o.Throttle == nil {
		o.Throttle = func(context.Context) {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Receiver{server: server, tl: tl, o: o, status: Status{State: Connecting, Since: time.Now()},
		ask: make(chan struct{}, 1), news: make(chan struct{})}
}

// answerWait bounds how long Ask waits for the server.
const answerWait = 3 * time.Second

// Ask has an idle server say how far it is, which it does every half minute by itself, and waits
// for the answer, for as long as answerWait. Status().Known is of that answer then.
func (r *Receiver) Ask(ctx context.Context) {
	r.mu.Lock()
	state, news := r.status.State, r.news
	r.mu.Unlock()
	if state != Streaming {
		return
	}
	signal(r.ask)
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	select {
	case <-ctx.Done():
	case <-news:
	}
}

// Server is what the receiver follows.
func (r *Receiver) Server() *Server { return r.server }

// Status gives the receiver's status as of now.
func (r *Receiver) Status() Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.status
	s.Applied = r.tl.LastLSN()
	s.Received, s.Flushed = max(s.Received, s.Applied), max(s.Flushed, s.Applied)
	return s
}

// note changes the status.
func (r *Receiver) note(change func(*Status)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	streamed := r.status.State == Streaming
	change(&r.status)
	if streamed != (r.status.State == Streaming) {
		r.status.Since = time.Now()
	}
}

// Run follows the server until ctx ends. After an error it tries again. Status shows the error,
// and it is logged once, however often it comes again.
func (r *Receiver) Run(ctx context.Context) {
	wait, told := minWait, ""
	for {
		before := r.tl.LastLSN()
		err := r.connected(ctx)
		if ctx.Err() != nil {
			return
		}
		if r.tl.LastLSN() > before {
			wait, told = minWait, ""
		}
		if now := oneLine(cause(err)); now != told && !errors.Is(err, errTimelineEnd) {
			r.o.Log.Warn("receive WAL", "server", r.server.String(), "err", cause(err))
			told = now
		}
		r.note(func(s *Status) {
			s.State, s.Err = Waiting, err
			if isLasting(err) {
				s.State = Failed
			}
		})
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = min(2*wait, maxWait)
		// The error stays to be seen until the next connection streams.
		r.note(func(s *Status) {
			if s.State == Waiting {
				s.State = Connecting
			}
		})
	}
}

// connected makes one connection and follows its stream until it breaks.
func (r *Receiver) connected(ctx context.Context) error {
	if err := r.prepare(ctx); err != nil {
		return err
	}
	c, id, err := r.server.dial(ctx)
	if err != nil {
		return err
	}
	defer c.close()
	if id.sysID == r.tl.Info().SysID {
		r.note(func(s *Status) { s.Server = id.end }) // what cannot be followed lags, too
	}
	theirs, err := c.history(ctx, id.tli)
	if err != nil {
		return err
	}
	if err := belongs(id, theirs.History, r.tl); err != nil {
		return err
	}
	if err := r.goOver(ctx, &theirs); err != nil {
		return err
	}
	s := newSession(r, c)
	if err := s.begin(ctx); err != nil {
		return err
	}
	r.o.Log.Info("receive WAL", "server", r.server.String(), "from", s.from)
	r.note(func(s *Status) { s.State, s.Err, s.Server = Streaming, nil, id.end })
	return s.run(ctx)
}

// prepare ingests the WAL that is on disk, and has the timeline note that WAL will be written
// from the head on: after a crash, what stands behind the last complete record is no damage then.
func (r *Receiver) prepare(ctx context.Context) error {
	if _, err := r.o.Catchup(ctx); err != nil {
		return err
	}
	return r.tl.PrepareWAL()
}

// Check connects to the server and makes sure that a receiver for tl could follow it.
func Check(ctx context.Context, server *Server, tl *repo.Timeline) error {
	c, id, err := server.dial(ctx)
	if err != nil {
		return err
	}
	defer c.close()
	theirs, err := c.history(ctx, id.tli)
	if err != nil {
		return err
	}
	return belongs(id, theirs.History, tl)
}
