package admin

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"zenith/internal/access"
	"zenith/internal/api"
)

// onThisMachine reports whether only this machine reaches an address: a unix socket, or loopback.
func onThisMachine(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return !ok || tcp.IP.IsLoopback()
}

// peer is what the kernel says of the other end of a connection.
type peer struct {
	addr  net.Addr
	uid   int  // of a unix socket; api.NoUID: it is none
	local bool // the connection came to an address that only this machine reaches
}

type peerKey struct{}

// withConn keeps what is known of a connection for its requests.
func withConn(ctx context.Context, nc net.Conn) context.Context {
	return context.WithValue(ctx, peerKey{}, peer{nc.RemoteAddr(), access.PeerUID(nc), onThisMachine(nc.LocalAddr())})
}

// The reasons for which a client is not let in.
var (
	errWhoAreYou = errors.New("show a user and a password, or a token: HTTP Basic, or Bearer with a token")
	errNobody    = errors.New("no such user or token, or the wrong password")
	errAccount   = errors.New("this account of the machine is not let in")
	errHost      = errors.New("the request names another host: want a loopback address, or localhost")
)

// errWait is returned to a client that has shown too many wrong passwords.
type errWait struct{ time.Duration }

// Error implements error.
func (e errWait) Error() string {
	return "too many wrong passwords: wait " + e.Round(time.Second).String()
}

// principal decides who the client of a request is.
func (s *Server) principal(r *http.Request) (access.Principal, error) {
	policy, from := s.policy.Load(), r.Context().Value(peerKey{}).(peer)
	if from.uid != api.NoUID {
		if who, ok := policy.ByAccount(from.uid); ok {
			return who, nil
		}
	}
	if policy.Method == access.Trust && from.uid == api.NoUID && from.local {
		if !isOwnHost(r.Host) {
			return access.Principal{}, errHost
		}
		return access.Trusted, nil
	}
	if who, ok := byCertificate(policy, r); ok {
		return who, nil
	}
	user, password, shown := credentials(r)
	if !shown && from.uid != api.NoUID && !policy.Passwords() {
		return access.Principal{}, errAccount
	}
	if !shown {
		return access.Principal{}, errWhoAreYou
	}
	origin := access.OriginOf(from.addr, from.uid)
	if wait := s.guesses.Wait(user, origin); wait > 0 {
		return access.Principal{}, errWait{wait}
	}
	who, err := policy.Login(user, password)
	if err != nil {
		s.guesses.Wrong(user, origin)
		s.opt.Log.Warn("admin: wrong user, password or token", "user", api.Clip(user), "address", string(origin))
		return who, errNobody
	}
	s.guesses.Right(user, origin)
	return who, nil
}

// isOwnHost reports whether the host that a request names is this machine. Another name that leads to a loopback address
// is that of a web site which has its visitors' browsers ask for what is here (DNS rebinding).
func isOwnHost(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.Trim(hostport, "[]")
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// byCertificate gives the user whose name a certificate has that the client has shown.
func byCertificate(policy *access.Policy, r *http.Request) (access.Principal, bool) {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 || !policy.Passwords() {
		return access.Principal{}, false
	}
	return policy.Store.ByName(r.TLS.VerifiedChains[0][0].Subject.CommonName)
}

// credentials gives the user and the password, or the token, that a request has with it.
func credentials(r *http.Request) (user, password string, shown bool) {
	if token, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); found {
		return access.TokenUser, strings.TrimSpace(token), true
	}
	return r.BasicAuth()
}

type whoKey struct{}

// whoOf gives the client of a request that authorized has let through.
func whoOf(r *http.Request) access.Principal { return r.Context().Value(whoKey{}).(access.Principal) }

// authorized lets clients through to next that have at least that role for some tenant.
func (s *Server) authorized(least access.Role, next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, err := s.principal(r)
		if err == nil && who.Role < least {
			http.Error(w, "this takes the role "+least.String(), http.StatusForbidden)
			return
		}
		if err != nil {
			refuse(w, err)
			return
		}
		next(w, r.WithContext(context.WithValue(r.Context(), whoKey{}, who)))
	})
}

// refuse tells a client why it is not let in.
func refuse(w http.ResponseWriter, err error) {
	status := http.StatusUnauthorized
	var wait errWait
	switch {
	case errors.As(err, &wait):
		status = http.StatusTooManyRequests
		w.Header().Set("Retry-After", strconv.Itoa(int(wait.Seconds())+1))
	case errors.Is(err, errAccount), errors.Is(err, errHost):
		status = http.StatusForbidden
	default:
		w.Header().Set("WWW-Authenticate", `Basic realm="zenith", charset="UTF-8"`)
	}
	http.Error(w, err.Error(), status)
}

// stats gives what the client of a request may know of the page server.
func (s *Server) stats(r *http.Request) (*api.Stats, error) {
	ctx, cancel := context.WithTimeout(r.Context(), statsTimeout)
	defer cancel()
	all, err := s.opt.Source.Stats(ctx)
	if err != nil {
		return nil, err
	}
	who := whoOf(r)
	if seesAll(who) {
		return all, nil
	}
	return all.Only(func(tenant string) bool { return who.On(tenant) >= access.Reader }), nil
}

// seesAll reports whether a client may know what is about all tenants together.
func seesAll(who access.Principal) bool { return who.On("") >= access.Reader }
