package pageserver

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"time"

	"zenith/internal/access"
	"zenith/internal/api"
)

// alpn is the name of PostgreSQL's protocol in the negotiation of TLS. A client that begins with TLS without
// asking first must name it.
const alpn = "postgresql"

// firstOfTLS is the first byte of a client that begins with TLS: the type of a handshake record.
const firstOfTLS = 0x16

// serverTLS is how a server encrypts.
type serverTLS struct {
	config  *tls.Config
	binding access.Binding // of its certificate
}

// SetTLS has the server encrypt connections over TCP from now on, by a configuration with one certificate;
// nil: not any more. The server owns the configuration then. Open connections stay as they are.
func (s *Server) SetTLS(config *tls.Config) error {
	if config == nil {
		s.tls.Store(nil)
		return nil
	}
	leaf, err := x509.ParseCertificate(config.Certificates[0].Certificate[0])
	if err != nil {
		return fmt.Errorf("parse the server's certificate: %w", err)
	}
	config.MinVersion = max(config.MinVersion, tls.VersionTLS12)
	config.NextProtos = []string{alpn}
	s.tls.Store(&serverTLS{config: config, binding: access.NewBinding(leaf)})
	return nil
}

// encrypt goes on with TLS. direct: the client began with it, and did not ask first whether the server can.
func (c *conn) encrypt(direct bool) error {
	t := c.srv.tls.Load()
	if t == nil {
		return &handshakeError{fmt.Errorf("the server has no certificate")}
	}
	if c.br.Buffered() > 0 && !direct {
		// What came before the handshake might be another's, put in front of what the client will say
		// (CVE-2021-23214).
		return api.Errorf(api.ErrProtocol, "received unencrypted data after SSL request")
	}
	if err := c.raw.SetDeadline(time.Now().Add(c.srv.opt.AuthTimeout)); err != nil {
		return err
	}
	tc := tls.Server(readAhead{c.raw, c.br}, t.config)
	if err := tc.Handshake(); err != nil {
		return &handshakeError{err}
	}
	if direct && tc.ConnectionState().NegotiatedProtocol != alpn {
		return api.Errorf(api.ErrProtocol, "direct TLS connection without the ALPN protocol %q", alpn)
	}
	c.tls, c.binding = tc, t.binding
	c.use(tc)
	return c.raw.SetDeadline(time.Now().Add(c.srv.opt.StartupTimeout))
}

// handshakeError is a handshake of TLS that failed: nothing can be said to the client but that.
type handshakeError struct{ err error }

// Error implements error.
func (e *handshakeError) Error() string { return "TLS handshake: " + e.err.Error() }

// Unwrap gives the kind: the connection ends without a message of ours.
func (e *handshakeError) Unwrap() []error { return []error{e.err, net.ErrClosed} }

// readAhead is a connection of which a reader has read ahead.
type readAhead struct {
	net.Conn
	reader io.Reader
}

// Read implements net.Conn.
func (c readAhead) Read(p []byte) (int, error) { return c.reader.Read(p) }

// isLoopback reports whether an address is one by which this machine reaches itself.
func isLoopback(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return !ok || tcp.IP.IsLoopback()
}

// isLoopbackTCP reports whether an address is one of TCP by which this machine reaches itself.
func isLoopbackTCP(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}
