package pageserver

import (
	"context"

	"zenith/internal/api"
)

// branchCommands are about branches and points.
var branchCommands = []command{
	{name: "branch_list", usage: "TENANT", min: 1, max: 1, cols: textColumns("branch_list"), run: runBranchList},
	{name: "branch_create", usage: "TENANT NAME POINT", min: 3, max: 3, cols: textColumns("branch_create"), run: runBranchCreate},
	{name: "branch_delete", usage: "TENANT NAME", min: 2, max: 2, run: runBranchDelete},
	{name: "lsn", usage: "TENANT POINT", min: 2, max: 2, cols: textColumns("lsn"), run: runLSN},
}

func runBranchList(ctx context.Context, c *call) error {
	list, err := c.svc().BranchList(ctx, c.args[0])
	if err != nil {
		return err
	}
	if list == nil {
		list = []api.Branch{} // JSON: [], not null
	}
	return c.rowJSON(list)
}

func runBranchCreate(ctx context.Context, c *call) error {
	b, err := c.svc().BranchCreate(ctx, c.args[0], c.args[1], c.args[2])
	if err != nil {
		return err
	}
	return c.rowJSON(b)
}

func runBranchDelete(ctx context.Context, c *call) error {
	return c.svc().BranchDelete(ctx, c.args[0], c.args[1])
}

func runLSN(ctx context.Context, c *call) error {
	lsn, err := c.svc().LSN(ctx, c.args[0], c.args[1])
	if err != nil {
		return err
	}
	return c.reply.row(lsn.String())
}
