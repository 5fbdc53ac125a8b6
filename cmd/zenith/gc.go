package main

import (
	"context"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"zenith/internal/api"
)

func cmdGC(e *environ) *cli.Command {
	return &cli.Command{
		Name: "gc", ArgsUsage: "[NAME]",
		Usage: "forget history older than what is retained",
		Flags: []cli.Flag{
			tenantFlag(),
			&cli.StringFlag{Name: "retain", Usage: "`DURATION|BYTES` of history: 7d, 36h, 10GB (default: the settings)"},
		},
		Action: withArgs(0, 1, func(c *cli.Context) error {
			var r api.Retain
			if c.IsSet("retain") {
				var err error
				if r, err = api.ParseRetain(c.String("retain")); err != nil {
					return usagef("--%v", err)
				}
			}
			return e.runGC(c, r)
		}),
	}
}

func (e *environ) runGC(c *cli.Context, r api.Retain) error {
	return e.withTenant(c, func(ctx context.Context, s *session) error {
		tell, end := e.newProgress()
		res, err := s.GC(ctx, s.tenant, c.Args().First(), r, tell)
		end()
		if err != nil {
			return err
		}
		fmt.Fprintf(e.out, "relations %d, truncated %d, deleted %d, dropped %d, in %v\n",
			res.Relations, res.Truncated, res.Deleted, res.Dropped, res.Elapsed.Round(time.Millisecond))
		return nil
	})
}
