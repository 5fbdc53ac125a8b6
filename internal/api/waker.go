package api

import (
	"context"
	"fmt"
)

// ErrTooMany is returned when as many servers as there may be run, and each of them has clients.
var ErrTooMany = fmt.Errorf("too many postgres servers: %w", ErrBusy)

// Waker gives the postgres of a point to whoever has clients for it, and starts it if it does not run.
type Waker interface {
	// Wake returns when the postgres of a point accepts connections, or when ctx ends: then the start goes on, for the
	// next caller. A head's is the one that PgStart starts. That of any other point is on a scratch mount. A time, or an
	// age, means the same LSN for as long as a server runs that was woken for it by that text.
	// ErrTooMany: no more servers may run.
	Wake(ctx context.Context, tenant, point string) (Woken, error)
}

// Woken is a postgres that has at least one client, whose owner calls Release when the client is gone. A server
// without clients is stopped after a while, unless PgStart has started it.
type Woken struct {
	Compute Compute
	// State says which state the server is on, in the words of a notice for its clients; "" if it is the head of the
	// branch, which is no news.
	State   string
	Release func()
}

// GatewayCounts says what a gateway does, and has done since it began.
type GatewayCounts struct {
	Connections int   // clients now, those that wait for a postgres included
	Accepted    int64 // clients that were connected to a postgres
	Refused     int64 // clients that were not
	Cancels     int64 // cancel requests that were passed on
}
