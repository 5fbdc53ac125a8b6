package integration

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// TestGrants: users and tokens for several tenants, as the command line makes and lists them.
func TestGrants(t *testing.T) {
	t.Parallel()
	s := tlsSite(t, "--tenantid", tenantA)
	s.ok("tenant", "create", tenantB)
	two := s.overTLS("token", s.ok("token", "create", "--role", "reader", "--tenant", tenantB, "--tenant", tenantA, "--note", "two"))
	s.ok("token", "create", "--role", "admin", "--tenant", "all")
	ann := s.overTLS("ann", s.ok("user", "create", "ann", "--role", "writer", "--tenant", tenantA+","+tenantB))
	s.ok("user", "create", "bob", "--role", "reader")
	s.fails(13, "token", "create", "--role", "reader", "--tenant", tenantA, "--tenant", strings.Repeat("9", 32))
	for _, bad := range []string{"", "x", "all," + tenantA} {
		s.fails(2, "token", "create", "--role", "reader", "--tenant", bad)
	}

	s.want(two, "tenant_list", `["`+tenantA+`","`+tenantB+`"]`)
	s.want(ann, "tenant_list", `["`+tenantA+`","`+tenantB+`"]`)
	s.denied("no such tenant", clientCommand("psql", two, "-Xc", "branch_list "+strings.Repeat("9", 32)))
	s.denied("permission denied", clientCommand("psql", two, "-Xc", "branch_create "+tenantB+" x main"))
	if r := s.runCmd(clientCommand("psql", ann, "-Xc", "branch_create "+tenantB+" x main")); r.code != 0 {
		t.Errorf("a writer of two tenants: %s", r.err)
	}

	type row struct {
		Role, Name, Note string
		Tenants          []string
	}
	listed := func(what string) (rows []row) {
		if err := json.Unmarshal([]byte(s.ok(what, "list", "-o", "json")), &rows); err != nil {
			t.Fatal(err)
		}
		return rows
	}
	want := map[string][]string{"two": {tenantA, tenantB}, "": {"all"}, "ann": {tenantA, tenantB}, "bob": {"all"}}
	for _, r := range append(listed("token"), listed("user")...) {
		if !slices.Equal(r.Tenants, want[r.Name+r.Note]) {
			t.Errorf("%+v, want the tenants %v", r, want[r.Name+r.Note])
		}
	}
	if out := s.ok("token", "list"); !strings.Contains(out, tenantA+","+tenantB) {
		t.Errorf("token list:\n%s", out)
	}
}
