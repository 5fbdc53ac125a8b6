package pageserver

import "context"

// receiverCommands are about WAL receivers.
var receiverCommands = []command{
	{name: "callmemaybe", usage: "TENANT BRANCH CONNINFO", min: 3, max: 3, run: runReceiveStart},
	{name: "receive_stop", usage: "TENANT BRANCH", min: 2, max: 2, run: runReceiveStop},
	{name: "receive_list", usage: "TENANT", min: 1, max: 1, cols: []column{
		{"branch", typeText}, {"conninfo", typeText}, {"status", typeText}, {"received", typeText},
		{"flushed", typeText}, {"applied", typeText}, {"lag_bytes", typeInt8}, {"last_error", typeText},
	}, run: runReceiveList},
}

func runReceiveStart(ctx context.Context, c *call) error {
	return c.svc().ReceiveStart(ctx, c.args[0], c.args[1], c.args[2])
}

func runReceiveStop(ctx context.Context, c *call) error {
	return c.svc().ReceiveStop(ctx, c.args[0], c.args[1])
}

func runReceiveList(ctx context.Context, c *call) error {
	list, err := c.svc().ReceiveList(ctx, c.args[0])
	if err != nil {
		return err
	}
	for _, r := range list {
		if err := c.reply.row(r.Branch, r.ConnInfo, r.Status, r.Received.String(),
			r.Flushed.String(), r.Applied.String(), r.LagBytes, r.LastError); err != nil {
			return err
		}
	}
	return nil
}
