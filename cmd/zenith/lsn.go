package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"
)

func cmdLSN(e *environ) *cli.Command {
	return &cli.Command{
		Name: "lsn", ArgsUsage: "POINT",
		Usage: "the LSN that a point means",
		Description: `Examples:

   zenith lsn main          the head: holds every commit acknowledged before
   zenith lsn main@-1h      after the last commit an hour ago
   zenith lsn -1h           the same: main may be left out
   zenith lsn 'dev@2026-11-30 16:18:26.4+01'`,
		Flags: []cli.Flag{tenantFlag()},
		Action: withArgs(1, 1, func(c *cli.Context) error {
			return e.withTenant(c, func(ctx context.Context, s *session) error {
				point, err := e.point(ctx, s, c.Args().First())
				if err != nil {
					return err
				}
				lsn, err := s.LSN(ctx, s.tenant, point)
				if err != nil {
					return err
				}
				fmt.Fprintln(e.out, lsn)
				return nil
			})
		}),
	}
}
