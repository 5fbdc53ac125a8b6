package pageserver_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"testing"

	"zenith/internal/pageserver"
)

// startupPacket is the first packet of a client that asks for a protocol version, with names and values.
func startupPacket(minor uint16, words ...string) []byte {
	body := binary.BigEndian.AppendUint32(nil, 3<<16|uint32(minor))
	for _, w := range words {
		body = append(append(body, w...), 0)
	}
	body = append(body, 0)
	return append(binary.BigEndian.AppendUint32(nil, uint32(4+len(body))), body...)
}

// TestNegotiateProtocol: a client that asks for a newer minor version, or for options of the protocol that
// nobody knows, is offered 3.0 without them.
func TestNegotiateProtocol(t *testing.T) {
	addr := serve(t, newFake(), pageserver.Options{})
	for _, tt := range []struct {
		name   string
		packet []byte
		want   []byte // the body of NegotiateProtocolVersion; nil: none is sent
	}{
		{"3.0", startupPacket(0, "user", "u"), nil},
		{"3.2", startupPacket(2, "user", "u"), []byte("\x00\x03\x00\x00\x00\x00\x00\x00")},
		{"greased", startupPacket(9999, "user", "u", "_pq_.test", "1"), []byte("\x00\x03\x00\x00\x00\x00\x00\x01_pq_.test\x00")},
		{"option alone", startupPacket(0, "_pq_.a", "", "user", "u", "_pq_.b", "x"), []byte("\x00\x03\x00\x00\x00\x00\x00\x02_pq_.a\x00_pq_.b\x00")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			nc := must(net.Dial(network(addr), addr))(t)
			defer nc.Close()
			must(nc.Write(tt.packet))(t)
			kind, body := readMessage(t, nc)
			if tt.want != nil {
				if kind != 'v' || !bytes.Equal(body, tt.want) {
					t.Fatalf("got %c %q, want v %q", kind, body, tt.want)
				}
				kind, _ = readMessage(t, nc)
			}
			for kind != 'Z' { // the session goes on to ReadyForQuery
				if kind == 'E' || kind == 'v' {
					t.Fatalf("got message %c, want a session", kind)
				}
				kind, _ = readMessage(t, nc)
			}
			must(nc.Write([]byte("Q\x00\x00\x00\x0bstatus\x00")))(t)
			if kind, _ := readMessage(t, nc); kind != 'T' {
				t.Errorf("status is answered with %c", kind)
			}
		})
	}
	nc := must(net.Dial(network(addr), addr))(t)
	defer nc.Close()
	must(nc.Write([]byte("\x00\x00\x00\x08\x00\x02\x00\x00")))(t)
	if kind, body := readMessage(t, nc); kind != 'E' || !bytes.Contains(body, []byte("unsupported frontend protocol 2.0")) {
		t.Errorf("protocol 2.0 is answered with %c %q", kind, body)
	}
}

func readMessage(t *testing.T, r io.Reader) (kind byte, body []byte) {
	t.Helper()
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		t.Fatal(err)
	}
	body = make([]byte, binary.BigEndian.Uint32(head[1:])-4)
	if _, err := io.ReadFull(r, body); err != nil {
		t.Fatal(err)
	}
	return head[0], body
}

// TestSilentConnections: connections that say nothing are counted from the first on, and those beyond the
// bound are closed, so that they cannot use up the process's file descriptors.
func TestSilentConnections(t *testing.T) {
	const most = 3
	addr := serveTCP(t, newFake(), pageserver.Options{MaxConns: most, Access: trust})
	var held []net.Conn
	for range most + 16 {
		nc := must(net.Dial(network(addr), addr))(t)
		defer nc.Close()
		held = append(held, nc)
	}
	nc := must(net.Dial(network(addr), addr))(t)
	defer nc.Close()
	if n, err := nc.Read(make([]byte, 1)); err == nil {
		t.Errorf("a connection beyond the bound got %d bytes, want it closed", n)
	}
	// One of the first still gets a session.
	must(held[0].Write(startupPacket(0, "user", "u")))(t)
	if kind, _ := readMessage(t, held[0]); kind != 'R' {
		t.Errorf("the first connection is answered with %c", kind)
	}
}
