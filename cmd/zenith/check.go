package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"
)

func cmdCheck(e *environ) *cli.Command {
	return &cli.Command{
		Name: "check", ArgsUsage: "[NAME]",
		Usage:  "verify the store: every page of every head, checksums, WAL; exit 1 and a list if not",
		Flags:  []cli.Flag{tenantFlag(), &cli.BoolFlag{Name: "repair", Usage: "first mend a store that cannot be opened, if that can be done without loss"}},
		Action: withArgs(0, 1, e.runCheck),
	}
}

func (e *environ) runCheck(c *cli.Context) error {
	return e.withTenant(c, func(ctx context.Context, s *session) error {
		if c.Bool("repair") {
			done, err := s.Repair(ctx, s.tenant)
			if err != nil {
				return err
			}
			if done != "" {
				fmt.Fprintln(e.out, done)
			}
		}
		tell, end := e.newProgress()
		found := func(problem string) error {
			_, err := fmt.Fprintln(e.out, problem)
			return err
		}
		res, err := s.Check(ctx, s.tenant, c.Args().First(), found, tell)
		end()
		if err != nil {
			return err
		}
		if res.Unchecked != "" {
			fmt.Fprintln(e.out, "not checked: "+res.Unchecked)
		}
		fmt.Fprintf(e.out, "checked %d branches, %d pages, %d bytes of WAL: %d problems\n", res.Branches, res.Pages, res.WALBytes, res.Problems)
		if res.Problems > 0 {
			return fmt.Errorf("check: %d problems", res.Problems)
		}
		return nil
	})
}
