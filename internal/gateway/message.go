package gateway

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"zenith/internal/api"
)

// The types of messages that are looked at (protocol.h).
const (
	msgBackendKeyData = 'K'
	msgReadyForQuery  = 'Z'
	msgErrorResponse  = 'E'
	msgNotice         = 'N'
)

// maxStartupMessage is how long a message before the first ReadyForQuery may be: far more than any is.
const maxStartupMessage = 1 << 20

// readMessage reads one message of a server, and no byte beyond it. raw is all of it.
func readMessage(r io.Reader) (kind byte, raw []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n < 4 || n > maxStartupMessage {
		return 0, nil, api.Errorf(api.ErrProtocol, "message %q of postgres with a length of %d", head[0], n)
	}
	raw = make([]byte, 1+n)
	copy(raw, head[:])
	_, err = io.ReadFull(r, raw[len(head):])
	return head[0], raw, err
}

// report makes an ErrorResponse or a NoticeResponse.
func report(kind byte, severity, sqlState, text string) []byte {
	b := []byte{kind, 0, 0, 0, 0}
	for _, field := range []string{"S" + severity, "V" + severity, "C" + sqlState, "M" + strings.ReplaceAll(strings.TrimSpace(text), "\n", "; ")} {
		b = append(append(b, field...), 0)
	}
	b = append(b, 0)
	binary.BigEndian.PutUint32(b[1:], uint32(len(b)-1))
	return b
}

// errTooManyClients is returned when MaxConns is reached.
var errTooManyClients = errors.New("too many clients")

// errNotEncrypted is returned to clients that must use TLS, and do not.
var errNotEncrypted = errors.New("not encrypted")

// kinds pairs errors with SQLSTATEs. An error gets the state of the first row that it wraps.
var kinds = []struct {
	err   error
	state string
}{
	{api.ErrTooMany, "53300"},
	{errTooManyClients, "53300"},
	{errNotEncrypted, "28000"},
	{api.ErrNotFound, "3D000"}, // invalid_catalog_name: as a database that is not there
	{api.ErrOutOfRange, "58P01"},
	{context.DeadlineExceeded, "57P03"},
	{context.Canceled, "57P03"},
	{api.ErrTimeout, "57P03"},
	{api.ErrUnavailable, "57P03"},
	{api.ErrBusy, "55006"},
	{api.ErrNotAllowed, "42501"},
	{api.ErrBadArgument, "22023"},
	{api.ErrUnsupported, "0A000"},
	{api.ErrCorrupt, "XX001"},
	{api.ErrNoSpace, "53100"},
	{api.ErrProtocol, "08P01"},
}

// internalError is the SQLSTATE of an error of no known kind.
const internalError = "XX000"

// fatal makes the ErrorResponse for an error that ends a connection. Its client may be a stranger: of an error of no known
// kind, which may tell of paths and stores, it says where the reason is.
func fatal(err error) []byte {
	for _, k := range kinds {
		if errors.Is(err, k.err) {
			return report(msgErrorResponse, "FATAL", k.state, err.Error())
		}
	}
	return report(msgErrorResponse, "FATAL", internalError, "internal error: the page server's log says what it is")
}

// notice makes the NoticeResponse that says which state a client is connected to.
func notice(t target, state string) []byte {
	return report(msgNotice, "NOTICE", "00000", fmt.Sprintf("%s is %s", t.name, state))
}
