package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"zenith/internal/api"
)

// The exit codes. Scripts depend on them: `zenith --help` lists them.
const (
	exitOK          = 0
	exitError       = 1
	exitUsage       = 2
	exitNoWorkdir   = 10
	exitBusy        = 11
	exitNotAllowed  = 12
	exitNotFound    = 13
	exitOutOfRange  = 14
	exitMountFailed = 15
	exitTimeout     = 16
	exitInterrupted = 130 // what shells give for SIGINT
)

// errNoWorkdir is returned when a command needs a work directory and there is none.
var errNoWorkdir = errors.New("no work directory")

// errUsage is returned for a command line that cannot be understood.
var errUsage = errors.New("usage")

// exitCodes gives each kind of error its exit code. An error may wrap several kinds: the first row that
// matches counts.
var exitCodes = []struct {
	err  error
	code int
}{
	{errNoWorkdir, exitNoWorkdir},
	{errUsage, exitUsage},
	{api.ErrBusy, exitBusy},
	{api.ErrNotAllowed, exitNotAllowed},
	{api.ErrNotFound, exitNotFound},
	{api.ErrOutOfRange, exitOutOfRange},
	{api.ErrMountFailed, exitMountFailed},
	{api.ErrTimeout, exitTimeout},
	{api.ErrBadArgument, exitUsage},
	{api.ErrSyntax, exitUsage},
}

// exitCode gives the code for err.
func exitCode(err error) int {
	if err == nil {
		return exitOK
	}
	for _, row := range exitCodes {
		if errors.Is(err, row.err) {
			return row.code
		}
	}
	return exitError
}

// statusError is an exit status, of a command that pg exec ran or of the daemon. The user has seen the
// reason already, so report prints nothing more.
type statusError int

// Error implements error. No user sees the text: report does not print a statusError.
func (s statusError) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// kindError is a message for the user, and the kind of error that decides on the exit code. The kind's own
// text is not printed.
type kindError struct {
	msg  string
	kind error
}

func (e *kindError) Error() string { return e.msg }
func (e *kindError) Unwrap() error { return e.kind }

// usagef makes a usage error.
func usagef(format string, args ...any) error {
	return &kindError{fmt.Sprintf(format, args...), errUsage}
}

// report prints err on one line of stderr and gives the exit code.
func (e *environ) report(ctx context.Context, err error) int {
	var status statusError
	if errors.As(err, &status) {
		return int(status)
	}
	if err == nil {
		return exitOK
	}
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		fmt.Fprintln(e.err, "zenith: interrupted")
		return exitInterrupted
	}
	fmt.Fprintf(e.err, "zenith: %s\n", oneLine(err.Error()))
	return exitCode(err)
}

// oneLine joins the lines of a text by semicolons.
func oneLine(s string) string {
	lines := strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' })
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(lines, "; ")
}
