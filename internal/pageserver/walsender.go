package pageserver

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgproto3/v2"

	"zenith/internal/api"
	"zenith/internal/pg"
)

// maxSendSize is MAX_SEND_SIZE: how much WAL goes into one message.
const maxSendSize = 128 << 10

// walPage is XLOG_BLCKSZ: a message may end at the end of one, within a record.
const walPage = 8192

// The messages within CopyData.
const (
	msgWALData   = 'w'
	msgKeepalive = 'k'
	msgStatus    = 'r'
	msgFeedback  = 'h'

	statusSize = 1 + 8 + 8 + 8 + 8 + 1
)

// parseStartReplication reads [SLOT slot] [PHYSICAL] LSN [TIMELINE n].
func parseStartReplication(p *replParser, r *replRequest) error {
	named, err := p.word("slot")
	if err == nil && named {
		r.slot, err = p.ident()
	}
	if err != nil {
		return err
	}
	if logical, err := p.word("logical"); logical || err != nil {
		return errLogical(err)
	}
	if _, err := p.word("physical"); err != nil {
		return err
	}
	text, err := p.take(tokenLSN)
	if err != nil {
		return err
	}
	if r.start, err = pg.ParseLSN(text); err != nil {
		return &api.Error{Kind: api.ErrSyntax, Msg: err.Error()}
	}
	if given, err := p.word("timeline"); !given || err != nil {
		return err
	}
	r.tli, err = p.timeline()
	return err
}

// walSender streams a branch's WAL to one client.
type walSender struct {
	c    *call
	src  api.ReplicationSource
	sys  api.ReplicationSystem
	slot string
	tli  pg.TLI // of the stream
	left pg.LSN // where the branch left that timeline for next; 0: it is on it
	next pg.TLI
	sent pg.LSN // up to here
	done bool   // CopyDone was sent
	buf  []byte

	lastReply time.Time
	pinged    bool // a reply was asked for since
}

// startReplication is StartReplication of walsender.c: it streams until the client ends it.
func startReplication(ctx context.Context, c *call, src api.ReplicationSource, r *replRequest) (err error) {
	sys, err := src.System(ctx)
	if err != nil {
		return err
	}
	s := &walSender{c: c, src: src, sys: sys, slot: r.slot, sent: r.start, buf: make([]byte, maxSendSize), lastReply: time.Now()}
	if err := s.choose(r); err != nil {
		return err
	}
	if r.slot != "" {
		if err := src.Slots().Acquire(r.slot, c.owns(r.slot)); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, src.Slots().Release(r.slot)) }()
	}
	if s.left == 0 || r.start < s.left {
		if err := errors.Join(c.send(&pgproto3.CopyBothResponse{}), c.flush()); err != nil {
			return err
		}
		if sys.XLogPos < r.start {
			return api.Errorf(api.ErrOutOfRange, "requested starting point %v is ahead of the WAL flush position of this server %v", r.start, sys.XLogPos)
		}
		if err := s.run(ctx); err != nil {
			return err
		}
	}
	if s.left != 0 {
		c.reply.cols = nextTimelineColumns
		if err := c.reply.row(int64(s.next), s.left.String()); err != nil {
			return err
		}
	}
	// One of its own for the end of streaming, as walsender does: some clients want two.
	return c.send(&pgproto3.CommandComplete{CommandTag: []byte("START_STREAMING")})
}

// nextTimelineColumns are those of the row that follows the stream of a timeline which the branch has left.
var nextTimelineColumns = []column{{"next_tli", typeInt8}, {"next_tli_startpos", typeText}}

// choose finds out on which of PostgreSQL's timelines the client wants to stream.
func (s *walSender) choose(r *replRequest) error {
	history := s.src.History()
	s.tli = r.tli
	if r.tli == 0 {
		s.tli = history.TLI()
	}
	s.look(history)
	switch _, known := history.Find(s.tli); {
	case !known:
		return api.Errorf(api.ErrBadArgument, "requested timeline %d is not in this server's history: the branch is on timeline %d", uint32(s.tli), uint32(history.TLI()))
	case s.left != 0 && r.start > s.left:
		return api.Errorf(api.ErrBadArgument, "requested starting point %v on timeline %d is not in this server's history: "+
			"the branch left that timeline at %v", r.start, uint32(s.tli), s.left)
	case history.OfSegment(r.start, s.sys.SegSize) < s.tli: // a server has no segment of that name
		return walRemoved(s.tli, r.start, s.sys.SegSize)
	}
	return nil
}

// look notes where the branch left the stream's timeline, if it has.
func (s *walSender) look(history pg.History) {
	if s.left == 0 {
		s.left, s.next, _ = history.Left(s.tli)
	}
}

// run streams until the client has said CopyDone, and answers that.
func (s *walSender) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	replies, grown := make(chan clientMessage), make(chan error, 1)
	done := make(chan struct{})
	go func() { defer close(done); s.listen(ctx, replies) }()
	watched, from := make(chan struct{}), s.sent
	go func() { defer close(watched); s.watchHead(ctx, from, grown) }()
	err := s.loop(ctx, replies, grown)
	cancel()
	if err != nil {
		s.c.wake() // the reader may wait for the client
	}
	<-done
	<-watched
	if err != nil && s.c.srv.ctx.Err() == nil {
		s.c.raw.SetReadDeadline(time.Time{})
	}
	return err
}

// clientMessage is what the client said: a status, or nothing at its end or failure.
type clientMessage struct {
	status []byte
	end    bool
	err    error
}

// listen passes on what the client says, up to its CopyDone. It ends with the stream.
func (s *walSender) listen(ctx context.Context, out chan<- clientMessage) {
	for {
		data, err := s.c.receiveStatus()
		m := clientMessage{status: data, end: err == nil && data == nil, err: err}
		select {
		case out <- m:
		case <-ctx.Done():
			return
		}
		if m.end || err != nil {
			return
		}
	}
}

// receiveStatus gives the data of the next CopyData, nil at CopyDone.
func (c *call) receiveStatus() ([]byte, error) {
	msg, err := receiveFrom(c.be)
	if err != nil {
		return nil, err
	}
	switch msg := msg.(type) {
	case *pgproto3.CopyData:
		return append([]byte{}, msg.Data...), nil
	case *pgproto3.CopyDone:
		return nil, nil
	case *pgproto3.Terminate:
		return nil, errCancelled
	}
	return nil, api.Errorf(api.ErrProtocol, "invalid standby message %T", msg)
}

// watchHead tells, without waiting, that the head has moved beyond what it was.
func (s *walSender) watchHead(ctx context.Context, at pg.LSN, grown chan<- error) {
	for {
		err := s.src.WaitLSN(ctx, at+1)
		if ctx.Err() != nil {
			return
		}
		at = s.src.Head()
		select {
		case grown <- err:
		default:
		}
		if err != nil {
			return
		}
	}
}

// loop is WalSndLoop.
func (s *walSender) loop(ctx context.Context, replies <-chan clientMessage, grown <-chan error) error {
	timeout := s.c.srv.opt.SenderTimeout
	tick := time.NewTicker(timeout / 10)
	defer tick.Stop()
	for {
		more, err := s.sendSome()
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		var m clientMessage
		if more { // only look whether the client has something to say
			select {
			case m = <-replies:
			default:
				continue
			}
		} else {
			if err := s.c.flush(); err != nil {
				return s.lost(err)
			}
			select {
			case m = <-replies:
			case err := <-grown:
				if err != nil {
					return err
				}
				continue
			case <-tick.C:
				if err := s.checkTimeout(timeout); err != nil {
					return err
				}
				continue
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if end, err := s.take(ctx, m); end || err != nil {
			return err
		}
	}
}

// take handles what the client said. At its CopyDone we say the same, and end.
func (s *walSender) take(ctx context.Context, m clientMessage) (end bool, err error) {
	if m.err != nil && ctx.Err() != nil {
		return true, ctx.Err()
	}
	if m.err != nil {
		return true, s.lost(m.err)
	}
	s.lastReply, s.pinged = time.Now(), false
	if m.end && !s.done {
		return true, s.c.send(&pgproto3.CopyDone{})
	}
	if m.end {
		return true, nil
	}
	return false, s.status(m.status)
}

// lost ends the connection: the client is gone or does not speak the protocol.
func (s *walSender) lost(err error) error {
	s.c.broken = err
	return err
}

// status takes a standby status update. Feedback of a hot standby asks for something that a
// writer elsewhere would have to grant: it is passed over.
func (s *walSender) status(b []byte) error {
	switch {
	case len(b) == statusSize && b[0] == msgStatus:
	case len(b) > 0 && b[0] == msgFeedback:
		return nil
	default:
		return s.lost(api.Errorf(api.ErrProtocol, "standby message of %d bytes", len(b)))
	}
	if flushed := pg.LSN(binary.BigEndian.Uint64(b[9:])); s.slot != "" && flushed != 0 {
		if err := s.src.Slots().Advance(s.slot, flushed); err != nil {
			return err
		}
	}
	if b[statusSize-1] != 0 {
		return errors.Join(s.keepalive(false), s.c.flush())
	}
	return nil
}

// checkTimeout is WalSndCheckTimeOut and WalSndKeepaliveIfNecessary.
func (s *walSender) checkTimeout(timeout time.Duration) error {
	silent := time.Since(s.lastReply)
	if silent >= timeout {
		return s.lost(api.Errorf(api.ErrTimeout, "terminating walsender process due to replication timeout"))
	}
	if silent < timeout/2 || s.pinged {
		return nil
	}
	s.pinged = true
	return errors.Join(s.keepalive(true), s.c.flush())
}

func (s *walSender) keepalive(wantReply bool) error {
	if s.done {
		return nil
	}
	b := binary.BigEndian.AppendUint64([]byte{msgKeepalive}, uint64(s.sent))
	b = binary.BigEndian.AppendUint64(b, uint64(pg.TimestampOf(time.Now())))
	if wantReply {
		return s.c.sendCopyData(append(b, 1))
	}
	return s.c.sendCopyData(append(b, 0))
}

// sendSome is XLogSendPhysical: one message, if there is WAL to send. more says that there
// may be still more. When all of a timeline is sent which the branch has left, it sends CopyDone: the client answers by
// the same.
func (s *walSender) sendSome() (more bool, err error) {
	head := s.src.Head()
	s.look(s.src.History()) // after the head, which moves on to another timeline only when that is in the history
	if s.left != 0 {
		head = s.left
	}
	if s.left != 0 && s.sent >= s.left && !s.done {
		s.done = true
		return false, s.c.send(&pgproto3.CopyDone{})
	}
	if s.sent >= head {
		return false, nil
	}
	end := s.sent + maxSendSize
	if end >= head {
		end = head
	} else {
		end -= end % walPage
	}
	part := s.buf[:end-s.sent]
	for n := 0; n < len(part); {
		got, err := s.src.ReadWAL(part[n:], s.sent+pg.LSN(n))
		if got == 0 && errors.Is(err, io.EOF) {
			return false, s.removed(s.sent + pg.LSN(n))
		}
		if got == 0 {
			return false, fmt.Errorf("read WAL at %v: %w", s.sent+pg.LSN(n), err)
		}
		n += got
	}
	header := binary.BigEndian.AppendUint64([]byte{msgWALData}, uint64(s.sent))
	header = binary.BigEndian.AppendUint64(header, uint64(head))
	header = binary.BigEndian.AppendUint64(header, uint64(pg.TimestampOf(time.Now())))
	if err := s.c.sendCopyData(header, part); err != nil {
		return false, s.lost(err)
	}
	s.sent = end
	return end < head, nil
}

// removed says that WAL is not kept any more.
func (s *walSender) removed(at pg.LSN) error {
	return walRemoved(s.tli, at, s.sys.SegSize)
}

// walRemoved is the error for a segment that is not there.
func walRemoved(tli pg.TLI, at pg.LSN, segSize int) error {
	segno, perID := uint64(at)/uint64(segSize), uint64(1<<32)/uint64(segSize)
	return api.Errorf(errNoFile, "requested WAL segment %08X%08X%08X has already been removed", uint32(tli), segno/perID, segno%perID)
}
