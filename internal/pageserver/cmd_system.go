package pageserver

import (
	"context"
	"strconv"
)

// systemCommands say who the server is and how it does.
var systemCommands = []command{
	{name: "status", cols: textColumns("name", "value"), run: runStatus},
	{name: "identify_system", usage: "[TENANT [BRANCH]]", max: 2, cols: identifyColumns, run: runIdentify},
}

var identifyColumns = []column{{"systemid", typeText}, {"timeline", typeInt4}, {"xlogpos", typeText}, {"dbname", typeText}}

func runStatus(ctx context.Context, c *call) error {
	rows, err := c.svc().Status(ctx)
	if err != nil {
		return err
	}
	for _, r := range rows {
		if err := c.reply.row(r.Name, r.Value); err != nil {
			return err
		}
	}
	return nil
}

// runIdentify answers for the branch that the connection's dbname or the arguments name.
func runIdentify(ctx context.Context, c *call) error {
	tenant, branch := c.tenant, c.branch
	if len(c.args) > 0 {
		tenant, branch = c.args[0], c.arg(1)
	}
	id, err := c.svc().IdentifySystem(ctx, tenant, branch)
	if err != nil {
		return err
	}
	var dbname any
	if id.Database != "" {
		dbname = id.Database
	}
	return c.reply.row(strconv.FormatUint(id.SysID, 10), int64(id.TLI), id.XLogPos.String(), dbname)
}
