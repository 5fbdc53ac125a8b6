package api

import (
	"errors"
	"fmt"
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

// Clip shortens what a client sent, for messages.
func Clip(s string) string {
	const most = 60
	if len(s) <= most {
		return s
	}
	return s[:most] + "..."
}
