package access

import (
	"fmt"
	"slices"
	"strings"
)

// Tenants are the tenants that a grant is for: some, or all there are and will be. Its values can be compared: it is
// the ids in their order, separated by commas; "" is all.
type Tenants string

// AllTenants is the text for all tenants.
const AllTenants = "all"

// maxTenants is how many tenants a grant may name.
const maxTenants = 1000

// ParseTenants reads ids that are separated by commas or blanks; "all", or nothing, is all tenants.
func ParseTenants(text string) (Tenants, error) {
	ids := strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
	if len(ids) == 0 && text == "" || len(ids) == 1 && ids[0] == AllTenants {
		return "", nil
	}
	for _, id := range ids {
		if !isTenantID(id) {
			return "", fmt.Errorf("tenant %q: want 32 lower-case hex digits, or %s alone", id, AllTenants)
		}
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	if len(ids) == 0 || len(ids) > maxTenants {
		return "", fmt.Errorf("%d tenants: want 1 to %d, or %s", len(ids), maxTenants, AllTenants)
	}
	return Tenants(strings.Join(ids, ",")), nil
}

// isTenantID reports whether s has the form of a tenant's id.
func isTenantID(s string) bool {
	return len(s) == 32 && strings.Trim(s, "0123456789abcdef") == ""
}

// IDs lists the tenants; nil: all.
func (t Tenants) IDs() []string {
	if t == "" {
		return nil
	}
	return strings.Split(string(t), ",")
}

// Names lists the tenants as a user reads them: their ids, or "all" alone.
func (t Tenants) Names() []string {
	if t == "" {
		return []string{AllTenants}
	}
	return t.IDs()
}

// Has reports whether a tenant is among them; "" stands for all of them.
func (t Tenants) Has(id string) bool {
	return t == "" || id != "" && slices.Contains(t.IDs(), id)
}

// Covers reports whether all of others are among them.
func (t Tenants) Covers(others Tenants) bool {
	if others == "" {
		return t == ""
	}
	return !slices.ContainsFunc(others.IDs(), func(id string) bool { return !t.Has(id) })
}

// Only gives the id of the one tenant that there is among them; "": there are others.
func (t Tenants) Only() string {
	if strings.Contains(string(t), ",") {
		return ""
	}
	return string(t)
}

// MarshalText implements encoding.TextMarshaler.
func (t Tenants) MarshalText() ([]byte, error) {
	if t == "" {
		return []byte(AllTenants), nil
	}
	return []byte(t), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (t *Tenants) UnmarshalText(text []byte) (err error) {
	*t, err = ParseTenants(string(text))
	return err
}
