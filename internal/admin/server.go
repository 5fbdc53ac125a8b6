package admin

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"zenith/internal/access"
	"zenith/internal/api"
)

// Source is the page server that is shown.
type Source interface {
	// Stats says what the page server is and does now. It is called for each request.
	Stats(ctx context.Context) (*api.Stats, error)
}

// Options say how a Server works.
type Options struct {
	Source  Source                   // required
	Access  *access.Policy           // who is let in; default: root, over a unix socket
	TLS     *tls.Config              // for clients on other machines; nil: none of them is let in
	Log     *slog.Logger             // default: discards
	Version string                   // of zenith
	Pprof   bool                     // /debug/pprof/ is there
	Wire    func() (n int)           // counts the connections of the wire protocol; nil: there are none
	Gateway func() api.GatewayCounts // nil: there is none
	Journal *Journal                 // of the log; nil: it is not looked at
}

// Server answers operators over HTTP. Close ends it.
type Server struct {
	opt     Options
	policy  atomic.Pointer[access.Policy]
	tls     atomic.Pointer[tls.Config]
	guesses *access.Guesses
	http    *http.Server
	wg      sync.WaitGroup // goroutines of Serve
	conns   atomic.Int64
}

// Bounds on clients, most of which are programs that may hang.
const (
	headerTimeout = 10 * time.Second
	idleTimeout   = 2 * time.Minute
	statsTimeout  = 10 * time.Second // for the page server to say what it does
	maxHeader     = 64 << 10
	maxConns      = 100 // at once: they need file descriptors that stores and mounts need, too
)

// New makes a server.
func New(o Options) *Server {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Access == nil {
		o.Access = &access.Policy{}
	}
	s := &Server{opt: o, guesses: access.NewGuesses()}
	s.SetAccess(o.Access)
	s.tls.Store(o.TLS)
	s.http = &http.Server{
		Handler: s.routes(), ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ConnContext: withConn, ConnState: s.count, ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
	}
	return s
}

// count counts connections, before they say anything. One that is too many is closed at once.
func (s *Server) count(nc net.Conn, state http.ConnState) {
	switch {
	case state == http.StateClosed:
		s.conns.Add(-1)
	case state == http.StateNew && s.conns.Add(1) > maxConns:
		nc.Close()
	}
}

// SetAccess says anew who is let in, from the next request on.
func (s *Server) SetAccess(p *access.Policy) { s.policy.Store(p) }

// SetTLS has new connections from other machines use that certificate.
func (s *Server) SetTLS(c *tls.Config) error {
	s.tls.Store(c)
	return nil
}

// Serve answers on l in the background until Close, and owns l from then on. Where other machines can reach l, it speaks
// TLS only.
func (s *Server) Serve(l net.Listener) {
	if !onThisMachine(l.Addr()) {
		l = tls.NewListener(l, &tls.Config{GetConfigForClient: s.configFor, MinVersion: tls.VersionTLS12})
	}
	s.wg.Go(func() {
		if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.opt.Log.Error("serve the admin listener", "address", l.Addr().String(), "err", err)
		}
	})
}

// configFor gives the certificate as it is now: it may be renewed while the server runs.
func (s *Server) configFor(*tls.ClientHelloInfo) (*tls.Config, error) {
	c := s.tls.Load()
	if c == nil {
		return nil, errors.New("there is no certificate: set tls.cert and tls.key")
	}
	c = c.Clone()
	c.NextProtos, c.MinVersion = []string{"http/1.1"}, tls.VersionTLS12
	return c, nil
}

// Close ends listening and all requests, and waits for them, but not long: a client that hangs holds nobody up.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.http.Close()
	}
	s.wg.Wait()
	if err != nil {
		return fmt.Errorf("close the admin listener: %w", err)
	}
	return nil
}

// routes says what is where, and who may see it.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.Handle("GET /metrics", s.authorized(access.Reader, s.metrics))
	if s.opt.Pprof {
		s.routePprof(mux)
	}
	return headers(mux)
}

// headers sets what every answer has. A page of another origin can neither frame nor read what is here, and nothing is
// kept in a cache: numbers are of one moment.
func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}
