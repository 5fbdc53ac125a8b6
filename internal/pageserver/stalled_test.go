package pageserver_test

import (
	"crypto/tls"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgproto3/v2"

	"zenith/internal/pageserver"
)

var sslRequest = binary.BigEndian.AppendUint32([]byte{0, 0, 0, 8}, 1234<<16|5679)

// expectCut fails the test if the server does not end a connection. Bytes that come before are of no interest.
func expectCut(t *testing.T, nc net.Conn, what string) {
	t.Helper()
	nc.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.Copy(io.Discard, nc); isTimeout(err) {
		t.Errorf("%s is not cut", what)
	}
}

func isTimeout(err error) bool {
	ne, ok := err.(net.Error)
	return ok && ne.Timeout()
}

// clientHello is what a client of TLS begins with.
func clientHello(t *testing.T) []byte {
	t.Helper()
	here, there := net.Pipe()
	defer there.Close()
	hello := make(chan []byte, 1)
	go func() {
		b := make([]byte, 1<<14)
		n, _ := there.Read(b) // none: the test finds it too short
		hello <- b[:n]
		there.Close()
	}()
	tls.Client(here, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"postgresql"}}).Handshake()
	return <-hello
}

// TestHalfOpenHandshakes: clients that stop within the handshake of TLS, or between that and the startup packet, or within
// SCRAM, are cut; while they are there, half of all connections are free for clients from elsewhere, and the owner gets in.
func TestHalfOpenHandshakes(t *testing.T) {
	g := newGuardedWith(t, pageserver.Options{StartupTimeout: 300 * time.Millisecond, AuthTimeout: 300 * time.Millisecond, MaxConns: 40})
	hello := clientHello(t)
	if len(hello) < 100 {
		t.Fatalf("the hello has %d bytes", len(hello))
	}
	scram := append(startupPacket(0, "user", "ann"), encodeAll(&pgproto3.SASLInitialResponse{AuthMechanism: "SCRAM-SHA-256", Data: []byte("n,,n=,r=abcdefgh")})...)
	watched(t, func() {
		for what, sent := range map[string][]byte{
			"a request for TLS": sslRequest, "half a hello": append(sslRequest[:8:8], hello[:len(hello)/2]...), "a hello": append(sslRequest[:8:8], hello...),
			"half a hello of direct TLS": hello[:len(hello)/2], "a hello of direct TLS": hello, "half of SCRAM": scram, "nothing": nil,
		} {
			var open []net.Conn
			for range 60 {
				if nc, err := net.Dial("tcp", g.addr); err == nil {
					nc.Write(sent) // it may be too many already
					open = append(open, nc)
				}
			}
			for _, nc := range open {
				expectCut(t, nc, what)
				nc.Close()
			}
		}
	})
}

// TestShareOfOrigin: connections that are not let in yet, from one place, take half of all, and leave the others for
// clients that come from elsewhere or were let in.
func TestShareOfOrigin(t *testing.T) {
	g := newGuardedWith(t, pageserver.Options{MaxConns: 10})
	var silent []net.Conn
	for range 40 {
		nc := must(net.Dial("tcp", g.addr))(t)
		defer nc.Close()
		silent = append(silent, nc)
	}
	elsewhere := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	nc := must(elsewhere.Dial("tcp", g.addr))(t)
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	must(nc.Write(startupPacket(0, "user", "ann")))(t)
	var kind [1]byte
	if _, err := io.ReadFull(nc, kind[:]); err != nil || kind[0] != 'R' {
		t.Errorf("a client from elsewhere is answered with %q, %v", kind, err)
	}
	for _, nc := range silent {
		nc.Close()
	}
}

// TestTLSAgainAndAgain: a client cannot have the server work by asking for new keys without end.
func TestTLSAgainAndAgain(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("no openssl here")
	}
	g := newGuarded(t)
	watched(t, func() {
		for version, command := range map[string]string{"-tls1_2": "R\n", "-tls1_3": "K\n"} {
			cmd := exec.Command(openssl, "s_client", "-starttls", "postgres", version, "-connect", g.addr)
			cmd.Stdin = strings.NewReader(strings.Repeat(command, 1000))
			done := make(chan struct{})
			go func() {
				defer close(done)
				cmd.Run() // how it ends is its business
			}()
			select {
			case <-done:
			case <-time.After(patience):
				t.Errorf("%s: it goes on and on", version)
				cmd.Process.Kill()
				<-done
			}
		}
	})
	c := must(pageserver.Dial(t.Context(), g.conninfo("ann", "pässword", "")))(t)
	defer c.Close()
	must(c.Status(t.Context()))(t)
}

// TestStartupsOfEveryLength: the length of a startup packet is right or wrong, and the packet is cut; with bytes that
// make no sense, and with one long parameter.
func TestStartupsOfEveryLength(t *testing.T) {
	g := newGuarded(t)
	watched(t, func() {
		const longest = 10100 // a little more than may be
		hostile(t, longest, func(r *rand.Rand) {
			n := r.IntN(longest)
			packet := binary.BigEndian.AppendUint32(nil, uint32(n))
			switch {
			case n < 8 || r.IntN(3) == 0:
				packet = append(packet, garbage(r, n)...)
			default:
				packet = binary.BigEndian.AppendUint32(packet, 3<<16)
				packet = append(packet, "user\x00"...)
				packet = append(packet, strings.Repeat("x", max(n-8-5-2, 0))...)
				packet = append(packet, 0, 0)
			}
			if r.IntN(4) == 0 {
				packet = packet[:r.IntN(len(packet))]
			}
			spit(g.addr, packet)
		})
		for _, n := range []uint32{0, 3, 7, 1 << 16, 1<<31 - 1, 1 << 31, 1<<32 - 1} {
			spit(g.addr, binary.BigEndian.AppendUint32(nil, n), make([]byte, 64))
		}
	})
	must(pageserver.Dial(t.Context(), g.conninfo("ann", "pässword", "")))(t).Close()
}

// TestTooEarly: what a client says before it was let in, behind its startup packet or in place of a proof, is not done; nor
// after a proof that is wrong.
func TestTooEarly(t *testing.T) {
	g := newGuarded(t)
	query := encodeAll(&pgproto3.Query{String: "status"}, &pgproto3.Parse{Query: "status"}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{})
	first := encodeAll(&pgproto3.SASLInitialResponse{AuthMechanism: "SCRAM-SHA-256", Data: []byte("n,,n=,r=abcdefgh")})
	wrong := encodeAll(&pgproto3.SASLResponse{Data: []byte("c=biws,r=abcdefgh,p=AAAA")})
	start := startupPacket(0, "user", "ann")
	for what, parts := range map[string][][]byte{
		"behind the startup packet": {start, query}, "in place of a proof": {start, first, query}, "behind a wrong proof": {start, first, wrong, query},
		"a copy": {start, encodeAll(&pgproto3.CopyData{Data: make([]byte, 1000)}, &pgproto3.CopyDone{})}, "a password": {start, encodeAll(&pgproto3.PasswordMessage{Password: "pässword"}), query},
		"a huge proof": {start, first, []byte("p\x7f\xff\xff\xff"), make([]byte, 4096)}, "a huge first message": {start, []byte("p\x7f\xff\xff\xff"), make([]byte, 4096)},
	} {
		nc := must(net.Dial("tcp", g.addr))(t)
		nc.SetDeadline(time.Now().Add(patience))
		for _, p := range parts {
			if _, err := nc.Write(p); err != nil {
				break // it was cut off already
			}
		}
		var kinds []byte
		for { // a type, a length and a body
			var head [5]byte
			if _, err := io.ReadFull(nc, head[:]); err != nil {
				if isTimeout(err) {
					t.Errorf("%s: the connection goes on", what)
				}
				break
			}
			kinds = append(kinds, head[0])
			io.CopyN(io.Discard, nc, int64(binary.BigEndian.Uint32(head[1:]))-4)
		}
		if strings.Trim(string(kinds), "RE") != "" { // authentication requests and errors
			t.Errorf("%s: answered with %q", what, kinds)
		}
		nc.Close()
	}
}

// TestCancelFlood: wrong keys cancel nothing, however many, and the right one does after that.
func TestCancelFlood(t *testing.T) {
	f := newFake()
	f.block = true
	addr := serveTCP(t, f, pageserver.Options{Access: trust})
	w := connect(t, addr, nil)
	w.send(&pgproto3.Query{String: "lsn " + tenantA + " main"})
	<-f.began
	watched(t, func() {
		hostile(t, 5000, func(r *rand.Rand) {
			key := r.Uint32()
			if key == w.key.SecretKey {
				key++
			}
			body, err := (&pgproto3.CancelRequest{ProcessID: w.key.ProcessID, SecretKey: key}).Encode(nil)
			if err == nil {
				spit(addr, body)
			}
		})
	})
	select {
	case <-f.ended:
		t.Fatal("a wrong key has cancelled the command")
	default:
	}
	rawConnect(t, addr).send(&pgproto3.CancelRequest{ProcessID: w.key.ProcessID, SecretKey: w.key.SecretKey})
	<-f.ended
	equal(t, find[*pgproto3.ErrorResponse](t, w.untilReady()).Code, "57014")
}

// TestReadersWhoNeverRead: clients that ask for much and take none of it, or stop in the middle of a COPY in either
// direction, are cut, and others are served meanwhile.
func TestReadersWhoNeverRead(t *testing.T) {
	f := newFake()
	f.export = make([]byte, 64<<20)
	f.lines = strings.Repeat(strings.Repeat("x", 1000)+"\n", 64<<10)
	o := pageserver.Options{Access: trust, Replication: newFakeBranch(32 << 20), WriteTimeout: 300 * time.Millisecond, SenderTimeout: 300 * time.Millisecond, IdleTimeout: 300 * time.Millisecond}
	addr := serveTCP(t, f, o)
	request := make([]byte, 26)
	request[0] = 2
	pages := encodeAll(&pgproto3.CopyData{Data: request})
	for len(pages) < 8<<10 {
		pages = append(pages, pages...)
	}
	attacks := []struct {
		query       string
		replication bool
		more        []byte // what it sends then, again and again until it must not
	}{
		{"export " + tenantA + " main", false, nil},
		{"wal_dump " + tenantA + " main", false, nil},
		{"pagestream " + tenantA + " main", false, pages},
		{"push_receive " + tenantA + " '{}'", false, nil},
		{"START_REPLICATION PHYSICAL 0/300000", true, nil},
		{"START_REPLICATION PHYSICAL 0/300000", true, encodeAll(&pgproto3.CopyData{Data: append([]byte("r"), make([]byte, 33)...)})},
		{"BASE_BACKUP", true, nil},
	}
	watched(t, func() {
		before := runtime.NumGoroutine()
		var wg sync.WaitGroup
		var open []*wire
		for _, a := range attacks {
			for range 5 {
				params := map[string]string{}
				if a.replication {
					params["replication"] = "true"
				}
				w := connect(t, addr, params)
				must(0, w.Conn.(*net.TCPConn).SetReadBuffer(4096))(t)
				w.send(&pgproto3.Query{String: a.query})
				open = append(open, w)
				wg.Go(func() {
					w.Conn.SetWriteDeadline(time.Now().Add(patience))
					var err error
					for len(a.more) > 0 && err == nil {
						_, err = w.Conn.Write(a.more)
					}
					if isTimeout(err) {
						t.Errorf("%s: a client that sends and does not read is not cut", a.query)
					}
				})
			}
		}
		for range 20 {
			w := connect(t, addr, nil)
			w.query("status")
			w.Close()
		}
		wg.Wait()
		// All of them still hold their ends, and the server has let go of its own.
		for end := time.Now().Add(patience); runtime.NumGoroutine() > before+4; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d goroutines, %d before %d clients stalled", runtime.NumGoroutine(), before, len(open))
			}
		}
		for _, w := range open {
			w.Close()
		}
	})
}
