package pageserver

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"time"

	"zenith/internal/access"
	"zenith/internal/api"
	"zenith/internal/startup"
)

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
	startup.ConfigureTLS(config)
	s.tls.Store(&serverTLS{config: config, binding: access.NewBinding(leaf)})
	return nil
}

// encrypt goes on with TLS. direct: the client began with it, and did not ask first whether the server can.
func (c *conn) encrypt(direct bool) error {
	t := c.srv.tls.Load()
	if t == nil {
		t = &serverTLS{}
	}
	if c.br.Buffered() > 0 && !direct {
		// What came before the handshake might be another's, put in front of what the client will say
		// (CVE-2021-23214).
		return api.Errorf(api.ErrProtocol, "received unencrypted data after SSL request")
	}
	if err := c.raw.SetDeadline(time.Now().Add(c.srv.opt.AuthTimeout)); err != nil {
		return err
	}
	tc, err := startup.Encrypt(c.raw, c.br, t.config, direct)
	if err != nil {
		return err
	}
	c.tls, c.binding = tc, t.binding
	c.use(tc)
	return c.raw.SetDeadline(time.Now().Add(c.srv.opt.StartupTimeout))
}

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
