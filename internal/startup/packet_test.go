package startup_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"zenith/internal/api"
	"zenith/internal/startup"
)

// packet gives the bytes of a packet: its length, a code, and a body.
func packet(code uint32, body string) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(8+len(body)))
	return append(binary.BigEndian.AppendUint32(b, code), body...)
}

// TestWithParam: one value changes, and nothing else of what the client has sent: not the version, nor what nobody here
// knows.
func TestWithParam(t *testing.T) {
	const code = 3<<16 | 9999
	r := bytes.NewReader(append(packet(code, "user\x00u\x00database\x00app@dev\x00_pq_.x\x001\x00odd\x00\x00\x00"), "more"...))
	p, err := startup.Read(r)
	if err != nil {
		t.Fatal(err)
	}
	if rest, _ := io.ReadAll(r); string(rest) != "more" {
		t.Errorf("%q is left to read", rest)
	}
	want := packet(code, "user\x00u\x00_pq_.x\x001\x00odd\x00\x00database\x00app\x00\x00")
	if got := p.WithParam("database", "app"); !bytes.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	again, err := startup.Read(bytes.NewReader(want))
	if err != nil || again.Params["database"] != "app" || again.Params["odd"] != "" || len(again.Options) != 1 {
		t.Errorf("read again: %+v, %v", again, err)
	}
}

// TestCancelKeys: version 3.2 has keys of up to 256 bytes.
func TestCancelKeys(t *testing.T) {
	for _, key := range []string{"\x00\x00\x00\x01abcd", "\x00\x00\x00\x01" + string(bytes.Repeat([]byte{7}, 256))} {
		p, err := startup.Read(bytes.NewReader(packet(startup.CodeCancel, key)))
		if err != nil || string(p.Cancel) != key {
			t.Errorf("got %q, %v; want %q", p.Cancel, err, key)
		}
	}
}

// TestBadPackets: what is no startup packet is refused.
func TestBadPackets(t *testing.T) {
	for _, c := range []struct {
		what string
		in   []byte
		kind error
	}{
		{"too short", []byte("\x00\x00\x00\x04"), api.ErrProtocol},
		{"too long", []byte("\x00\x01\x00\x00"), api.ErrProtocol},
		{"no end", packet(startup.Protocol30, "user\x00u\x00"), api.ErrProtocol},
		{"bytes behind the end", packet(startup.Protocol30, "user\x00u\x00\x00x"), api.ErrProtocol},
		{"a name alone", packet(startup.Protocol30, "user\x00"), api.ErrProtocol},
		{"version 2", packet(2<<16, ""), api.ErrUnsupported},
		{"cut off", packet(startup.Protocol30, "user\x00u\x00\x00")[:12], io.ErrUnexpectedEOF},
	} {
		if _, err := startup.Read(bytes.NewReader(c.in)); !errors.Is(err, c.kind) {
			t.Errorf("%s: got %v, want %v", c.what, err, c.kind)
		}
	}
}
