package main

import (
	"context"
	"errors"

	"github.com/urfave/cli/v2"

	"zenith/internal/pageserver"
)

// session is a command's connection to the page server.
type session struct {
	*pageserver.Client
	cfg    *cliConfig
	tenant string
}

// connect reads the settings and connects. The tenant is the flag's or the default one.
func (e *environ) connect(c *cli.Context) (*session, error) {
	s, err := e.unconnected(c)
	if err != nil {
		return nil, err
	}
	s.Client, err = e.dial(c.Context, s.cfg)
	return s, err
}

// unconnected is connect for what needs no page server.
func (e *environ) unconnected(c *cli.Context) (*session, error) {
	cfg, err := e.config()
	if err != nil {
		return nil, err
	}
	s := &session{cfg: cfg, tenant: string(cfg.TenantID)}
	if id := c.String("tenantid"); id != "" {
		if !hex32.MatchString(id) {
			return nil, usagef("--tenantid %q: want 32 lower-case hex digits", id)
		}
		s.tenant = id
	}
	return s, nil
}

// dial connects to the page server that the settings name.
func (e *environ) dial(ctx context.Context, cfg *cliConfig) (*pageserver.Client, error) {
	addr, err := e.address(cfg)
	if err != nil {
		return nil, err
	}
	client, err := pageserver.Dial(ctx, addr)
	if errors.Is(err, pageserver.ErrUnavailable) && e.local() {
		if _, running, probeErr := probe(e.path(pidFileName)); probeErr == nil && !running {
			return nil, &kindError{e.workdir + ": the page server is not running (run zenith start)", pageserver.ErrUnavailable}
		}
	}
	return client, err
}

// needTenant is for commands that make no sense without one.
func (s *session) needTenant() error {
	if s.tenant == "" {
		return usagef("no tenant: name one with --tenantid")
	}
	return nil
}

// withSession connects, runs do and disconnects.
func (e *environ) withSession(c *cli.Context, do func(ctx context.Context, s *session) error) error {
	s, err := e.connect(c)
	if err != nil {
		return err
	}
	defer s.Close()
	return do(c.Context, s)
}

// withTenant is withSession for commands on tenant data.
func (e *environ) withTenant(c *cli.Context, do func(ctx context.Context, s *session) error) error {
	return e.withSession(c, func(ctx context.Context, s *session) error {
		if err := s.needTenant(); err != nil {
			return err
		}
		return do(ctx, s)
	})
}
