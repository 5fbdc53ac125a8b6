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
		Description: `Names are as git has them: feature/login. Examples:

   zenith branch                                 the tree
   zenith branch dev main                        dev begins at main's head
   zenith branch before main@0/16B3748           at an LSN
   zenith branch evening 'main@yesterday 18:00'
   zenith branch rescue main@-15m
   zenith branch delete dev`,
		Flags: []cli.Flag{tenantFlag(), outputFlag()},
		Action: func(c *cli.Context) error {
			if reservedVerbs[c.Args().First()] {
				return usagef("branch %[1]s: there is no such command; for a branch of that name: zenith branch create %[1]s POINT", c.Args().First())
			}
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
			Name: "list", Usage: "the tree of branches",
			Flags:  []cli.Flag{tenantFlag(), outputFlag()},
			Action: withArgs(0, 0, e.runBranchList),
		}, {
			Name: "create", ArgsUsage: "NAME POINT",
			Usage: "a new branch",
			Flags: []cli.Flag{tenantFlag()},
			Action: withArgs(2, 2, func(c *cli.Context) error {
				return e.runBranchCreate(c, c.Args().Get(0), c.Args().Get(1))
			}),
		}, {
			Name: "delete", Aliases: []string{"rm"}, ArgsUsage: "NAME",
			Usage: "remove a branch without children, mount or running postgres",
			Flags: []cli.Flag{tenantFlag()},
			Action: withArgs(1, 1, func(c *cli.Context) error {
				return e.runBranchDelete(c, c.Args().First())
			}),
		}},
	}
}

// reservedVerbs are words that a user who knows git, or another version of zenith, takes for
// commands. A slip makes no branch of that name.
var reservedVerbs = map[string]bool{
	"list": true, "ls": true, "create": true, "new": true, "delete": true, "rm": true, "remove": true, "undelete": true, "rename": true, "mv": true, "move": true,
	"reset": true, "restore": true, "promote": true, "protect": true, "expire": true, "durable": true, "checkout": true, "switch": true,
	"merge": true, "show": true, "help": true,
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
		point, err := e.point(ctx, s, point)
		if err != nil {
			return err
		}
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
