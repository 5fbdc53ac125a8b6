package pageserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"zenith/internal/api"
)

// The kinds of error that only the wire protocol has.
var (
	errNoFile      = errors.New("no such file")                                          // is returned for WAL that is not kept
	errInvalidName = errors.New("invalid name")                                          // is returned for a name that a slot cannot have
	errTooMany     = errors.New("too many clients")                                      // is returned when MaxConns is reached
	errTooMuch     = errors.New("too much memory")                                       // is returned for what would have the server keep more than a client may
	errServer      = errors.New("error of the page server")                              // is the kind of an error with a SQLSTATE that is none of ours
	errNotAdmitted = fmt.Errorf("not let in: %w", api.ErrNotAllowed)                     // is the kind of the error of a client that may not connect
	errPassword    = fmt.Errorf("password authentication failed: %w", api.ErrNotAllowed) // is the kind of the error of a client that does not know the password
	errIdle        = errors.New("idle for too long")                                     // is the kind of the error that ends an idle connection
	errCancelled   = fmt.Errorf("cancel request served: %w", io.EOF)                     // ends a connection that brought one
)

// kinds pairs errors with SQLSTATEs. An error gets the state of the first row that it
// wraps; a state gives the kind of the first row that has it.
var kinds = []struct {
	err   error
	state string
}{
	{api.ErrNotFound, "42704"},
	{api.ErrExists, "42710"},
	{api.ErrBusy, "55006"},
	{errPassword, "28P01"},
	{errNotAdmitted, "28000"},
	{api.ErrNotAllowed, "42501"},
	{api.ErrOutOfRange, "22003"},
	{api.ErrMountFailed, "58030"},
	{api.ErrTimeout, "57014"},
	{context.DeadlineExceeded, "57014"},
	{context.Canceled, "57014"},
	{api.ErrBadArgument, "22023"},
	{api.ErrSyntax, "42601"},
	{api.ErrUnsupported, "0A000"},
	{api.ErrCorrupt, "XX001"},
	{api.ErrNoSpace, "53100"},
	{api.ErrUnavailable, "57P03"},
	{api.ErrProtocol, "08P01"},
	{errTooMany, "53300"},
	{errTooMuch, "53400"},
	{errIdle, "57P05"},
	{errNoFile, "58P01"},
	{errInvalidName, "42602"},
}

// internalError is the SQLSTATE of an error of no known kind.
const internalError = "XX000"

// sqlState gives the SQLSTATE for err.
func sqlState(err error) string {
	for _, k := range kinds {
		if errors.Is(err, k.err) {
			return k.state
		}
	}
	return internalError
}

// kindOf gives the kind of error that a SQLSTATE stands for, nil if it is none of ours.
func kindOf(state string) error {
	for _, k := range kinds {
		if k.state == state {
			return k.err
		}
	}
	return nil
}

// isKind is errors.Is, shorter to read in conditions.
func isKind(err, kind error) bool { return errors.Is(err, kind) }

// isNetError tells the end or failure of a connection from a bad message on it.
func isNetError(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}
