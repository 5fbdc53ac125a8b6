package startup

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"

	"zenith/internal/api"
)

// FirstOfTLS is the first byte of a client that begins with TLS: the type of a handshake record.
const FirstOfTLS = 0x16

// ALPN is the name of PostgreSQL's protocol in the negotiation of TLS. A client that begins with TLS without
// asking first must name it.
const ALPN = "postgresql"

// ConfigureTLS sets what the protocol asks of a server's configuration.
func ConfigureTLS(config *tls.Config) {
	config.MinVersion = max(config.MinVersion, tls.VersionTLS12)
	config.NextProtos = []string{ALPN}
	config.SessionTicketsDisabled = true // as in PostgreSQL: no key of one connection is any good for another
}

// Encrypt goes on with TLS on a connection, of which r gives what comes: it may have read ahead. direct: the client began
// with TLS, and did not ask first whether the server can. config is one that ConfigureTLS has set up; nil: the server
// has no certificate.
func Encrypt(nc net.Conn, r io.Reader, config *tls.Config, direct bool) (*tls.Conn, error) {
	if config == nil {
		return nil, &HandshakeError{fmt.Errorf("the server has no certificate")}
	}
	tc := tls.Server(readAhead{nc, r}, config)
	if err := tc.Handshake(); err != nil {
		return nil, &HandshakeError{err}
	}
	if direct && tc.ConnectionState().NegotiatedProtocol != ALPN {
		return nil, api.Errorf(api.ErrProtocol, "direct TLS connection without the ALPN protocol %q", ALPN)
	}
	return tc, nil
}

// HandshakeError is a handshake of TLS that failed: nothing can be said to the client but that.
type HandshakeError struct{ err error }

// Error implements error.
func (e *HandshakeError) Error() string { return "TLS handshake: " + e.err.Error() }

// Unwrap gives the kind: the connection ends without a message of ours.
func (e *HandshakeError) Unwrap() []error { return []error{e.err, net.ErrClosed} }

// readAhead is a connection of which a reader has read ahead.
type readAhead struct {
	net.Conn
	reader io.Reader
}

// Read implements net.Conn.
func (c readAhead) Read(p []byte) (int, error) { return c.reader.Read(p) }
