package main

import (
	"context"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"zenith/internal/api"
)

func cmdReceive(e *environ) *cli.Command {
	return &cli.Command{
		Name:  "receive",
		Usage: "stream WAL from running servers into branches",
		Description: `CONNINFO is a connection string of libpq, in either form, of a role that may replicate.
application_name (zenith) is what synchronous_standby_names knows the receiver by.
primary_slot_name=NAME uses a physical replication slot, made if it is not there: the server
then keeps the WAL that we lack. receive stop leaves the slot to you.
What CONNINFO leaves out comes from this command's PG... environment, service file and ~/.pgpass.

   zenith receive start main "host=db7 user=repl primary_slot_name=zenith"`,
		Action: func(c *cli.Context) error {
			return usagef("want zenith receive start, set, stop or list")
		},
		Subcommands: []*cli.Command{
			{
				Name: "start", ArgsUsage: "NAME CONNINFO", Usage: "stream from the server into the branch",
				Flags: []cli.Flag{tenantFlag(), passwordFileFlag()},
				Action: withArgs(2, 2, func(c *cli.Context) error {
					return e.runFollow(c, api.ReceiverService.ReceiveStart)
				}),
			},
			{
				Name: "set", ArgsUsage: "NAME CONNINFO", Usage: "go on at another address: the server has moved, or another took its place",
				Flags: []cli.Flag{tenantFlag(), passwordFileFlag()},
				Action: withArgs(2, 2, func(c *cli.Context) error {
					return e.runFollow(c, api.ReceiverService.ReceiveSet)
				}),
			},
			{
				Name: "stop", ArgsUsage: "NAME", Usage: "end a branch's receiver",
				Flags: []cli.Flag{tenantFlag()},
				Action: withArgs(1, 1, func(c *cli.Context) error {
					return e.withTenant(c, func(ctx context.Context, s *session) error {
						return s.ReceiveStop(ctx, s.tenant, c.Args().First())
					})
				}),
			},
			{
				Name: "list", Usage: "receivers and how far they are",
				Flags:  []cli.Flag{tenantFlag(), outputFlag()},
				Action: withArgs(0, 0, e.runReceiveList),
			},
		},
	}
}

type followCall func(s api.ReceiverService, ctx context.Context, tenant, branch, conninfo string) error

// runFollow has a branch's receiver follow the server at CONNINFO.
func (e *environ) runFollow(c *cli.Context, do followCall) error {
	conninfo, err := e.fullConninfo(c.Args().Get(1), c.String("password-file"), e.local())
	if err != nil {
		return err
	}
	return e.withTenant(c, func(ctx context.Context, s *session) error {
		return do(s.client, ctx, s.tenant, c.Args().Get(0), conninfo)
	})
}

var receiverColumns = []column[api.Receiver]{
	{name: "branch", text: func(r api.Receiver) string { return r.Branch }},
	{name: "status", text: func(r api.Receiver) string { return r.Status }},
	{name: "received", text: func(r api.Receiver) string { return r.Received.String() }},
	{name: "flushed", text: func(r api.Receiver) string { return r.Flushed.String() }},
	{name: "applied", text: func(r api.Receiver) string { return r.Applied.String() }},
	{name: "lag", text: lagText},
	{name: "lag_bytes", number: func(r api.Receiver) *int64 { return r.LagBytes }},
	{name: "lag_seconds", number: func(r api.Receiver) *int64 { return r.LagSeconds }},
	{name: "since", text: func(r api.Receiver) string {
		if r.Since == nil {
			return ""
		}
		return r.Since.Local().Format(time.DateTime)
	}},
	{name: "error", text: func(r api.Receiver) string { return r.LastError }},
	{name: "conninfo", text: func(r api.Receiver) string { return r.ConnInfo }, hidden: true},
}

// lagText says how far a receiver is behind its server, as far as that is known.
func lagText(r api.Receiver) string {
	if r.LagBytes == nil || r.LagSeconds == nil {
		return "unknown"
	}
	return fmt.Sprintf("%d bytes, %d s", *r.LagBytes, *r.LagSeconds)
}

func (e *environ) runReceiveList(c *cli.Context) error {
	return list(e, c, e.withTenant, func(ctx context.Context, s *session) ([]api.Receiver, error) {
		return s.ReceiveList(ctx, s.tenant)
	}, receiverColumns)
}
