package pageserver

import (
	"zenith/internal/access"
	"zenith/internal/api"
)

// admit finds out who the client is, as the policy of the server says.
func (c *conn) admit() error {
	policy := c.srv.policy.Load()
	uid := accountOf(c.nc)
	if p, ok := policy.ByAccount(uid); ok {
		c.who = p
		return nil
	}
	switch {
	case uid == api.NoUID && policy.Method == access.Trust:
		c.who = access.Trusted
		return nil
	case uid != api.NoUID:
		return api.Errorf(errNotAdmitted, "%s is not let in here: the owner of the work directory can change that (auth.accounts in pageserver.toml)", accountText(uid))
	}
	return api.Errorf(errNotAdmitted, "no client is let in over TCP (auth.method in pageserver.toml)")
}
