package gateway

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"zenith/internal/access"
	"zenith/internal/api"
	"zenith/internal/startup"
)

// Options adjusts a Gateway. The zero value works.
type Options struct {
	Log            *slog.Logger  // default: discards
	Tenant         string        // the tenant of clients that name none; default: the page server's
	Wait           time.Duration // how long a client is held while its postgres starts; default 60 s
	StartupTimeout time.Duration // for a client to say what it wants, and for a handshake of TLS; default 30 s
	MaxConns       int           // clients at once; default 500
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Wait == 0 {
		o.Wait = time.Minute
	}
	if o.StartupTimeout == 0 {
		o.StartupTimeout = 30 * time.Second
	}
	if o.MaxConns == 0 {
		o.MaxConns = 500
	}
	return o
}

// Gateway passes clients on to the postgres servers that a Waker gives it.
type Gateway struct {
	waker  api.Waker
	opt    Options
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup // connections
	tls    atomic.Pointer[tls.Config]
	keys   cancelKeys
	counts counts

	doors *startup.Listeners

	mu    sync.Mutex
	conns map[*conn]struct{}
}

// New makes a gateway. Close ends it.
func New(w api.Waker, o Options) *Gateway {
	ctx, cancel := context.WithCancel(context.Background())
	g := &Gateway{
		waker: w, opt: o.withDefaults(), ctx: ctx, cancel: cancel,
		keys: cancelKeys{servers: map[string]server{}}, conns: map[*conn]struct{}{},
	}
	g.doors = startup.NewListeners("gateway", func(err error) { g.opt.Log.Error("accept connection to the gateway", "err", err) })
	return g
}

// SetTLS has the gateway encrypt connections over TCP from now on; nil: not any more. The gateway owns the configuration
// then. Open connections stay as they are.
func (g *Gateway) SetTLS(config *tls.Config) {
	if config != nil {
		startup.ConfigureTLS(config)
	}
	g.tls.Store(config)
}

// Serve accepts connections on l until Close, and owns l from then on. A gateway may serve several listeners.
func (g *Gateway) Serve(l net.Listener) error { return g.doors.Serve(l, g.start) }

// beyond is how many connections above MaxConns are heard, for what they ask to cancel, and told that there are too
// many. More are closed unheard.
const beyond = 16

// ofOwner is how many connections more the owner may have, so that strangers do not keep it out.
const ofOwner = 16

// start serves a connection in a goroutine of its own.
func (g *Gateway) start(nc net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := &conn{g: g, raw: nc, nc: nc, origin: access.OriginOf(nc.RemoteAddr(), access.PeerUID(nc))}
	room, taken := g.opt.MaxConns, len(g.conns)
	if c.ofOwner() {
		room += beyond + ofOwner
	} else if g.strangersLocked(c.origin) >= max(g.opt.MaxConns/2, 1) {
		c.crowded = true
	}
	if g.ctx.Err() != nil || taken >= room+beyond {
		nc.Close()
		return
	}
	c.crowded = c.crowded || taken >= room
	g.conns[c] = struct{}{}
	g.wg.Go(func() {
		defer g.forget(c)
		c.serve()
	})
}

// strangersLocked counts the connections from an origin that no postgres has let in yet: one address alone does not keep
// all others out.
func (g *Gateway) strangersLocked(from access.Origin) (n int) {
	for c := range g.conns {
		if c.origin == from && !c.letIn.Load() {
			n++
		}
	}
	return n
}

func (g *Gateway) forget(c *conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.conns, c)
}

// Close ends listening, cuts all connections and waits for their ends.
func (g *Gateway) Close() {
	g.mu.Lock()
	g.cancel()
	g.doors.Close()
	for c := range g.conns {
		c.cut()
	}
	g.mu.Unlock()
	g.wg.Wait()
}

// isOwner reports whether an account may do everything with what the page server has, without asking it.
func isOwner(uid int) bool { return uid == 0 || uid == os.Geteuid() }
