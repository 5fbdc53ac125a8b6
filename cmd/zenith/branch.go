package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"zenith/internal/api"
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
   zenith branch pr-4521 main --expire 2h --owner ci --note "PR 4521"
   zenith branch -v                              with ages, sizes, owners
   zenith branch trial main --upgrade 18         of PostgreSQL 18, by pg_upgrade on a copy; main stays as it is
   zenith branch trial main --upgrade 18 --check only find out whether pg_upgrade could
   zenith branch delete dev
   zenith branch undelete dev`,
		Flags: append([]cli.Flag{outputFlag(), detailsFlag()}, createFlags()...),
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
		Subcommands: append([]*cli.Command{{
			Name: "list", Usage: "the tree of branches",
			Flags: []cli.Flag{tenantFlag(), outputFlag(), detailsFlag(), &cli.BoolFlag{Name: "deleted", Usage: "those that were deleted and can be brought back"}},
			Action: withArgs(0, 0, func(c *cli.Context) error {
				if c.Bool("deleted") {
					return list(e, c, e.withTenant, func(ctx context.Context, s *session) ([]api.DeletedBranch, error) {
						return s.BranchDeleted(ctx, s.tenant)
					}, deletedColumns)
				}
				return e.runBranchList(c)
			}),
		}, {
			Name: "undelete", ArgsUsage: "NAME [NEW_NAME]",
			Usage: "bring back the branch that was deleted last under a name",
			Flags: []cli.Flag{tenantFlag()},
			Action: withArgs(1, 2, func(c *cli.Context) error {
				return e.runBranchUndelete(c, c.Args().Get(0), c.Args().Get(1))
			}),
		}, {
			Name: "create", ArgsUsage: "NAME POINT",
			Usage:       "a new branch",
			Description: `   zenith branch create pr-4521 main --expire 2h`,
			Flags:       createFlags(),
			Action: withArgs(2, 2, func(c *cli.Context) error {
				return e.runBranchCreate(c, c.Args().Get(0), c.Args().Get(1))
			}),
		}, {
			Name: "delete", Aliases: []string{"rm"}, ArgsUsage: "NAME",
			Usage: "remove a branch without children, mount or running postgres; branch undelete brings it back for a day",
			Flags: []cli.Flag{tenantFlag(), &cli.BoolFlag{Name: "force", Aliases: []string{"f"}, Usage: "also main, the last branch, and one with history of its own"}},
			Action: withArgs(1, 1, func(c *cli.Context) error {
				return e.runBranchDelete(c, c.Args().First())
			}),
		}}, e.lifeCommands()...),
	}
}

func detailsFlag() cli.Flag {
	return &cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "ages, sizes, owners, and what runs"}
}

// reservedVerbs are words that a user who knows git, or another version of zenith, takes for
// commands. A slip makes no branch of that name.
var reservedVerbs = map[string]bool{
	"ls": true, "remove": true, "move": true, "durable": true, "checkout": true, "switch": true, "merge": true, "show": true, "help": true,
}

func (e *environ) runBranchList(c *cli.Context) error {
	if c.Bool("verbose") {
		return e.runBranchDetails(c)
	}
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
	major, err := upgradeWanted(c)
	if err != nil {
		return err
	}
	if major != 0 {
		return e.runBranchUpgrade(c, name, point, major)
	}
	o, err := branchOptions(c)
	if err != nil {
		return err
	}
	return e.withTenant(c, func(ctx context.Context, s *session) error {
		point, err := e.point(ctx, s, point)
		if err != nil {
			return err
		}
		b, err := s.BranchCreate(ctx, s.tenant, name, point, o)
		if err != nil {
			return err
		}
		fmt.Fprintf(e.out, "Created branch '%s' at %s for tenant: %s\n", b.Name, b.AncestorLSN, s.tenant)
		if b.Expires != nil {
			e.sayExpiry(b)
		}
		return nil
	})
}

func (e *environ) runBranchDelete(c *cli.Context, name string) error {
	return e.withTenant(c, func(ctx context.Context, s *session) error {
		if err := s.BranchDelete(ctx, s.tenant, name, c.Bool("force")); err != nil {
			return err
		}
		fmt.Fprintf(e.out, "Deleted branch '%s'\n", name)
		return nil
	})
}

// deletedColumns are those of branch list --deleted.
var deletedColumns = []column[api.DeletedBranch]{
	{name: "name", text: func(d api.DeletedBranch) string { return d.Name }},
	{name: "deleted_at", text: func(d api.DeletedBranch) string { return d.DeletedAt.Local().Format(time.RFC3339) }},
	{name: "kept_until", text: func(d api.DeletedBranch) string { return d.KeptUntil.Local().Format(time.RFC3339) }},
	{name: "timeline_id", text: func(d api.DeletedBranch) string { return d.TimelineID }},
}

func (e *environ) runBranchUndelete(c *cli.Context, name, as string) error {
	return e.withTenant(c, func(ctx context.Context, s *session) error {
		b, err := s.BranchUndelete(ctx, s.tenant, name, as)
		if err != nil {
			return err
		}
		fmt.Fprintf(e.out, "Restored branch '%s' at %s for tenant: %s\n", b.Name, b.LatestValidLSN, s.tenant)
		return nil
	})
}
