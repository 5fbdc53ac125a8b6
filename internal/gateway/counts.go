package gateway

import (
	"sync/atomic"

	"zenith/internal/api"
)

// counts is what a gateway has done since it began.
type counts struct {
	accepted, refused, cancels atomic.Int64
}

// Counts gives the gateway's counts.
func (g *Gateway) Counts() api.GatewayCounts {
	g.mu.Lock()
	defer g.mu.Unlock()
	return api.GatewayCounts{
		Connections: len(g.conns), Accepted: g.counts.accepted.Load(), Refused: g.counts.refused.Load(), Cancels: g.counts.cancels.Load(),
	}
}
