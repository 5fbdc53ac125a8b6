package pageserver

import (
	"context"
	"encoding/json"
)

// tenantCommands are about tenants.
var tenantCommands = []command{
	{name: "tenant_list", cols: textColumns("tenant_list"), run: runTenantList},
	{name: "tenant_create", usage: "TENANT", min: 1, max: 1, run: runTenantCreate},
}

func runTenantList(ctx context.Context, c *call) error {
	ids, err := c.svc().TenantList(ctx)
	if err != nil {
		return err
	}
	if ids == nil {
		ids = []string{} // JSON: [], not null
	}
	return c.rowJSON(ids)
}

func runTenantCreate(ctx context.Context, c *call) error {
	_, err := c.svc().TenantCreate(ctx, c.args[0], c.notices())
	return err
}

// rowJSON sends a row of one text column.
func (c *call) rowJSON(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return c.reply.row(string(text))
}
