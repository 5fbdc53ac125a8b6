package pageserver

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"zenith/internal/access"
	"zenith/internal/api"
	"zenith/internal/conninfo"
	"zenith/internal/startup"
)

// Target is a page server, and how a Client connects to it.
type Target struct {
	Addr     string // HOST:PORT, or the path of a unix socket
	User     string // default: zenith
	Password string // "": the server must let the client in without one

	host string      // that the server's certificate must name
	mode sslMode     // over TCP
	tls  *tls.Config // for modes that encrypt
}

// sslMode is libpq's sslmode.
type sslMode string

const (
	sslDisable    sslMode = "disable"
	sslPrefer     sslMode = "prefer"
	sslRequire    sslMode = "require"
	sslVerifyCA   sslMode = "verify-ca"
	sslVerifyFull sslMode = "verify-full"
)

var sslModes = []sslMode{sslDisable, sslPrefer, sslRequire, sslVerifyCA, sslVerifyFull}

// TargetOf reads a result of Conninfo, of which host, hostaddr, port, user, password, sslmode, sslrootcert, sslcert and
// sslkey count. Unlike with libpq, sslmode is verify-full by default, but for loopback addresses, for which it is
// prefer. It reads the files of certificates.
func TargetOf(info conninfo.Info) (t Target, err error) {
	addr := addressIn(info)
	t = Target{Addr: addr, User: info.Get("user"), Password: info.Get("password"), mode: sslVerifyFull}
	if t.User == access.TokenUser {
		t.User = access.UserOf(t.Password)
	}
	t.host = cmp.Or(info.Get("host"), info.Get("hostaddr"))
	switch {
	case isSocket(addr):
		t.mode = sslDisable
	case namesLoopback(cmp.Or(info.Get("hostaddr"), info.Get("host"))):
		t.mode = sslPrefer
	}
	if mode := sslMode(info.Get("sslmode")); mode != "" && !isSocket(addr) {
		if !slices.Contains(sslModes, mode) {
			return Target{}, api.Errorf(api.ErrBadArgument, "conninfo: sslmode %q: want one of %v", api.Clip(string(mode)), sslModes)
		}
		t.mode = mode
	}
	if t.mode != sslDisable {
		t.tls, err = clientTLS(t.mode, t.host, info)
	}
	return t, err
}

// namesLoopback reports whether a host is this machine, without asking anybody.
func namesLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// clientTLS makes the configuration of TLS for a client.
func clientTLS(mode sslMode, host string, info conninfo.Info) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host, NextProtos: []string{startup.ALPN}}
	root := info.Get("sslrootcert")
	if root != "" && root != "system" {
		pem, err := os.ReadFile(root)
		if err != nil {
			return nil, fmt.Errorf("sslrootcert: %w", err)
		}
		if c.RootCAs = x509.NewCertPool(); !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, api.Errorf(api.ErrBadArgument, "sslrootcert %s: has no certificate", filepath.Base(root))
		}
	}
	if cert, key := info.Get("sslcert"), info.Get("sslkey"); cert != "" && key != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("sslcert: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	if mode == sslVerifyFull {
		return c, nil
	}
	c.InsecureSkipVerify = true // the name of the host; and the chain, unless it is checked below
	if mode == sslVerifyCA || mode == sslRequire && c.RootCAs != nil {
		c.VerifyConnection = func(s tls.ConnectionState) error { return verifyChain(s, c.RootCAs) }
	}
	return c, nil
}

// verifyChain checks a server's certificate, but not whose host it is.
func verifyChain(s tls.ConnectionState, roots *x509.CertPool) error {
	o := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
	for _, cert := range s.PeerCertificates[1:] {
		o.Intermediates.AddCert(cert)
	}
	_, err := s.PeerCertificates[0].Verify(o)
	return err
}

// verified gives a connection string for a server to follow with sslmode=verify-full, if it says nothing of that and
// the server is not on this machine: WAL that somebody in the middle made up would become history. A string that cannot be
// understood stays as it is: who takes it says what is wrong with it.
func verified(s string) string {
	info, err := conninfo.Parse(s)
	if err != nil || info.Has("sslmode") {
		return s
	}
	hosts := info.Hosts()
	if addr := info.Get("hostaddr"); addr != "" {
		hosts = strings.Split(addr, ",")
	}
	if !slices.ContainsFunc(hosts, func(h string) bool { return h != "" && !isSocket(h) && !namesLoopback(h) }) {
		return s
	}
	info.Set("sslmode", string(sslVerifyFull))
	return info.String()
}
