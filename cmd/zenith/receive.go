package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/urfave/cli/v2"
)

func cmdReceive(e *environ) *cli.Command {
	return &cli.Command{
		Name:  "receive",
		Usage: "stream WAL from running servers into branches",
		Description: `CONNINFO is a connection string of libpq, in either form, of a role that may replicate.
application_name (zenith) is what synchronous_standby_names knows the receiver by.
primary_slot_name=NAME uses a physical replication slot, made if it is not there: the server
then keeps the WAL that we lack. receive stop leaves the slot to you.

   zenith receive start main "host=db7 user=repl primary_slot_name=zenith"`,
		Action: func(c *cli.Context) error {
			return usagef("want zenith receive start, stop or list")
		},
		Subcommands: []*cli.Command{
			{
				Name: "start", ArgsUsage: "NAME CONNINFO", Usage: "stream from the server into the branch",
				Flags: []cli.Flag{tenantFlag()},
				Action: func(c *cli.Context) error {
					if err := wantArgs(c, 2, 2); err != nil {
						return err
					}
					return e.withTenant(c, func(ctx context.Context, s *session) error {
						return s.ReceiveStart(ctx, s.tenant, c.Args().Get(0), c.Args().Get(1))
					})
				},
			},
			{
				Name: "stop", ArgsUsage: "NAME", Usage: "end a branch's receiver",
				Flags: []cli.Flag{tenantFlag()},
				Action: func(c *cli.Context) error {
					if err := wantArgs(c, 1, 1); err != nil {
						return err
					}
					return e.withTenant(c, func(ctx context.Context, s *session) error {
						return s.ReceiveStop(ctx, s.tenant, c.Args().First())
					})
				},
			},
			{
				Name: "list", Usage: "receivers and how far they are",
				Flags:  []cli.Flag{tenantFlag(), outputFlag()},
				Action: e.runReceiveList,
			},
		},
	}
}

func (e *environ) runReceiveList(c *cli.Context) error {
	if err := wantArgs(c, 0, 0); err != nil {
		return err
	}
	asJSON, err := jsonWanted(c)
	if err != nil {
		return err
	}
	return e.withTenant(c, func(ctx context.Context, s *session) error {
		receivers, err := s.ReceiveList(ctx, s.tenant)
		if err != nil {
			return err
		}
		l := list{fields: []field{
			{"branch", false}, {"status", false}, {"received", false}, {"flushed", false}, {"applied", false}, {"lag", false}, {"error", false}, {"conninfo", true},
		}}
		for _, r := range receivers {
			l.rows = append(l.rows, []string{r.Branch, r.Status, r.Received.String(), r.Flushed.String(), r.Applied.String(),
				fmt.Sprintf("%s bytes", strconv.FormatInt(r.LagBytes, 10)), r.LastError, r.ConnInfo})
		}
		return l.write(e.out, asJSON)
	})
}
