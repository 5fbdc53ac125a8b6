package api

import "context"

// Caller is who has asked for what a method of the Service does: what may differ by that (where a
// connection may go, whose directory is mounted over, what an error tells) looks here.
type Caller struct {
	// Owner says that the caller is the operating system's root or the account that the page server runs
	// as, on this machine: it could do everything without the page server.
	Owner bool
	// UID is the account at the other end of a unix socket; NoUID where there is no such account.
	UID int
	// User is the name under which the caller was let in; "": by its account, or without a name.
	User string
	// Address is where the caller connects from, HOST:PORT; "" for a unix socket, and within the process.
	Address string
}

// NoUID is the UID of a caller that is not known to be an account of this machine.
const NoUID = -1

type callerKey struct{}

// WithCaller gives a context of what is done for a caller.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// CallerOf gives the caller for whom something is done. Where no server has put one into the context, the
// process does it for whoever runs it, who is the owner.
func CallerOf(ctx context.Context) Caller {
	if c, ok := ctx.Value(callerKey{}).(Caller); ok {
		return c
	}
	return Caller{Owner: true, UID: NoUID}
}
