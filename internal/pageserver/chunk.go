package pageserver

import (
	"bufio"
	"fmt"
	"io"

	"github.com/jackc/pgproto3/v2"

	"zenith/internal/api"
)

// chunkReader gives pgproto3 the bytes of a connection and bounds what a peer can make
// us allocate: pgproto3 itself believes any length. Of a long message no more memory is taken than twice what has come. A read that a deadline broke off is
// taken up again by the next call, which asks for the same length.
type chunkReader struct {
	br   *bufio.Reader
	max  int    // longest message body
	buf  []byte // of the message that is being read: grows as it comes
	have int    // bytes of buf that are there
}

// firstChunk is how much of a message is believed to come before anything of it is there.
const firstChunk = 64 << 10

// Next returns the next n bytes, which the caller owns.
func (cr *chunkReader) Next(n int) ([]byte, error) {
	if n > cr.max {
		return nil, api.Errorf(api.ErrProtocol, "message of %d bytes, at most %d are taken", n, cr.max)
	}
	if cr.buf == nil {
		cr.buf = make([]byte, min(n, firstChunk))
	}
	for cr.have < n {
		if cr.have == len(cr.buf) {
			cr.buf = append(cr.buf, make([]byte, min(n-cr.have, cr.have))...)
		}
		got, err := io.ReadFull(cr.br, cr.buf[cr.have:])
		cr.have += got
		if err != nil {
			return nil, err
		}
	}
	buf := cr.buf
	cr.buf, cr.have = nil, 0
	return buf, nil
}

// guardDecode calls a receive function of pgproto3, whose decoders slice some malformed
// messages out of range (a Bind parameter of length -2, an empty Query), and turns such
// a panic into an error.
func guardDecode[M any](receive func() (M, error)) (msg M, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = api.Errorf(api.ErrProtocol, "malformed message: %v", r)
		}
	}()
	return receive()
}

// receiveFrom reads a client's message. Any error but one of the network is ErrProtocol.
func receiveFrom(be *pgproto3.Backend) (pgproto3.FrontendMessage, error) {
	msg, err := guardDecode(be.Receive)
	return msg, protocolError(err)
}

// protocolError marks what pgproto3 says about bad messages as ErrProtocol.
func protocolError(err error) error {
	if err == nil || isNetError(err) || isKind(err, api.ErrProtocol) {
		return err
	}
	return &api.Error{Kind: api.ErrProtocol, Msg: fmt.Sprintf("bad message: %v", err)}
}
