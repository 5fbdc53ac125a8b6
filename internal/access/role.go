package access

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
)

// Role is how much a client may do. Each role may do what the lower ones may.
type Role uint8

// The roles. None is that of a client that may do nothing, Guest that of any client that was let in.
const (
	None Role = iota
	Guest
	Reader
	Writer
	Admin
	Owner
)

var roleNames = []string{None: "none", Guest: "guest", Reader: "reader", Writer: "writer", Admin: "admin", Owner: "owner"}

// String gives the role's name.
func (r Role) String() string { return roleNames[r] }

// MarshalText implements encoding.TextMarshaler.
func (r Role) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. The roles none, guest and owner cannot be given to anybody.
func (r *Role) UnmarshalText(text []byte) error {
	i := slices.Index(roleNames, string(text))
	if i < int(Reader) || i > int(Admin) {
		return fmt.Errorf("role %q: want reader, writer or admin", text)
	}
	*r = Role(i)
	return nil
}

// Grant is a role for some tenants, or for all.
type Grant struct {
	Role    Role
	Tenants Tenants
}

// On gives the role for a tenant; "" stands for what is about all tenants, or about none.
func (g Grant) On(tenant string) Role {
	if !g.Tenants.Has(tenant) {
		return None
	}
	return g.Role
}

// String gives the grant's text form: ROLE, or ROLE TENANT,TENANT...
func (g Grant) String() string { return strings.TrimSpace(g.Role.String() + " " + string(g.Tenants)) }

// MarshalText implements encoding.TextMarshaler.
func (g Grant) MarshalText() ([]byte, error) { return []byte(g.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (g *Grant) UnmarshalText(text []byte) error {
	role, tenants, scoped := strings.Cut(string(text), " ")
	if scoped && strings.TrimSpace(tenants) == "" {
		return fmt.Errorf("%q: want ROLE, or ROLE and the ids of tenants with commas between them", text)
	}
	if err := g.Role.UnmarshalText([]byte(role)); err != nil {
		return err
	}
	return g.Tenants.UnmarshalText([]byte(tenants))
}

// LevelAudit is the level of the log's lines about who did what: above all others, so that no setting of the log
// leaves them out.
const LevelAudit = slog.LevelError + 4
