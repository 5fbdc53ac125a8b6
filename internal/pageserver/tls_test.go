package pageserver_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"zenith/internal/access"
	"zenith/internal/api"
	"zenith/internal/pageserver"
)

// guarded is a server with a certificate, a port, and users.
type guarded struct {
	server *pageserver.Server
	store  *access.Store
	addr   string
	root   string // file with the certificate
}

// newCert makes a certificate signed by parent and its key, or by itself, and writes them to files.
func newCert(t *testing.T, name string, parent *tls.Certificate) (pair tls.Certificate, certFile, keyFile string) {
	t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	signer, signerKey := template, any(key)
	if parent != nil {
		signer, signerKey = parent.Leaf, parent.PrivateKey
	}
	der := must(x509.CreateCertificate(rand.Reader, template, signer, key.Public(), signerKey))(t)
	secret := must(x509.MarshalPKCS8PrivateKey(key))(t)
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "c.crt"), filepath.Join(dir, "c.key")
	must(0, os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))(t)
	must(0, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600))(t)
	pair = must(tls.LoadX509KeyPair(certFile, keyFile))(t)
	pair.Leaf = must(x509.ParseCertificate(der))(t)
	return pair, certFile, keyFile
}

func newGuarded(t *testing.T) *guarded {
	t.Helper()
	return newGuardedWith(t, pageserver.Options{})
}

func newGuardedWith(t *testing.T, o pageserver.Options) *guarded {
	t.Helper()
	g := &guarded{store: access.OpenStore(filepath.Join(t.TempDir(), "users"), slog.New(slog.DiscardHandler))}
	o.Access, o.Replication = &access.Policy{Method: access.Scram, Store: g.store}, newFakeBranch(0)
	g.server = pageserver.New(newFake(), o)
	cert, root, _ := newCert(t, "server", nil)
	g.root = root
	pool := x509.NewCertPool()
	pool.AddCert(cert.Leaf)
	must(0, g.server.SetTLS(&tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: pool}))(t)
	l := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	g.addr = l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- g.server.Serve(l) }()
	t.Cleanup(func() {
		g.server.Close()
		must(0, <-served)(t)
	})
	must(0, g.store.CreateUser("ann", access.Grant{Role: access.Reader}, must(access.NewVerifier("pässword"))(t)))(t)
	return g
}

// conninfo names the server and a user.
func (g *guarded) conninfo(user, password, more string) string {
	host, port, _ := net.SplitHostPort(g.addr)
	return fmt.Sprintf("host=%s port=%s dbname=x user=%s password='%s' sslrootcert=%s %s", host, port, user, password, g.root, more)
}

// askPsql runs status by psql.
func (g *guarded) askPsql(t *testing.T, conninfo string) (string, error) {
	t.Helper()
	path, err := exec.LookPath("psql")
	if err != nil {
		t.Skip("no psql here")
	}
	out, err := exec.Command(path, "-XAt", "-d", conninfo, "-c", "status").CombinedOutput()
	return string(out), err
}

// TestClientsAuthenticate: psql, pgx, psycopg2 and zenith's own client are let in by a password and by a token, with
// and without TLS, with channel binding where there is TLS; and by nothing else.
func TestClientsAuthenticate(t *testing.T) {
	g := newGuarded(t)
	_, token, err := g.store.CreateToken(access.Grant{Role: access.Reader}, time.Hour, "")
	must(0, err)(t)
	for range 3 { // others, each with the same salt
		_, _, err := g.store.CreateToken(access.Grant{Role: access.Admin}, 0, "")
		must(0, err)(t)
	}
	for _, tt := range []struct {
		user, password, more string
		ok                   bool
	}{
		{"ann", "pässword", "sslmode=verify-full channel_binding=require", true},
		{"ann", "pässword", "sslmode=verify-full channel_binding=disable", true},
		{"ann", "pässword", "sslmode=disable", true},
		{"token", token, "sslmode=verify-full channel_binding=require", true},
		{"token", token, "sslmode=disable", true},
		{"ann", "wrong", "sslmode=verify-full", false},
		{"ann", token, "sslmode=verify-full", false},
		{"nobody", "pässword", "sslmode=verify-full", false},
		{"token", "zenith_wrong", "sslmode=verify-full", false},
		{"token", "pässword", "sslmode=disable", false},
	} {
		conninfo := g.conninfo(tt.user, tt.password, tt.more)
		denied := fmt.Sprintf("password authentication failed for user %q", tt.user)
		out, err := g.askPsql(t, conninfo)
		if (err == nil) != tt.ok || !tt.ok && !strings.Contains(out, denied) {
			t.Errorf("psql %s: %v, %s", conninfo, err, out)
		}
		conn, err := pgconn.Connect(t.Context(), conninfo)
		if err == nil {
			_, err = conn.Exec(t.Context(), "status").ReadAll()
			conn.Close(context.Background())
		}
		var pe *pgconn.PgError
		if (err == nil) != tt.ok || !tt.ok && (!errors.As(err, &pe) || pe.Code != "28P01") {
			t.Errorf("pgx %s: %v", conninfo, err)
		}
		c, err := pageserver.Dial(t.Context(), conninfo)
		if err == nil {
			_, err = c.Status(t.Context())
			c.Close()
		}
		if (err == nil) != tt.ok || !tt.ok && !errors.Is(err, api.ErrNotAllowed) {
			t.Errorf("zenith %s: %v", conninfo, err)
		}
		if psycopg := exec.Command("/usr/bin/python3", "-c", "import psycopg2"); psycopg.Run() == nil {
			script := "import psycopg2, sys; c = psycopg2.connect(sys.argv[1]); c.autocommit = True; q = c.cursor(); q.execute('status'); print(q.fetchall())"
			if out, err := exec.Command("/usr/bin/python3", "-c", script, conninfo).CombinedOutput(); (err == nil) != tt.ok {
				t.Errorf("psycopg2 %s: %v, %s", conninfo, err, out)
			}
		}
	}
}

// TestServerIsVerified: zenith's client does not go on with a server whose certificate does not name it or is signed by
// somebody else, unless it is told so.
func TestServerIsVerified(t *testing.T) {
	g := newGuarded(t)
	_, other, _ := newCert(t, "other", nil)
	for more, ok := range map[string]bool{
		"sslmode=verify-full": true, "sslmode=verify-full sslrootcert=" + other: false, "sslmode=verify-ca sslrootcert=" + other: false,
		"sslmode=require sslrootcert=" + other: false, "sslmode=prefer sslrootcert=" + other: true, "": true,
		"sslmode=verify-full hostaddr=127.0.0.1 host=db7": false, "sslmode=verify-ca hostaddr=127.0.0.1 host=db7": true, "sslmode=nonsense": false,
	} {
		c, err := pageserver.Dial(t.Context(), g.conninfo("ann", "pässword", more))
		if err == nil {
			c.Close()
		}
		if (err == nil) != ok {
			t.Errorf("%s: %v", more, err)
		}
	}
}

// TestCertificates: the common name of a client's certificate names the user; a certificate of another authority, or of
// another user than the one that the client says, is none.
func TestCertificates(t *testing.T) {
	g := newGuarded(t)
	authority, root, _ := newCert(t, "authority", nil)
	pool := x509.NewCertPool()
	pool.AddCert(authority.Leaf)
	server, cert, _ := newCert(t, "server", &authority)
	must(0, g.server.SetTLS(&tls.Config{Certificates: []tls.Certificate{server}, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: pool}))(t)
	g.root = root
	_ = cert
	_, ann, annKey := newCert(t, "ann", &authority)
	_, false_, falseKey := newCert(t, "ann", nil)
	for _, tt := range []struct {
		user, cert, key string
		ok              bool
	}{{"ann", ann, annKey, true}, {"ann", false_, falseKey, false}, {"bob", ann, annKey, false}} {
		more := "sslmode=verify-full sslcert=" + tt.cert + " sslkey=" + tt.key
		out, err := g.askPsql(t, g.conninfo(tt.user, "", more))
		if (err == nil) != tt.ok {
			t.Errorf("psql as %s: %v, %s", tt.user, err, out)
		}
		c, err := pageserver.Dial(t.Context(), g.conninfo(tt.user, "", more))
		if err == nil {
			c.Close()
		}
		if (err == nil) != tt.ok {
			t.Errorf("zenith as %s: %v", tt.user, err)
		}
	}
}

// TestDirectTLS: a client may begin with TLS if it names PostgreSQL's protocol; GSS encryption is declined, and what
// comes in front of the handshake is not taken for the client's.
func TestDirectTLS(t *testing.T) {
	g := newGuarded(t)
	for protocol, ok := range map[string]bool{"postgresql": true, "": false, "http/1.1": false} {
		config := &tls.Config{InsecureSkipVerify: true}
		if protocol != "" {
			config.NextProtos = []string{protocol}
		}
		nc, err := tls.Dial("tcp", g.addr, config)
		if err == nil {
			nc.SetDeadline(time.Now().Add(patience))
			must(nc.Write(startupPacket(0, "user", "ann")))(t)
			var kind [1]byte
			if _, err = io.ReadFull(nc, kind[:]); err == nil && kind[0] != 'R' {
				err = fmt.Errorf("answered with %q", kind)
			}
			nc.Close()
		}
		if (err == nil) != ok {
			t.Errorf("ALPN %q: %v", protocol, err)
		}
	}
	for request, want := range map[string]string{
		"\x00\x00\x00\x08\x04\xd2\x16\x30":                                    "N", // GSSENCRequest
		"\x00\x00\x00\x08\x04\xd2\x16\x2f":                                    "S", // SSLRequest
		"\x00\x00\x00\x08\x04\xd2\x16\x2f" + string(startupPacket(0, "user")): "SE",
	} {
		nc := must(net.Dial("tcp", g.addr))(t)
		nc.SetDeadline(time.Now().Add(patience))
		must(nc.Write([]byte(request)))(t)
		got := make([]byte, len(want))
		if _, err := io.ReadFull(nc, got); err != nil || !bytes.Equal(got, []byte(want)) {
			t.Errorf("%q is answered with %q, %v, want %q", request, got, err, want)
		}
		nc.Close()
	}
}

// TestRevoked: who is not let in any more is cut off at once, also in the middle of a command.
func TestRevoked(t *testing.T) {
	g := newGuarded(t)
	made, token, err := g.store.CreateToken(access.Grant{Role: access.Reader}, 0, "")
	must(0, err)(t)
	c := must(pgconn.Connect(t.Context(), g.conninfo("token", token, "")))(t)
	defer c.Close(context.Background())
	ann := must(pageserver.Dial(t.Context(), g.conninfo("ann", "pässword", "")))(t)
	defer ann.Close()
	must(c.Exec(t.Context(), "status").ReadAll())(t)
	must(0, g.store.RevokeToken(made.ID, func(access.Tenants) bool { return true }))(t)
	_, err = c.Exec(t.Context(), "status").ReadAll()
	if err == nil {
		t.Error("a revoked token is still good for a connection that was there")
	}
	if _, err := pgconn.Connect(t.Context(), g.conninfo("token", token, "")); err == nil {
		t.Error("a revoked token lets somebody in")
	}
	must(ann.Status(t.Context()))(t)
	must(0, g.store.DropUser("ann"))(t)
	if _, err := ann.Status(t.Context()); err == nil {
		t.Error("a user that was dropped goes on")
	}
	_, brief, err := g.store.CreateToken(access.Grant{Role: access.Reader}, time.Nanosecond, "")
	must(0, err)(t)
	if _, err := pgconn.Connect(t.Context(), g.conninfo("token", brief, "")); err == nil {
		t.Error("a token that has expired lets somebody in")
	}
}
