package pageserver

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/chunkreader/v2"
	"github.com/jackc/pgproto3/v2"

	"zenith/internal/access"
	"zenith/internal/api"
)

// between is a connection between two addresses.
type between struct {
	net.Conn
	local, remote net.Addr
}

func (b between) LocalAddr() net.Addr { return b.local }

func (b between) RemoteAddr() net.Addr { return b.remote }

// TestTrustWithinMachine: the method trust lets in connections from this machine to itself, and no others.
func TestTrustWithinMachine(t *testing.T) {
	tcp := func(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 6400} }
	socket := &net.UnixAddr{Net: "unix", Name: "/s"}
	for _, tt := range []struct {
		local, remote net.Addr
		want          bool
	}{
		{tcp("127.0.0.1"), tcp("127.0.0.1"), true},
		{tcp("::1"), tcp("::1"), true},
		{tcp("10.0.0.1"), tcp("127.0.0.1"), false},
		{tcp("127.0.0.1"), tcp("10.0.0.2"), false},
		{tcp("10.0.0.1"), tcp("10.0.0.2"), false},
		{socket, socket, false}, // a peer whose account is not known
	} {
		c := &conn{raw: between{local: tt.local, remote: tt.remote}}
		if _, ok := c.byPort(&access.Policy{Method: access.Trust}, "u"); ok != tt.want {
			t.Errorf("from %v to %v: let in %v, want %v", tt.remote, tt.local, ok, tt.want)
		}
	}
}

// TestLongSASLMessages: what a client says before it is let in is short, or is not read.
func TestLongSASLMessages(t *testing.T) {
	for size, refused := range map[int]bool{1 << 10: false, 3 << 10: true} {
		for _, final := range []bool{false, true} {
			if err := saslOf(t, size, final); isTooLong(err) != refused {
				t.Errorf("%d bytes, in the final message %v: %v", size, final, err)
			}
		}
	}
}

func isTooLong(err error) bool {
	return isKind(err, api.ErrProtocol) && strings.Contains(err.Error(), "at most")
}

// saslOf has a client send a SASL message of a size, its first or its final one, and gives what comes of it.
func saslOf(t *testing.T, size int, final bool) error {
	t.Helper()
	policy, _ := principals(t)
	here, there := net.Pipe()
	defer here.Close()
	c := newConn(New(nothing{}, Options{Access: policy}), there, 1)
	defer c.srv.Close()
	done := make(chan error, 1)
	go func() {
		defer there.Close()
		_, err := c.byPassword(policy, "token")
		done <- err
	}()
	first, last := "n,,n=,r=nonce", strings.Repeat("x", size)
	if !final {
		first += strings.Repeat("x", size)
	}
	fe := pgproto3.NewFrontend(chunkreader.New(here), here)
	for _, msg := range []pgproto3.FrontendMessage{
		&pgproto3.SASLInitialResponse{AuthMechanism: access.MechanismScram, Data: []byte(first)},
		&pgproto3.SASLResponse{Data: []byte(last)},
	} {
		if _, err := fe.Receive(); err != nil { // the server has hung up
			break
		}
		if err := fe.Send(msg); err != nil {
			break
		}
		if !final {
			break
		}
	}
	here.SetDeadline(time.Now().Add(2 * time.Minute))
	fe.Receive() // the server may answer, before it looks for the next message
	here.Close()
	return <-done
}

// TestChangedGrant: a client whose role or tenant was changed is cut off, also in the middle of a command.
func TestChangedGrant(t *testing.T) {
	policy := func(g access.Grant) *access.Policy {
		return &access.Policy{OwnerUID: 999, Accounts: map[int]access.Account{1000: {Name: "ann", Grant: g}}}
	}
	was := access.Grant{Role: access.Writer}
	for _, tt := range []struct {
		now access.Grant
		cut bool
	}{
		{was, false},
		{access.Grant{Role: access.Reader}, true},
		{access.Grant{Role: access.Writer, Tenants: ownID}, true},
	} {
		here, there := net.Pipe()
		defer here.Close()
		server := New(nothing{}, Options{Access: policy(was)})
		defer server.Close()
		c := newConn(server, there, 1)
		who, _ := policy(was).ByAccount(1000)
		c.session.Store(&who)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		c.setCancel(cancel) // of a command that runs
		c.revoke(policy(tt.now))
		if cut := c.ending.Load() != nil && ctx.Err() != nil; cut != tt.cut {
			t.Errorf("writer, now %v: cut %v, want %v", tt.now, cut, tt.cut)
		}
	}
}

// TestPlainFromElsewhere: where the server has a certificate, a client on another machine that does not encrypt is
// refused before it is asked for a proof, which somebody in the middle would see.
func TestPlainFromElsewhere(t *testing.T) {
	here, there := net.Pipe()
	defer here.Close()
	far := between{there, &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1)}, &net.TCPAddr{IP: net.IPv4(10, 0, 0, 2)}}
	store := access.OpenStore(filepath.Join(t.TempDir(), "users"), slog.New(slog.DiscardHandler))
	server := New(nothing{}, Options{Access: &access.Policy{Method: access.Scram, Store: store}})
	defer server.Close()
	server.tls.Store(&serverTLS{})
	c := newConn(server, far, 1)
	if err := c.admit("ann"); !isKind(err, errNotAdmitted) || !strings.Contains(err.Error(), "must be encrypted") {
		t.Errorf("got %v", err)
	}
}
