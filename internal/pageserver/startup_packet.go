package pageserver

import (
	"bytes"
	"encoding/binary"
	"io"
	"slices"
	"strings"

	"zenith/internal/api"
)

// The first packet of a client has no type byte: a length, and a code that says what it is
// (ProcessStartupPacket in tcop/backend_startup.c, pqcomm.h). pgproto3 knows protocol 3.0 only, so
// these are read here.
const (
	minStartupPacket = 8
	maxStartupPacket = 10000 // MAX_STARTUP_PACKET_LENGTH

	codeCancel = 1234<<16 | 5678
	codeSSL    = 1234<<16 | 5679
	codeGSS    = 1234<<16 | 5680

	protocolMajor = 3
	protocol30    = protocolMajor << 16 // the one version that is served
)

// optionPrefix begins the names of options of the protocol itself. There are none in 3.0.
const optionPrefix = "_pq_."

// startupPacket is what a connection begins with.
type startupPacket struct {
	code   uint32
	params map[string]string // of a StartupMessage

	// What of the protocol the client asked for and this server does not have: a newer minor version,
	// and these options.
	newer   bool
	options []string

	cancelID, cancelSecret uint32 // of a CancelRequest
}

// readStartupPacket reads the first packet of a connection, or one more after an encryption request
// was declined. ErrProtocol: it is none.
func readStartupPacket(r io.Reader) (*startupPacket, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n < minStartupPacket || n > maxStartupPacket {
		return nil, api.Errorf(api.ErrProtocol, "invalid length of startup packet: %d", n)
	}
	body := make([]byte, n-4)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, err
	}
	p := &startupPacket{code: binary.BigEndian.Uint32(body)}
	switch body = body[4:]; {
	case p.code == codeSSL, p.code == codeGSS:
		return p, nil
	case p.code == codeCancel:
		return p, p.readCancel(body)
	case p.code>>16 != protocolMajor:
		return nil, api.Errorf(api.ErrUnsupported, "unsupported frontend protocol %d.%d: server supports 3.0", p.code>>16, p.code&0xFFFF)
	}
	p.newer = p.code > protocol30
	return p, p.readParams(body)
}

// readCancel reads the body of a CancelRequest. Keys of other lengths than those that this server
// gives out are nobody's.
func (p *startupPacket) readCancel(body []byte) error {
	if len(body) != 8 {
		return api.Errorf(api.ErrProtocol, "cancel request with a body of %d bytes, want 8", len(body))
	}
	p.cancelID, p.cancelSecret = binary.BigEndian.Uint32(body), binary.BigEndian.Uint32(body[4:])
	return nil
}

// readParams reads names and values, each with a zero behind it, up to an empty name.
func (p *startupPacket) readParams(body []byte) error {
	p.params = map[string]string{}
	for {
		name, rest, ok := bytes.Cut(body, []byte{0})
		if ok && len(name) == 0 && len(rest) == 0 {
			return nil
		}
		value, rest, found := bytes.Cut(rest, []byte{0})
		if !ok || !found || len(name) == 0 {
			return api.Errorf(api.ErrProtocol, "invalid startup packet layout: expected terminator as last byte")
		}
		p.params[string(name)] = string(value)
		if strings.HasPrefix(string(name), optionPrefix) && !slices.Contains(p.options, string(name)) {
			p.options = append(p.options, string(name))
		}
		body = rest
	}
}

// negotiation is the NegotiateProtocolVersion message by which the client is told what it does not
// get; nil if it gets all that it asked for.
func (p *startupPacket) negotiation() []byte {
	if !p.newer && len(p.options) == 0 {
		return nil
	}
	body := binary.BigEndian.AppendUint32(nil, protocol30)
	body = binary.BigEndian.AppendUint32(body, uint32(len(p.options)))
	for _, name := range p.options {
		body = append(append(body, name...), 0)
	}
	msg := binary.BigEndian.AppendUint32([]byte{'v'}, uint32(4+len(body)))
	return append(msg, body...)
}
