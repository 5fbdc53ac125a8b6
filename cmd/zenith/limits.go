package main

import (
	"cmp"
	"fmt"

	"zenith/internal/access"
)

// limitsConfig is [limits] of pageserver.toml: what one client may use of the page server, by its role.
type limitsConfig struct {
	Reader roleLimits `toml:"reader,omitempty"`
	Writer roleLimits `toml:"writer,omitempty"`
	Admin  roleLimits `toml:"admin,omitempty"`
}

// roleLimits are the limits of the clients of a role. What is not set is as access.DefaultLimits says.
type roleLimits struct {
	Commands count    `toml:"commands,omitempty"`
	Streams  count    `toml:"streams,omitempty"`
	Memory   byteSize `toml:"memory,omitempty"`
}

// count is how many there may be of something, 1 or more; 0: it is not set.
type count int

// UnmarshalTOML implements toml.Unmarshaler.
func (n *count) UnmarshalTOML(value any) error {
	i, ok := value.(int64)
	if !ok || i < 1 || i > 1<<30 {
		return fmt.Errorf("%v: want a number, 1 or more", value)
	}
	*n = count(i)
	return nil
}

// limits gives the limits of each role.
func (c limitsConfig) limits() access.RoleLimits {
	all := access.RoleLimits{}
	for role, set := range map[access.Role]roleLimits{access.Reader: c.Reader, access.Writer: c.Writer, access.Admin: c.Admin} {
		d := access.DefaultLimits[role]
		all[role] = access.Limits{
			Commands: cmp.Or(int(set.Commands), d.Commands), Streams: cmp.Or(int(set.Streams), d.Streams), Memory: cmp.Or(set.Memory.bytes(), d.Memory),
		}
	}
	return all
}
