package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"zenith/internal/api"
	"zenith/repo"
)

func cmdTenant(e *environ) *cli.Command {
	return &cli.Command{
		Name:  "tenant",
		Usage: "namespaces of branches",
		Action: func(c *cli.Context) error {
			return usagef("want zenith tenant list or zenith tenant create")
		},
		Subcommands: []*cli.Command{
			{
				Name: "list", Usage: "the ids, one a line",
				Flags:  []cli.Flag{outputFlag()},
				Action: withArgs(0, 0, e.runTenantList),
			},
			{
				Name: "create", ArgsUsage: "[HEX]", Usage: "a new tenant, its main branch fresh from initdb",
				Flags:  []cli.Flag{versionFlag()},
				Action: withArgs(0, 1, e.runTenantCreate),
			},
		},
	}
}

func (e *environ) runTenantList(c *cli.Context) error {
	asJSON, err := jsonWanted(c)
	if err != nil {
		return err
	}
	return e.withSession(c, func(ctx context.Context, s *session) error {
		ids, err := s.TenantList(ctx)
		if err != nil {
			return err
		}
		if asJSON {
			return writeJSON(e.out, ids)
		}
		for _, id := range ids {
			fmt.Fprintln(e.out, id)
		}
		return nil
	})
}

func (e *environ) runTenantCreate(c *cli.Context) error {
	id := c.Args().First()
	if id == "" {
		id = repo.RandomTenantID().String()
	}
	if !hex32.MatchString(id) {
		return usagef("tenant %q: want 32 lower-case hex digits", id)
	}
	major, err := versionWanted(c)
	if err != nil {
		return err
	}
	return e.withSession(c, func(ctx context.Context, s *session) error {
		fmt.Fprintf(e.out, "using tenant id %s\n", id)
		tell, end := e.newProgress()
		_, err := s.TenantCreate(ctx, id, api.TenantOptions{Major: major}, tell)
		end()
		if err != nil {
			return err
		}
		fmt.Fprintln(e.out, "tenant successfully created on the pageserver")
		return nil
	})
}
