package pageserver

import (
	"time"

	"zenith/internal/access"
	"zenith/internal/api"
)

// ofOwner is how many connections the owner has beyond MaxConns: whatever strangers do, it gets in to see
// and end it.
const ofOwner = 16

// isOwner reports whether a connection that was accepted comes from the owner's account.
func (s *Server) isOwner(uid int) bool {
	who, ok := s.policy.Load().ByAccount(uid)
	return ok && who.Role == access.Owner
}

// roomLocked reports whether a connection is taken, and whether it is crowded: then it is heard, for what it asks to
// cancel, and told that there are too many. Of what is not let in yet, half of all connections may come from one origin: others
// are to get so far, too.
func (s *Server) roomLocked(owner bool, from access.Origin) (taken, crowded bool) {
	var served, crowd, unknown int
	for _, c := range s.conns {
		switch {
		case c.crowded:
			crowd++
			continue
		case c.session.Load() == nil && c.origin == from:
			unknown++
		}
		served++
	}
	if owner {
		crowded = served >= s.opt.MaxConns+ofOwner
	} else {
		crowded = served >= s.opt.MaxConns || unknown >= max(s.opt.MaxConns/2, 1)
	}
	return !crowded || crowd < turnedAway, crowded
}

// checkShare refuses a client that has half of all connections already: others are to get in, too.
func (s *Server) checkShare(c *conn) error {
	if c.who.Role == access.Owner {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, other := range s.conns {
		if who := other.session.Load(); who != nil && other != c && who.Same(c.who) {
			n++
		}
	}
	if n >= max(s.opt.MaxConns/2, 1) {
		return api.Errorf(errTooMany, "too many connections of this user: %d", n)
	}
	return nil
}

// watchConns cuts, until Close, connections of strangers that have been idle for long, and those of clients that
// would not be let in any more: a token may have expired.
func (s *Server) watchConns() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case now := <-tick.C:
			s.recheck()
			s.cutIdle(now)
			s.forgetUsages()
		}
	}
}

func (s *Server) cutIdle(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		who, since := c.session.Load(), c.active.Load()
		if who == nil || who.Role == access.Owner || since == 0 || now.Sub(time.Unix(0, since)) < s.opt.IdleTimeout {
			continue
		}
		c.end(api.Errorf(errIdle, "terminating connection: it was idle for %v", s.opt.IdleTimeout))
	}
}
