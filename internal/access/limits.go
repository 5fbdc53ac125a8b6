package access

// Limits bound what one client - a user, a token, an account of this machine - has of a page server, by all its connections
// together. The owner has no limits.
type Limits struct {
	Commands int   // that begin in a second, after as many at once; further ones wait for their turn
	Streams  int   // commands at once that give or take a stream, or read much: backups, WAL, pages, pushes, checks
	Memory   int64 // bytes of prepared statements, portals and results that wait to be fetched
}

// RoleLimits are the limits of a client by its role.
type RoleLimits map[Role]Limits

// DefaultLimits are the limits where the settings do not say otherwise.
var DefaultLimits = RoleLimits{
	Reader: {Commands: 500, Streams: 50, Memory: 64 << 20},
	Writer: {Commands: 1000, Streams: 100, Memory: 128 << 20},
	Admin:  {Commands: 2000, Streams: 100, Memory: 256 << 20},
}

// Of gives the limits of a role. nil: none, which the owner has. Whoever may do less than a reader has a reader's.
func (l RoleLimits) Of(role Role) *Limits {
	if role == Owner {
		return nil
	}
	limits := l[max(role, Reader)]
	return &limits
}
