package pageserver

import (
	"context"
	"maps"
	"sync"

	"golang.org/x/time/rate"

	"zenith/internal/access"
	"zenith/internal/api"
)

// SetLimits has the server hold its clients to other limits from now on. What they have already stays theirs.
func (s *Server) SetLimits(limits access.RoleLimits) {
	limits = maps.Clone(limits)
	s.limits.Store(&limits)
	s.mu.Lock()
	defer s.mu.Unlock()
	for who, u := range s.usages {
		u.setLimits(limits.Of(who.Role))
	}
}

// usage is what one client has of the server. The zero value is that of a client without limits.
type usage struct {
	commands *rate.Limiter // nil: no limit

	mu      sync.Mutex     // guards what follows
	limits  *access.Limits // nil: none
	conns   int
	streams int
	memory  int64
}

func newUsage(limits *access.Limits) *usage {
	if limits == nil {
		return &usage{}
	}
	return &usage{limits: limits, commands: rate.NewLimiter(rate.Limit(limits.Commands), limits.Commands)}
}

func (u *usage) setLimits(limits *access.Limits) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.limits == nil || limits == nil {
		return
	}
	u.limits = limits
	u.commands.SetLimit(rate.Limit(limits.Commands))
	u.commands.SetBurst(limits.Commands)
}

// join gives the usage of the client of a connection, and counts the connection.
func (s *Server) join(who access.Principal) *usage {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.usages[who]
	if u == nil {
		u = newUsage(s.limits.Load().Of(who.Role))
		s.usages[who] = u
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.conns++
	return u
}

// leave is for the end of a connection, which kept so many bytes.
func (u *usage) leave(kept int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.conns--
	u.memory -= kept
}

// forgetUsages forgets clients that have no connection and of whose commands none is counted any more: to come
// again gains them nothing.
func (s *Server) forgetUsages() {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.usages, func(_ access.Principal, u *usage) bool { return u.idle() })
}

func (u *usage) idle() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.conns == 0 && (u.commands == nil || u.commands.Tokens() >= float64(u.commands.Burst()))
}

// wait waits until the client may begin another command.
func (u *usage) wait(ctx context.Context) error {
	if u.commands == nil {
		return nil
	}
	return u.commands.Wait(ctx)
}

// stream counts a stream that begins, and gives what is to be called at its end.
func (u *usage) stream() (end func(), err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.limits != nil && u.streams >= u.limits.Streams {
		return nil, api.Errorf(errTooMany, "too many backups, streams and checks of this user at once: %d", u.streams)
	}
	u.streams++
	return func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.streams--
	}, nil
}

// keep counts memory that the client has the server keep.
func (u *usage) keep(n int64) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.limits != nil && u.memory+n > u.limits.Memory {
		return api.Errorf(errTooMuch, "prepared statements, portals and results of this user of more than %d MiB", u.limits.Memory>>20)
	}
	u.memory += n
	return nil
}

func (u *usage) letGo(n int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.memory -= n
}

// begin waits until the client may begin a call of the verb, or refuses it. The function that it returns is to be called
// at the command's end.
func (c *conn) begin(ctx context.Context, v *verb) (end func(), err error) {
	if err := c.usage.wait(ctx); err != nil {
		return nil, err
	}
	if !v.streams() {
		return func() {}, nil
	}
	return c.usage.stream()
}

// keep counts n bytes more of prepared statements, portals and results, or refuses them.
func (c *conn) keep(n int) error {
	if c.kept+int64(n) > maxKept {
		return api.Errorf(errTooMuch, "prepared statements, portals and results of more than %d MiB", maxKept>>20)
	}
	if err := c.usage.keep(int64(n)); err != nil {
		return err
	}
	c.kept += int64(n)
	return nil
}

// letGo is for n bytes that were counted by keep and are kept no more.
func (c *conn) letGo(n int) {
	c.usage.letGo(int64(n))
	c.kept -= int64(n)
}

// maxKept bounds what a client may leave on one connection in prepared statements, portals and results, in bytes: a
// result that is fetched in pieces may be large.
const maxKept = 80 << 20
