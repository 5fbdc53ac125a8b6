package pageserver_test

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"zenith/internal/api"
	"zenith/internal/pageserver"
)

// inTheMiddle is somebody between clients and a server, who has a certificate of its own and passes on all that they
// say; of the server's first message, what change makes of it.
func inTheMiddle(t *testing.T, server string, change func([]byte) []byte) (addr string) {
	t.Helper()
	cert, _, _ := newCert(t, "middle", nil)
	l := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go relay(client, server, cert, change)
		}
	}()
	return l.Addr().String()
}

func relay(client net.Conn, server string, cert tls.Certificate, change func([]byte) []byte) {
	defer client.Close()
	client.SetDeadline(time.Now().Add(patience))
	far, err := net.Dial("tcp", server)
	if err != nil {
		return
	}
	defer far.Close()
	request := make([]byte, len(sslRequest))
	if _, err := io.ReadFull(client, request); err != nil || !bytes.Equal(request, sslRequest) {
		return
	}
	far.Write(sslRequest)
	if _, err := io.ReadFull(far, request[:1]); err != nil {
		return
	}
	client.Write(request[:1])
	near := tls.Server(client, &tls.Config{Certificates: []tls.Certificate{cert}})
	beyond := tls.Client(far, &tls.Config{InsecureSkipVerify: true})
	if near.Handshake() != nil || beyond.Handshake() != nil {
		return
	}
	go func() {
		io.Copy(beyond, near)
		far.Close()
	}()
	first := make([]byte, 5) // of an AuthenticationSASL: type and length
	if _, err := io.ReadFull(beyond, first); err != nil {
		return
	}
	body := make([]byte, binary.BigEndian.Uint32(first[1:])-4)
	if _, err := io.ReadFull(beyond, body); err != nil {
		return
	}
	body = change(body)
	near.Write(append(binary.BigEndian.AppendUint32(first[:1], uint32(4+len(body))), body...))
	io.Copy(near, beyond)
}

// TestPersonInTheMiddle: a client that does not verify the server's certificate, and gives its proof to somebody in the
// middle, has that one not let in: also where that one says that the server cannot bind SCRAM to its certificate. A client
// that verifies does not get that far.
func TestPersonInTheMiddle(t *testing.T) {
	g := newGuarded(t)
	asItIs := func(b []byte) []byte { return b }
	without := func(b []byte) []byte { return bytes.Replace(b, []byte("SCRAM-SHA-256-PLUS\x00"), nil, 1) }
	for what, change := range map[string]func([]byte) []byte{"passes on": asItIs, "leaves out channel binding": without} {
		real := g.addr
		g.addr = inTheMiddle(t, real, change)
		for _, more := range []string{"sslmode=require sslrootcert=", "sslmode=prefer sslrootcert="} {
			conninfo := strings.Replace(g.conninfo("ann", "pässword", more), "sslrootcert="+g.root, "", 1)
			if out, err := g.askPsql(t, conninfo); err == nil {
				t.Errorf("one who %s: psql with %s: %s", what, more, out)
			}
			c, err := pageserver.Dial(t.Context(), conninfo)
			if err == nil {
				c.Close()
			}
			if err == nil || errors.Is(err, api.ErrUnavailable) {
				t.Errorf("one who %s: zenith with %s: %v", what, more, err)
			}
		}
		if _, err := pageserver.Dial(t.Context(), g.conninfo("ann", "pässword", "sslmode=verify-full")); err == nil || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("one who %s: a client that verifies: %v", what, err)
		}
		g.addr = real
	}
	must(pageserver.Dial(t.Context(), g.conninfo("ann", "pässword", "sslmode=require")))(t).Close()
}

// TestServerAsksForTooMuch: a server cannot have a client compute without end.
func TestServerAsksForTooMuch(t *testing.T) {
	l := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer l.Close()
	go func() {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		buf := make([]byte, 4096)
		nc.Read(buf)
		send := func(code uint32, body string) {
			m := binary.BigEndian.AppendUint32([]byte{'R'}, uint32(8+len(body)))
			nc.Write(append(binary.BigEndian.AppendUint32(m, code), body...))
		}
		send(10, "SCRAM-SHA-256\x00\x00")
		n, _ := nc.Read(buf)
		_, nonce, _ := strings.Cut(string(buf[:n]), "r=")
		send(11, "r="+nonce+"abc,s=QUJDREVGR0hJSktMTU5PUA==,i=2147483647")
		io.Copy(io.Discard, nc)
	}()
	began := time.Now()
	_, err := pageserver.Dial(t.Context(), "postgresql://ann:x@"+l.Addr().String()+"/x?sslmode=disable")
	if err == nil || !strings.Contains(err.Error(), "iterations") {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
}
