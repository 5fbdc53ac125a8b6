package gateway_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"zenith/internal/api"
	"zenith/internal/gateway"
	"zenith/internal/startup"
)

// patience bounds every wait of these tests.
const patience = time.Minute

// fakeServer is a postgres of which every connection is handed to the test.
type fakeServer struct {
	net.Listener
	conns chan net.Conn
}

func newFakeServer(t *testing.T) *fakeServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &fakeServer{l, make(chan net.Conn, 16)}
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			nc.SetDeadline(time.Now().Add(patience))
			s.conns <- nc
		}
	}()
	t.Cleanup(func() { l.Close() })
	return s
}

// accept gives the next connection and what it began with.
func (s *fakeServer) accept(t *testing.T) (net.Conn, *startup.Packet) {
	t.Helper()
	select {
	case nc := <-s.conns:
		t.Cleanup(func() { nc.Close() })
		p, err := startup.Read(nc)
		if err != nil {
			t.Fatal(err)
		}
		return nc, p
	case <-time.After(patience):
		t.Fatal("nobody connects to the server")
		return nil, nil
	}
}

// waker gives one server for every point, and notes what it is asked for.
type waker struct {
	server *fakeServer
	state  string
	err    error
	block  bool // until the context ends
	noTCP  bool // the server has no host

	mu       sync.Mutex
	asked    []string
	released int
}

func (w *waker) Wake(ctx context.Context, tenant, point string) (api.Woken, error) {
	w.mu.Lock()
	w.asked = append(w.asked, tenant+"/"+point)
	w.mu.Unlock()
	if w.block {
		<-ctx.Done()
		return api.Woken{}, ctx.Err()
	}
	if w.err != nil {
		return api.Woken{}, w.err
	}
	at, host := w.server.Addr().(*net.TCPAddr), "127.0.0.1"
	if w.noTCP {
		host = ""
	}
	return api.Woken{Compute: api.Compute{Host: host, Port: at.Port, Database: "usual"}, State: w.state, Release: func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.released++
	}}, nil
}

func (w *waker) count() (asked, released int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.asked), w.released
}

// open runs a gateway and gives a function that connects to it.
func open(t *testing.T, w *waker, o gateway.Options) (g *gateway.Gateway, dial func() net.Conn) {
	t.Helper()
	if w.server == nil {
		w.server = newFakeServer(t)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g = gateway.New(w, o)
	served := make(chan error, 1)
	go func() { served <- g.Serve(l) }()
	t.Cleanup(func() {
		g.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return g, func() net.Conn {
		t.Helper()
		nc, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		nc.SetDeadline(time.Now().Add(patience))
		t.Cleanup(func() { nc.Close() })
		return nc
	}
}

func packet(code uint32, words ...string) []byte {
	body := binary.BigEndian.AppendUint32(nil, code)
	for _, w := range words {
		body = append(append(body, w...), 0)
	}
	if words != nil {
		body = append(body, 0)
	}
	return append(binary.BigEndian.AppendUint32(nil, uint32(4+len(body))), body...)
}

func message(kind byte, body string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{kind}, uint32(4+len(body))), body...)
}

func write(t *testing.T, nc net.Conn, b []byte) {
	t.Helper()
	if _, err := nc.Write(b); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, nc net.Conn, n int) string {
	t.Helper()
	b := make([]byte, n)
	if _, err := io.ReadFull(nc, b); err != nil {
		t.Fatalf("read %d bytes: %v", n, err)
	}
	return string(b)
}

// readReport reads a message that has fields, and gives its type, SQLSTATE and text.
func readReport(t *testing.T, nc net.Conn) (kind byte, state, text string) {
	t.Helper()
	head := read(t, nc, 5)
	for _, field := range strings.Split(read(t, nc, int(binary.BigEndian.Uint32([]byte(head[1:])))-4), "\x00") {
		switch {
		case strings.HasPrefix(field, "C"):
			state = field[1:]
		case strings.HasPrefix(field, "M"):
			text = field[1:]
		}
	}
	return head[0], state, text
}

func waitFor(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

const protocol32 = 3<<16 | 2

// TestSession: the database is rewritten and nothing else; a notice comes before the session begins; then all bytes pass,
// both ways; and when the client is gone, so is its connection to postgres.
func TestSession(t *testing.T) {
	w := &waker{state: "main at 0/1234; what you write is thrown away"}
	_, dial := open(t, w, gateway.Options{})
	client := dial()
	write(t, client, packet(protocol32, "user", "ann", "database", "app@feature/x@-10m", "_pq_.grease", "1"))
	server, p := w.server.accept(t)
	if p.Code != protocol32 || p.Params["database"] != "app" || p.Params["user"] != "ann" || p.Params["_pq_.grease"] != "1" || w.asked[0] != "/feature/x@-10m" {
		t.Errorf("the server got %+v, for %q", p, w.asked)
	}
	begin := append(message('R', "\x00\x00\x00\x0a..."), message('K', "\x00\x00\x00\x07"+strings.Repeat("k", 256))...)
	write(t, server, begin)
	if got := read(t, client, len(begin)); got != string(begin) {
		t.Errorf("got %q", got)
	}
	write(t, client, message('p', "proof"))
	if got := read(t, server, 10); got != string(message('p', "proof")) {
		t.Errorf("the server got %q", got)
	}
	write(t, server, append(message('Z', "I"), "odd bytes"...))
	if kind, state, text := readReport(t, client); kind != 'N' || state != "00000" || text != "app@feature/x@-10m is main at 0/1234; what you write is thrown away" {
		t.Errorf("got %c %s %q, want a notice", kind, state, text)
	}
	if got := read(t, client, 6+9); got != string(message('Z', "I"))+"odd bytes" {
		t.Errorf("got %q", got)
	}
	client.Close()
	if rest, err := io.ReadAll(server); err != nil || len(rest) > 0 {
		t.Errorf("the server's connection ends with %q, %v", rest, err)
	}
	server.Close()
	waitFor(t, "the release of the server", func() bool { _, released := w.count(); return released == 1 })
}

// TestNames: how a client names a state, and which database it gets.
func TestNames(t *testing.T) {
	const tenant = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	for _, c := range []struct {
		params          []string
		asked, database string
	}{
		{[]string{"user", "u", "database", "app"}, "/main", "app"},
		{[]string{"user", "u", "database", "app@"}, "/main", "app"},
		{[]string{"user", "u", "database", "@dev"}, "/dev", "usual"},
		{[]string{"user", "u"}, "/main", "u"},
		{[]string{"user", "u", "database", "app@dev@0_16B3748"}, "/dev@0_16B3748", "app"},
		{[]string{"user", "u", "database", "app@2026-11-30T15:16:47Z"}, "/2026-11-30T15:16:47Z", "app"},
		{[]string{"user", "u", "database", "app@" + tenant + "/feature/x"}, tenant + "/feature/x", "app"},
		{[]string{"user", "u", "database", "a@b", "options", "-c zenith.branch=" + tenant + "/dev"}, tenant + "/dev", "a@b"},
		{[]string{"user", "u", "database", "app", "options", "-c geqo=off -c zenith.branch=feature/x"}, "/feature/x", "app"},
	} {
		w := &waker{}
		_, dial := open(t, w, gateway.Options{})
		write(t, dial(), packet(startup.Protocol30, c.params...))
		_, p := w.server.accept(t)
		if w.asked[0] != c.asked || p.Params["database"] != c.database {
			t.Errorf("%q: got %q, database %q; want %q, %q", c.params, w.asked[0], p.Params["database"], c.asked, c.database)
		}
	}
}

// TestCancel: a cancel request goes to the server that has given out its key, whatever length that has, and to no other.
func TestCancel(t *testing.T) {
	w := &waker{}
	g, dial := open(t, w, gateway.Options{})
	client := dial()
	write(t, client, packet(protocol32, "user", "u"))
	server, _ := w.server.accept(t)
	key := "\x00\x00\x00\x07" + strings.Repeat("k", 32)
	write(t, server, append(message('K', key), message('Z', "I")...))
	read(t, client, 5+len(key)+6)
	cancel := dial()
	write(t, cancel, startup.CancelRequest([]byte(key)))
	at, p := w.server.accept(t)
	if string(p.Cancel) != key {
		t.Errorf("the server got %q", p.Cancel)
	}
	if g.Counts().Cancels != 0 {
		t.Error("the request counts before the server has answered it")
	}
	at.Close()
	if _, err := cancel.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the connection of the request ends with %v", err)
	}
	wrong := dial()
	write(t, wrong, startup.CancelRequest([]byte("\x00\x00\x00\x07abcd")))
	if _, err := wrong.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the connection of a wrong request ends with %v", err)
	}
	client.Close()
	server.Close()
	waitFor(t, "the end of the session", func() bool { _, released := w.count(); return released == 1 })
	late := dial()
	write(t, late, startup.CancelRequest([]byte(key)))
	if _, err := late.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the connection of a late request ends with %v", err)
	}
	if n := len(w.server.conns); n != 0 {
		t.Errorf("the server got %d more connections", n)
	}
}

// TestRefusals: what a client is told that gets no server.
func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		name        string
		waker       *waker
		state, text string
	}{
		{"no branch", &waker{err: api.Errorf(api.ErrNotFound, "branch x: no such branch")}, "3D000", "branch x: no such branch"},
		{"forgotten", &waker{err: api.Errorf(api.ErrOutOfRange, "below what is kept")}, "58P01", "below what is kept"},
		{"too many", &waker{err: api.Errorf(api.ErrTooMany, "32 postgres run already")}, "53300", "32 postgres run already"},
		{"slow", &waker{block: true}, "57P03", "starting postgres took longer than 50ms"},
		{"broken", &waker{err: errors.New("odd")}, "XX000", "the page server's log"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, dial := open(t, c.waker, gateway.Options{Wait: 50 * time.Millisecond})
			client := dial()
			write(t, client, packet(startup.Protocol30, "user", "u", "database", "app@x"))
			kind, state, text := readReport(t, client)
			if kind != 'E' || state != c.state || !strings.Contains(text, c.text) {
				t.Errorf("got %c %s %q", kind, state, text)
			}
			if _, err := client.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Errorf("the connection ends with %v", err)
			}
		})
	}
}

// TestSilence: whoever does not say what he wants wakes nothing, and does not stay.
func TestSilence(t *testing.T) {
	w := &waker{}
	_, dial := open(t, w, gateway.Options{StartupTimeout: 50 * time.Millisecond})
	dial().Close()
	silent := dial()
	if _, err := silent.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("a silent connection ends with %v", err)
	}
	junk := dial()
	write(t, junk, []byte("GET / HTTP/1.1\r\n\r\n"))
	if kind, state, _ := readReport(t, junk); kind != 'E' || state != "08P01" {
		t.Errorf("HTTP is answered with %c %s", kind, state)
	}
	if asked, _ := w.count(); asked != 0 {
		t.Errorf("the gateway asked for servers %d times", asked)
	}
}

// TestClose: clients are cut, those that wait for a server are told why, and nothing is left.
func TestClose(t *testing.T) {
	w := &waker{block: true}
	g, dial := open(t, w, gateway.Options{})
	client := dial()
	write(t, client, packet(startup.Protocol30, "user", "u"))
	waitFor(t, "the client to wait", func() bool { asked, _ := w.count(); return asked == 1 })
	closed := make(chan struct{})
	go func() { g.Close(); close(closed) }()
	if kind, state, text := readReport(t, client); kind != 'E' || state != "57P03" || text != "the page server is shutting down" {
		t.Errorf("got %c %s %q", kind, state, text)
	}
	client.Close()
	select {
	case <-closed:
	case <-time.After(patience):
		t.Fatal("the gateway does not close")
	}
}

// TestCrowd: more clients than there may be are told so.
func TestCrowd(t *testing.T) {
	w := &waker{}
	_, dial := open(t, w, gateway.Options{MaxConns: 1})
	write(t, dial(), packet(startup.Protocol30, "user", "u"))
	w.server.accept(t)
	second := dial()
	write(t, second, packet(startup.Protocol30, "user", "u"))
	if kind, state, text := readReport(t, second); kind != 'E' || state != "53300" || text != "sorry, too many clients already" {
		t.Errorf("got %c %s %q", kind, state, text)
	}
}

// TestTLS: it ends in the gateway, whether a client asks for it first or begins with it.
func TestTLS(t *testing.T) {
	pair, roots := newCert(t)
	w := &waker{}
	g, dial := open(t, w, gateway.Options{})
	asking := dial()
	write(t, asking, packet(startup.CodeSSL))
	if got := read(t, asking, 1); got != "N" {
		t.Errorf("without a certificate, a request for TLS is answered with %q", got)
	}
	g.SetTLS(&tls.Config{Certificates: []tls.Certificate{pair}})
	for _, direct := range []bool{false, true} {
		raw := dial()
		config := &tls.Config{RootCAs: roots, ServerName: "localhost"}
		if direct {
			config.NextProtos = []string{startup.ALPN}
		} else {
			write(t, raw, packet(startup.CodeGSS))
			if got := read(t, raw, 1); got != "N" {
				t.Errorf("a request for GSS is answered with %q", got)
			}
			write(t, raw, packet(startup.CodeSSL))
			if got := read(t, raw, 1); got != "S" {
				t.Fatalf("a request for TLS is answered with %q", got)
			}
		}
		client := tls.Client(raw, config)
		write(t, client, packet(startup.Protocol30, "user", "u", "database", "app@dev"))
		server, p := w.server.accept(t)
		if p.Params["database"] != "app" {
			t.Errorf("the server got %+v", p.Params)
		}
		write(t, server, append(message('Z', "I"), bytes.Repeat([]byte("x"), 1<<20)...))
		if got := read(t, client, 6+1<<20); !strings.HasSuffix(got, "xxx") {
			t.Errorf("got %q...", got[:20])
		}
	}
	odd := tls.Client(dial(), &tls.Config{RootCAs: roots, ServerName: "localhost"})
	odd.Write(packet(startup.Protocol30, "user", "u"))
	if b, err := io.ReadAll(odd); err == nil && !bytes.Contains(b, []byte("ALPN")) {
		t.Errorf("direct TLS without ALPN is answered with %q", b)
	}
}

// newCert makes a certificate for localhost, and the roots that trust it.
func newCert(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}

// TestCloseOfStalled: a client that does not read what its postgres says keeps nobody from closing the gateway.
func TestCloseOfStalled(t *testing.T) {
	w := &waker{}
	g, dial := open(t, w, gateway.Options{})
	write(t, dial(), packet(startup.Protocol30, "user", "u"))
	server, _ := w.server.accept(t)
	write(t, server, message('Z', "I"))
	row := message('D', strings.Repeat("x", 1<<20))
	stalled := make(chan struct{})
	go func() {
		defer close(stalled)
		for server.SetWriteDeadline(time.Now().Add(time.Second)) == nil {
			if _, err := server.Write(row); err != nil {
				return
			}
		}
	}()
	<-stalled
	closed := make(chan struct{})
	go func() { g.Close(); close(closed) }()
	select {
	case <-closed:
	case <-time.After(patience):
		t.Fatal("the gateway does not close")
	}
}

// TestNoTCP: a client of a server that has no port of TCP is not connected to whoever has one of that number.
func TestNoTCP(t *testing.T) {
	w := &waker{noTCP: true}
	_, dial := open(t, w, gateway.Options{})
	client := dial()
	write(t, client, packet(startup.Protocol30, "user", "u"))
	if kind, state, text := readReport(t, client); kind != 'E' || state != "42501" {
		t.Errorf("got %c %s %q", kind, state, text)
	}
	waitFor(t, "the server to be given back", func() bool { _, released := w.count(); return released == 1 })
	if n := len(w.server.conns); n != 0 {
		t.Errorf("%d connections", n)
	}
}

// TestStrangersShare: one address has no more than half of the connections before it is let in anywhere, and those that
// were let in do not count.
func TestStrangersShare(t *testing.T) {
	w := &waker{}
	_, dial := open(t, w, gateway.Options{MaxConns: 4})
	let := dial()
	write(t, let, packet(startup.Protocol30, "user", "u"))
	server, _ := w.server.accept(t)
	write(t, server, message('Z', "I"))
	read(t, let, 6)
	for range 2 {
		write(t, dial(), packet(startup.Protocol30, "user", "u"))
		w.server.accept(t)
	}
	third := dial()
	write(t, third, packet(startup.Protocol30, "user", "u"))
	if kind, state, _ := readReport(t, third); kind != 'E' || state != "53300" {
		t.Errorf("got %c %s", kind, state)
	}
}
