package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"
)

func cmdBranch(e *environ) *cli.Command {
	return &cli.Command{
		Name: "branch", ArgsUsage: "[NAME POINT]",
		Usage: "the tree of branches; with arguments, a new branch",
		Description: `Examples:

   zenith branch                                 the tree
   zenith branch dev main                        dev begins at main's head
   zenith branch before main@0/16B3748           at an LSN
   zenith branch yesterday main@2026-11-21T18:00:00Z
   zenith branch rescue main@-15m
   zenith branch delete dev`,
		Flags: []cli.Flag{tenantFlag(), outputFlag()},
		Action: func(c *cli.Context) error {
			switch c.NArg() {
			case 0:
				return e.runBranchList(c)
			case 2:
				return e.runBranchCreate(c, c.Args().Get(0), c.Args().Get(1))
			case 1:
				return usagef("branch %s: at which point? zenith branch NAME POINT", c.Args().First())
			}
			return wantArgs(c, 0, 2)
		},
		Subcommands: []*cli.Command{{
			Name: "delete", ArgsUsage: "NAME",
			Usage: "remove a branch without children, mount or running postgres",
			Flags: []cli.Flag{tenantFlag()},
			Action: withArgs(1, 1, func(c *cli.Context) error {
				return e.runBranchDelete(c, c.Args().First())
			}),
		}},
	}
}

func (e *environ) runBranchList(c *cli.Context) error {
	asJSON, err := jsonWanted(c)
	if err != nil {
		return err
	}
	return e.withTenant(c, func(ctx context.Context, s *session) error {
		branches, err := s.BranchList(ctx, s.tenant)
		if err != nil {
			return err
		}
		if asJSON {
			return writeJSON(e.out, branches)
		}
		w := bufio.NewWriter(e.out) // one write for all lines: there may be thousands of branches
		return errors.Join(drawTree(w, branches), w.Flush())
	})
}

func (e *environ) runBranchCreate(c *cli.Context, name, point string) error {
	return e.withTenant(c, func(ctx context.Context, s *session) error {
		b, err := s.BranchCreate(ctx, s.tenant, name, point)
		if err != nil {
			return err
		}
		fmt.Fprintf(e.out, "Created branch '%s' at %s for tenant: %s\n", b.Name, b.AncestorLSN, s.tenant)
		return nil
	})
}

func (e *environ) runBranchDelete(c *cli.Context, name string) error {
	return e.withTenant(c, func(ctx context.Context, s *session) error {
		if err := s.BranchDelete(ctx, s.tenant, name); err != nil {
			return err
		}
		fmt.Fprintf(e.out, "Deleted branch '%s'\n", name)
		return nil
	})
}
