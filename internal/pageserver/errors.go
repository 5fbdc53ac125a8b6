package pageserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
)

// The kinds of error that a client can tell apart. Each has a SQLSTATE in the kinds
// table, and an exit code in cmd/zenith.
var (
	// ErrNotFound is returned when a tenant, branch, timeline, mount or compute is unknown.
	ErrNotFound = errors.New("not found")
	// ErrExists is returned when something of that name or id is there already.
	ErrExists = errors.New("already exists")
	// ErrBusy is returned when another user, or a running postgres, holds the thing.
	ErrBusy = errors.New("already in use")
	// ErrNotAllowed is returned when the request is understood and refused, or the system denies it.
	ErrNotAllowed = errors.New("not allowed")
	// ErrOutOfRange is returned when an LSN or time is before the start, below the horizon
	// or not there within the wait.
	ErrOutOfRange = errors.New("outside what is kept")
	// ErrMountFailed is returned when the kernel or fusermount3 refuses a mount.
	ErrMountFailed = errors.New("mount failed")
	// ErrTimeout is returned when something did not happen in time, or was cancelled.
	ErrTimeout = errors.New("timeout")
	// ErrBadArgument is returned when an argument cannot mean anything: a bad LSN, name, id, path.
	ErrBadArgument = errors.New("bad argument")
	// ErrSyntax is returned when a command line cannot be cut into words or has the wrong number of them.
	ErrSyntax = errors.New("syntax error")
	// ErrUnsupported is returned when this server cannot do that.
	ErrUnsupported = errors.New("not supported")
	// ErrCorrupt is returned when stored bytes are damaged.
	ErrCorrupt = errors.New("corrupt data")
	// ErrNoSpace is returned when a disk is full.
	ErrNoSpace = errors.New("no space left")
	// ErrUnavailable is returned when the server is shutting down or cannot be reached.
	ErrUnavailable = errors.New("not available")
	// ErrProtocol is returned when the peer breaks the wire protocol; the connection ends.
	ErrProtocol = errors.New("protocol violation")

	errNoFile      = errors.New("no such file")                      // is returned for WAL that is not kept
	errInvalidName = errors.New("invalid name")                      // is returned for a name that a slot cannot have
	errTooMany     = errors.New("too many clients")                  // is returned when MaxConns is reached
	errServer      = errors.New("error of the page server")          // is the kind of an error with a SQLSTATE that is none of ours
	errCancelled   = fmt.Errorf("cancel request served: %w", io.EOF) // ends a connection that brought one
)

// Error is a message for the user, complete as it stands, and the kind of error that it is.
type Error struct {
	Kind error  // one of this package's sentinels
	Msg  string // "branch dev: no such branch"
}

// Error gives the message alone: the kind is for programs.
func (e *Error) Error() string { return e.Msg }

// Unwrap gives the kind, for errors.Is.
func (e *Error) Unwrap() error { return e.Kind }

// Errorf makes an error of a kind. The text is not prefixed with the kind's.
func Errorf(kind error, format string, args ...any) error {
	return &Error{Kind: kind, Msg: fmt.Sprintf(format, args...)}
}

// kinds pairs errors with SQLSTATEs. An error gets the state of the first row that it
// wraps; a state gives the kind of the first row that has it.
var kinds = []struct {
	err   error
	state string
}{
	{ErrNotFound, "42704"},
	{ErrExists, "42710"},
	{ErrBusy, "55006"},
	{ErrNotAllowed, "42501"},
	{ErrOutOfRange, "22003"},
	{ErrMountFailed, "58030"},
	{ErrTimeout, "57014"},
	{context.DeadlineExceeded, "57014"},
	{context.Canceled, "57014"},
	{ErrBadArgument, "22023"},
	{ErrSyntax, "42601"},
	{ErrUnsupported, "0A000"},
	{ErrCorrupt, "XX001"},
	{ErrNoSpace, "53100"},
	{ErrUnavailable, "57P03"},
	{ErrProtocol, "08P01"},
	{errTooMany, "53300"},
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
