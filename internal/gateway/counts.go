package gateway

import "sync/atomic"

// counts is what a gateway has done since it began.
type counts struct {
	accepted, refused, cancels atomic.Int64
}

// Counts says what a gateway does, and has done since it began.
type Counts struct {
	Connections int   // clients now, those that wait for a postgres included
	Accepted    int64 // clients that were connected to a postgres
	Refused     int64 // clients that were not
	Cancels     int64 // cancel requests that were passed on
}

// Counts gives the gateway's counts.
func (g *Gateway) Counts() Counts {
	g.mu.Lock()
	defer g.mu.Unlock()
	return Counts{
		Connections: len(g.conns), Accepted: g.counts.accepted.Load(), Refused: g.counts.refused.Load(), Cancels: g.counts.cancels.Load(),
	}
}
