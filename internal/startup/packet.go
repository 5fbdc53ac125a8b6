package startup

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
	minPacket = 8
	maxPacket = 10000 // MAX_STARTUP_PACKET_LENGTH
)

// The codes of the packets that are no StartupMessage. That one's code is its version of the protocol.
const (
	CodeCancel = 1234<<16 | 5678
	CodeSSL    = 1234<<16 | 5679
	CodeGSS    = 1234<<16 | 5680
)

// Protocol30 is the code of a StartupMessage for version 3.0 of the protocol, and the lowest of version 3.
const (
	Protocol30    = protocolMajor << 16
	protocolMajor = 3
)

// Options of the protocol itself have names that begin so. There are none in 3.0.
const optionPrefix = "_pq_."

// MaxEncryptionRequests is how often a client may ask for SSL or GSS before it must start.
const MaxEncryptionRequests = 2

// Packet is what a connection begins with.
type Packet struct {
	Code    uint32
	Params  map[string]string // of a StartupMessage; nil for other packets
	Options []string          // the names of the protocol's own options in Params
	Cancel  []byte            // of a CancelRequest: the process id, 4 bytes, and the key, whose length depends on the version

	params []byte // of a StartupMessage: names and values as they came
}

// Read reads the first packet of a connection, or one more after an encryption request was declined, and no byte
// beyond it. ErrProtocol: it is none. ErrUnsupported: it is of another major version of the protocol.
func Read(r io.Reader) (*Packet, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n < minPacket || n > maxPacket {
		return nil, api.Errorf(api.ErrProtocol, "invalid length of startup packet: %d", n)
	}
	body := make([]byte, n-4)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, err
	}
	p := &Packet{Code: binary.BigEndian.Uint32(body)}
	switch body = body[4:]; {
	case p.Code == CodeSSL, p.Code == CodeGSS:
		return p, nil
	case p.Code == CodeCancel:
		p.Cancel = body
		return p, nil
	case p.Code>>16 != protocolMajor:
		return nil, api.Errorf(api.ErrUnsupported, "unsupported frontend protocol %d.%d: server supports 3.0", p.Code>>16, p.Code&0xFFFF)
	}
	p.params = body
	return p, p.readParams(body)
}

// readParams reads names and values, each with a zero behind it, up to an empty name.
func (p *Packet) readParams(body []byte) error {
	p.Params = map[string]string{}
	for {
		name, value, rest, err := cutParam(body)
		if err != nil || name == "" {
			return err
		}
		p.Params[name] = value
		if strings.HasPrefix(name, optionPrefix) && !slices.Contains(p.Options, name) {
			p.Options = append(p.Options, name)
		}
		body = rest
	}
}

// cutParam cuts a name and its value off. An empty name is the end.
func cutParam(body []byte) (name, value string, rest []byte, err error) {
	n, rest, ok := bytes.Cut(body, []byte{0})
	if ok && len(n) == 0 && len(rest) == 0 {
		return "", "", nil, nil
	}
	v, rest, found := bytes.Cut(rest, []byte{0})
	if !ok || !found || len(n) == 0 {
		return "", "", nil, api.Errorf(api.ErrProtocol, "invalid startup packet layout: expected terminator as last byte")
	}
	return string(n), string(v), rest, nil
}

// WithParam gives the bytes of a StartupMessage that is this one, but for the value of one parameter. All others stay as they
// came, and in their order: also those that nobody here knows.
func (p *Packet) WithParam(name, value string) []byte {
	b := binary.BigEndian.AppendUint32(make([]byte, 4), p.Code)
	for body := p.params; ; {
		n, v, rest, err := cutParam(body)
		if err != nil || n == "" { // Read has checked the layout: this is the end
			break
		}
		if n != name {
			b = appendParam(b, n, v)
		}
		body = rest
	}
	b = append(appendParam(b, name, value), 0)
	binary.BigEndian.PutUint32(b, uint32(len(b)))
	return b
}

func appendParam(b []byte, name, value string) []byte {
	b = append(append(b, name...), 0)
	return append(append(b, value...), 0)
}

// Option finds a setting in the startup parameter "options": -c NAME=VALUE or --NAME=VALUE, where a backslash keeps a
// blank from being one. The last one counts; "": there is none.
func Option(options, name string) (value string) {
	words := splitOptions(options)
	for i, w := range words {
		switch {
		case w == "-c" && i+1 < len(words):
			w = words[i+1]
		case strings.HasPrefix(w, "-c"):
			w = w[2:]
		case strings.HasPrefix(w, "--"):
			w = w[2:]
		default:
			continue
		}
		if n, v, ok := strings.Cut(w, "="); ok && strings.EqualFold(n, name) {
			value = v
		}
	}
	return value
}

// splitOptions is pg_split_opts.
func splitOptions(s string) (words []string) {
	var word []byte
	in := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			i++
			word, in = append(word, s[i]), true
		case strings.ContainsRune(blanks, rune(s[i])):
			if in {
				words = append(words, string(word))
			}
			word, in = word[:0], false
		default:
			word, in = append(word, s[i]), true
		}
	}
	if in {
		words = append(words, string(word))
	}
	return words
}

// blanks are the characters for which isspace of C is true.
const blanks = " \t\n\v\f\r"

// CancelRequest gives the bytes of a CancelRequest with what a Packet has in Cancel.
func CancelRequest(cancel []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(8+len(cancel)))
	return append(binary.BigEndian.AppendUint32(b, CodeCancel), cancel...)
}
