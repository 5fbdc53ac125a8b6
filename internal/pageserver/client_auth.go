package pageserver

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"

	"github.com/jackc/pgproto3/v2"

	"zenith/internal/access"
	"zenith/internal/api"
)

// open opens a connection to the target, encrypted as its sslmode says.
func (t Target) open(ctx context.Context) (net.Conn, error) {
	nc, err := dialAddress(ctx, t.Addr)
	if err != nil || t.tls == nil {
		return nc, err
	}
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	tc, err := t.encrypt(ctx, nc)
	if !stop() && err != nil {
		err = ctx.Err()
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	return tc, nil
}

// encrypt asks the server for TLS, and goes on with it if the server can.
func (t Target) encrypt(ctx context.Context, nc net.Conn) (net.Conn, error) {
	request, err := (&pgproto3.SSLRequest{}).Encode(nil)
	if err == nil {
		_, err = nc.Write(request)
	}
	var answer [1]byte
	if err == nil {
		_, err = io.ReadFull(nc, answer[:])
	}
	switch {
	case err != nil:
		return nil, &api.Error{Kind: api.ErrUnavailable, Msg: fmt.Sprintf("ask for TLS: %v", err)}
	case answer[0] == 'S':
		tc := tls.Client(nc, t.tls)
		if err := tc.HandshakeContext(ctx); err != nil {
			return nil, &api.Error{Kind: api.ErrUnavailable, Msg: fmt.Sprintf("TLS: %v", err)}
		}
		return tc, nil
	case answer[0] == 'N' && t.mode == sslPrefer:
		return nc, nil
	case answer[0] == 'N':
		return nil, api.Errorf(api.ErrNotAllowed, "the server does not encrypt, and sslmode is %s", t.mode)
	}
	return nil, api.Errorf(api.ErrProtocol, "answer %q to a request for TLS", answer[:])
}

// authenticate has the client show by SCRAM that it knows the password, and the server that it knows it, too.
func (c *Client) authenticate(offer *pgproto3.AuthenticationSASL) error {
	if c.target.Password == "" {
		return api.Errorf(errPassword, "the page server wants a password, and there is none (user=NAME password=... in the conninfo)")
	}
	binding := access.Binding{}
	if tc, ok := c.nc.(*tls.Conn); ok {
		binding = access.NewBinding(tc.ConnectionState().PeerCertificates[0])
	}
	proof, mechanism, err := access.NewProof(c.target.Password, binding, offer.AuthMechanisms)
	if err != nil {
		return &api.Error{Kind: api.ErrUnsupported, Msg: err.Error()}
	}
	first, err := proof.Step("")
	if err == nil {
		err = c.fe.Send(&pgproto3.SASLInitialResponse{AuthMechanism: mechanism, Data: []byte(first)})
	}
	for err == nil {
		var msg pgproto3.BackendMessage
		if msg, err = c.receive(); err != nil {
			return err
		}
		switch msg := msg.(type) {
		case *pgproto3.ErrorResponse:
			return errorOf(msg)
		case *pgproto3.AuthenticationSASLContinue:
			var answer string
			if answer, err = proof.Step(string(msg.Data)); err == nil {
				err = c.fe.Send(&pgproto3.SASLResponse{Data: []byte(answer)})
			}
		case *pgproto3.AuthenticationSASLFinal:
			if _, err = proof.Step(string(msg.Data)); err != nil || !proof.Valid() {
				return api.Errorf(errPassword, "the server does not know the password: it is not the one that it claims to be")
			}
			return nil
		default:
			return api.Errorf(api.ErrProtocol, "unexpected message %T during authentication", msg)
		}
	}
	return fmt.Errorf("authenticate: %w", err)
}

// newClientConn gives a client's connection over nc.
func newClientConn(t Target, nc net.Conn) *Client {
	br := bufio.NewReaderSize(nc, 128<<10)
	return &Client{target: t, nc: nc, br: br, fe: pgproto3.NewFrontend(&chunkReader{br: br, max: maxServerMessage}, nc)}
}
