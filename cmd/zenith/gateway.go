package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"zenith/internal/access"
	"zenith/internal/api"
	"zenith/internal/gateway"
	"zenith/tenants"
)

// gatewayConfig is [gateway] of pageserver.toml. docs/gateway.md says what it is.
type gatewayConfig struct {
	Listen hostPort `toml:"listen,omitempty"`
	Tenant tenantID `toml:"tenant,omitempty"` // of clients that name none
	Idle   restTime `toml:"idle,omitempty"`   // a postgres without clients is stopped after that
	Wait   idleTime `toml:"wait,omitempty"`   // a client waits so long for its postgres to start
	Max    count    `toml:"max,omitempty"`    // postgres servers at once
}

// restTime is a duration, or 0 for no end.
type restTime string

// UnmarshalText implements encoding.TextUnmarshaler.
func (t *restTime) UnmarshalText(text []byte) error {
	*t = restTime(text)
	if d, err := time.ParseDuration(string(text)); err != nil || d < 0 || d > 0 && d < time.Second {
		return fmt.Errorf("%q: want a duration such as 5m, a second or more, or 0 for never", text)
	}
	return nil
}

// duration gives the time, 0 if it is not set, and less than that for never.
func (t restTime) duration() time.Duration {
	d, err := time.ParseDuration(string(t))
	switch {
	case err != nil:
		return 0
	case d == 0:
		return -1
	}
	return d
}

// limits are those of the servers that the gateway wakes.
func (c gatewayConfig) limits() tenants.WakeLimits {
	return tenants.WakeLimits{Idle: c.Idle.duration(), Max: int(c.Max)}
}

// gate is the gateway of a page server, and where it listens. One without listeners does nothing.
type gate struct {
	doors  listeners // the port, and the unix socket of that port's number
	server *gateway.Gateway
}

// openGate opens the port of the gateway, if there is to be one, and the unix socket that goes with it.
func openGate(s *settings) (*gate, error) {
	g := &gate{}
	if s.Gateway.Listen == "" {
		return g, nil
	}
	port, err := listen(string(s.Gateway.Listen))
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	g.doors = listeners{port}
	socket, err := listenSocketOf(s.workdir, port.Addr().(*net.TCPAddr).Port, socketOfAll)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("gateway: %w", err), port.Close())
	}
	g.doors = append(g.doors, socket)
	return g, nil
}

// address gives the HOST:PORT of the gateway, "" if there is none.
func (g *gate) address() string {
	if len(g.doors) == 0 {
		return ""
	}
	return g.doors[0].Addr().String()
}

// begin makes the gateway, which asks w for servers. It does not listen yet.
func (g *gate) begin(w api.Waker, s *settings, log *slog.Logger) {
	g.server = gateway.New(w, gateway.Options{
		Log: log, Tenant: string(s.Gateway.Tenant), Wait: s.Gateway.Wait.duration(), MaxConns: maxConns(),
	})
}

// run serves clients until ctx ends, and then cuts them.
func (g *gate) run(ctx context.Context, log *slog.Logger) {
	for _, l := range g.doors {
		go func() {
			if err := g.server.Serve(l); err != nil {
				log.Error("serve the gateway", "address", l.Addr().String(), "err", err)
			}
		}()
	}
	if len(g.doors) > 0 {
		log.Info("gateway started", "address", g.address())
	}
	<-ctx.Done()
	g.server.Close()
}

// SetTLS implements guarded.
func (g *gate) SetTLS(c *tls.Config) error {
	g.server.SetTLS(c)
	return nil
}

// SetAccess implements guarded: who is let in is up to each postgres.
func (*gate) SetAccess(*access.Policy) {}

// SetLimits implements guarded: the limits are on commands of the wire protocol.
func (*gate) SetLimits(access.RoleLimits) {}
