package pageserver

import (
	"context"
	"slices"

	"zenith/internal/access"
	"zenith/internal/api"
)

// systemVerbs say who the page server is and how it does.
var systemVerbs = group{"The page server", []aVerb{&statusVerb, &identifySystemVerb}}

type noArgs struct{}

var statusVerb = list[noArgs, api.StatusRow]{
	verb: verb{name: "status", role: access.Reader, each: true, help: "who the page server is, what there is and what runs"},
	do: func(ctx context.Context, c *call, _ noArgs) ([]api.StatusRow, error) {
		rows, err := c.svc.Status(ctx)
		if !c.mayRead("") {
			rows = slices.DeleteFunc(rows, func(r api.StatusRow) bool { return !slices.Contains(statusOfAny, r.Name) })
		}
		return rows, err
	},
}

// statusOfAny are the rows of status that are not about tenants: a client of one tenant gets no others.
var statusOfAny = []string{"uptime", "uptime_seconds", "machine"}

// Status is api.Service's.
func (c *Client) Status(ctx context.Context) ([]api.StatusRow, error) {
	return statusVerb.call(ctx, c, noArgs{})
}

type identifyArgs struct {
	Tenant string `arg:"TENANT,optional"`
	Branch string `arg:"BRANCH,optional"`
}

var identifySystemVerb = one[identifyArgs, api.SystemID]{
	verb: verb{name: "identify_system", role: access.Reader, help: "a branch as `IDENTIFY_SYSTEM` describes it; without arguments the one that dbname (`TENANT/BRANCH`) names, or the default"},
	do: func(ctx context.Context, c *call, a identifyArgs) (api.SystemID, error) {
		if len(c.args) == 0 {
			a = identifyArgs{c.ownTenant(), c.branch}
		}
		return c.svc.IdentifySystem(ctx, a.Tenant, a.Branch)
	},
}

// IdentifySystem is api.Service's.
func (c *Client) IdentifySystem(ctx context.Context, tenant, branch string) (api.SystemID, error) {
	return identifySystemVerb.call(ctx, c, nil, identifyArgs{tenant, branch})
}
