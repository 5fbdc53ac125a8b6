package receiver

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

var (
	// ErrConnInfo is returned when a connection string cannot be understood.
	ErrConnInfo = errors.New("bad connection string")
	// ErrVersion is returned when the server is a PostgreSQL that is not supported, or another
	// major than the branch's.
	ErrVersion = errors.New("wrong PostgreSQL version")
	// ErrForeign is returned when the server is of another cluster: its system identifier differs.
	ErrForeign = errors.New("another cluster")
	// ErrTimeline is returned when the server is, or goes, on another timeline.
	ErrTimeline = errors.New("another timeline")
	// ErrRemoved is returned when the server has removed WAL that is needed.
	ErrRemoved = errors.New("WAL removed")
	// ErrDiverged is returned when the server's WAL is not the continuation of the branch's.
	ErrDiverged = errors.New("diverged")

	// errTimelineEnd is the regular end of a stream: the next connection finds the timeline on which the server
	// goes on.
	errTimelineEnd = errors.New("the server left the timeline for another one")
	errShutdown    = errors.New("the server shut down")
	errSilence     = errors.New("the server has been silent for too long")
	errProtocol    = errors.New("replication protocol violated")
)

// lasting are the errors that come again at each attempt, until somebody does something.
var lasting = []error{ErrVersion, ErrForeign, ErrTimeline, ErrRemoved, ErrDiverged}

// isLasting reports whether err is one of lasting.
func isLasting(err error) bool {
	for _, l := range lasting {
		if errors.Is(err, l) {
			return true
		}
	}
	return false
}

// The SQLSTATEs that are told apart.
const (
	stateUndefinedFile   = "58P01" // a WAL segment was removed
	stateUndefinedObject = "42704" // no such slot
	stateDuplicateObject = "42710" // the slot is there
)

// sqlState gives a server's error's SQLSTATE, "" for other errors.
func sqlState(err error) string {
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		return pe.Code
	}
	return ""
}

// said makes one line of a server's error.
func said(err error) error {
	var pe *pgconn.PgError
	if !errors.As(err, &pe) {
		return err
	}
	return fmt.Errorf("the server says: %s (%s)%w", pe.Message, pe.Code, silent{err})
}

// silent wraps an error for callers that match it with errors.As, and adds no text to the
// message.
type silent struct{ error }

func (silent) Error() string   { return "" }
func (s silent) Unwrap() error { return s.error }

// oneLine is an error's text without line ends.
func oneLine(err error) string {
	if err == nil {
		return ""
	}
	return strings.Join(strings.Fields(err.Error()), " ")
}

// cause gives what this process's own log says of an error, which is more than others are told.
func cause(err error) error {
	var u *Unreachable
	if errors.As(err, &u) {
		return fmt.Errorf("connect to %s: %w", u.Address, u.Cause)
	}
	return err
}
