package pageserver

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"zenith/internal/access"
	"zenith/internal/api"
	"zenith/internal/startup"
)

// Options adjusts a Server. The zero value works.
type Options struct {
	Log            *slog.Logger  // default: discards
	StartupTimeout time.Duration // from accept to the startup packet; default 5 s
	AuthTimeout    time.Duration // from there on, and for a TLS handshake, until the client is let in; default 30 s
	IdleTimeout    time.Duration // for a client other than the owner to say something; default 1 h
	WriteTimeout   time.Duration // for a client to take 64 KiB; default 2 min
	MaxConns       int           // default 500
	MaxMessage     int           // longest message body taken, in bytes; default 1 MiB
	SenderTimeout  time.Duration // for a replication client to say something: wal_sender_timeout; default 1 min

	Access *access.Policy // who is let in; default: root, over a unix socket

	Limits access.RoleLimits // default: access.DefaultLimits

	Identity string // of the work directory that is served: sent as parameter zenith_workdir, if not ""

	Replication api.ReplicationService // nil: replication connections are for ordinary commands only
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Access == nil {
		o.Access = &access.Policy{}
	}
	if o.StartupTimeout == 0 {
		o.StartupTimeout = 5 * time.Second
	}
	if o.AuthTimeout == 0 {
		o.AuthTimeout = 30 * time.Second
	}
	if o.IdleTimeout == 0 {
		o.IdleTimeout = time.Hour
	}
	if o.WriteTimeout == 0 {
		o.WriteTimeout = 2 * time.Minute
	}
	if o.MaxConns == 0 {
		o.MaxConns = 500
	}
	if o.SenderTimeout == 0 {
		o.SenderTimeout = time.Minute
	}
	if o.Limits == nil {
		o.Limits = access.DefaultLimits
	}
	if o.MaxMessage == 0 {
		o.MaxMessage = 1 << 20
	}
	return o
}

// Server answers clients over pgwire with what a Service does.
type Server struct {
	svc    api.Service
	opt    Options
	ctx    context.Context // ends with Close: the parent of every command
	cancel context.CancelFunc
	wg     sync.WaitGroup // connections, and watchConns
	policy atomic.Pointer[access.Policy]
	tls    atomic.Pointer[serverTLS] // nil: connections are not encrypted

	guesses *access.Guesses // of passwords
	limits  atomic.Pointer[access.RoleLimits]

	doors *startup.Listeners

	mu     sync.Mutex
	conns  map[uint32]*conn // by the process id told to the client, for cancel requests
	usages map[access.Principal]*usage
	lastID uint32
}

// New makes a server. Close ends it.
func New(svc api.Service, o Options) *Server {
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{
		svc: svc, opt: o.withDefaults(), ctx: ctx, cancel: cancel,
		conns: map[uint32]*conn{}, guesses: access.NewGuesses(), usages: map[access.Principal]*usage{},
	}
	s.doors = startup.NewListeners("page server", func(err error) { s.opt.Log.Error("accept connection", "err", err) })
	s.SetAccess(s.opt.Access)
	s.SetLimits(s.opt.Limits)
	s.wg.Go(s.watchConns)
	return s
}

// SetAccess says anew who is let in. Open connections of those who are not, or whose role has changed, are cut.
func (s *Server) SetAccess(p *access.Policy) {
	if p.Store != nil {
		p.Store.OnChange(s.recheck)
	}
	s.policy.Store(p)
	s.recheck()
}

// recheck cuts the connections of clients that would not be let in any more, or with another role.
func (s *Server) recheck() {
	policy := s.policy.Load()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		c.revoke(policy)
	}
}

// Serve accepts connections on l until Close, and owns l from then on. A server may serve several listeners.
func (s *Server) Serve(l net.Listener) error { return s.doors.Serve(l, s.start) }

// turnedAway is how many connections beyond MaxConns are heard, for what they ask to cancel, and told that
// there are too many. More are closed unheard: each takes a file descriptor, also one that says nothing.
const turnedAway = 16

// start serves a connection in a goroutine of its own.
func (s *Server) start(nc net.Conn) {
	uid := access.PeerUID(nc)
	owner, from := s.isOwner(uid), access.OriginOf(nc.RemoteAddr(), uid)
	s.mu.Lock()
	defer s.mu.Unlock()
	taken, crowded := s.roomLocked(owner, from)
	if s.ctx.Err() != nil || !taken {
		nc.Close()
		return
	}
	c := newConn(s, nc, s.nextIDLocked())
	c.crowded, c.origin = crowded, from
	s.conns[c.id] = c
	s.wg.Go(func() {
		defer s.forget(c)
		c.serve()
	})
}

// nextIDLocked gives a process id that no connection has.
func (s *Server) nextIDLocked() uint32 {
	for {
		s.lastID = s.lastID&0x7FFFFFFF + 1
		if _, taken := s.conns[s.lastID]; !taken {
			return s.lastID
		}
	}
}

func (s *Server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c.id)
	c.usage.leave(c.kept)
}

// Conns counts the connections that are open.
func (s *Server) Conns() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// cancelBy serves a cancel request. Keys of other lengths than those that this server gives out are nobody's.
func (s *Server) cancelBy(request []byte) error {
	if len(request) != 8 {
		return api.Errorf(api.ErrProtocol, "cancel request with a body of %d bytes, want 8", len(request))
	}
	s.cancelCommand(binary.BigEndian.Uint32(request), binary.BigEndian.Uint32(request[4:]))
	return errCancelled
}

// cancelCommand ends what the connection with that process id runs, if the secret is right.
func (s *Server) cancelCommand(id, secret uint32) {
	s.mu.Lock()
	c := s.conns[id]
	s.mu.Unlock()
	if c != nil && c.secret == secret {
		c.cancelCommand()
	}
}

// Close ends listening, cancels running commands, tells clients and waits for all of it.
func (s *Server) Close() {
	s.mu.Lock()
	s.cancel()
	s.doors.Close()
	for _, c := range s.conns {
		c.wake()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

// newSecret makes the key without which no one can cancel another's command.
func newSecret() uint32 {
	var b [4]byte
	rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint32(b[:])
}
