package pageserver

import (
	"context"
	"slices"

	"zenith/internal/access"
	"zenith/internal/api"
)

// tenantVerbs are about tenants.
var tenantVerbs = group{"Tenants", []aVerb{&tenantListVerb, &tenantCreateVerb}}

type tenantArgs struct {
	Tenant string `arg:"TENANT"`
}

type tenantCreateArgs struct {
	Tenant string `arg:"TENANT"`
	Major  uint32 `arg:"MAJOR,optional"`
}

type tenantListRow struct {
	IDs []string `json:"tenant_list"`
}

var tenantListVerb = one[noArgs, tenantListRow]{
	verb: verb{name: "tenant_list", role: access.Reader, each: true, help: "the ids of all tenants: a JSON array"},
	do: func(ctx context.Context, c *call, _ noArgs) (tenantListRow, error) {
		ids, err := c.svc.TenantList(ctx)
		ids = slices.DeleteFunc(ids, func(id string) bool { return !c.mayRead(id) })
		return tenantListRow{ids}, err
	},
}

// TenantList is api.Service's.
func (c *Client) TenantList(ctx context.Context) ([]string, error) {
	r, err := tenantListVerb.call(ctx, c, nil, noArgs{})
	return r.IDs, err
}

var tenantCreateVerb = plain[tenantCreateArgs]{
	verb: verb{name: "tenant_create", role: access.Admin, help: "makes a tenant; its `main` is fresh from initdb"},
	do: func(ctx context.Context, c *call, a tenantCreateArgs) error {
		_, err := c.svc.TenantCreate(ctx, a.Tenant, api.TenantOptions{Major: int(a.Major)}, c.notices())
		return err
	},
}

// TenantCreate is api.Service's. The id must be given: the answer has no row to tell a random one.
func (c *Client) TenantCreate(ctx context.Context, id string, o api.TenantOptions, p api.Progress) (api.TenantInfo, error) {
	if err := tenantCreateVerb.call(ctx, c, p, tenantCreateArgs{id, uint32(o.Major)}); err != nil {
		return api.TenantInfo{}, err
	}
	list, err := c.BranchList(ctx, id)
	if err != nil || len(list) == 0 {
		return api.TenantInfo{ID: id}, err
	}
	return api.TenantInfo{ID: id, TimelineID: list[0].TimelineID, LSN: list[0].LatestValidLSN, Major: list[0].Major}, nil
}
