package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"zenith/internal/api"
	"zenith/internal/pg"
)

// upgradeFlags makes the flags of a new branch that is to be of a newer major version of PostgreSQL.
func upgradeFlags() []cli.Flag {
	return []cli.Flag{
		&cli.IntFlag{Name: "upgrade", Usage: "of PostgreSQL's major version `N`, by stock pg_upgrade on a copy of the point; its output is shown"},
		&cli.BoolFlag{Name: "check", Usage: "with --upgrade: only find out whether pg_upgrade could, and make no branch"},
	}
}

// upgradeWanted gives the major version that --upgrade asks for; 0: the flag is not given.
func upgradeWanted(c *cli.Context) (int, error) {
	switch {
	case !c.IsSet("upgrade") && c.Bool("check"):
		return 0, usagef("--check goes with --upgrade")
	case !c.IsSet("upgrade"):
		return 0, nil
	}
	v, err := pg.ByMajor(c.Int("upgrade"))
	if err != nil {
		return 0, usagef("--upgrade %d: want one of %s", c.Int("upgrade"), supported())
	}
	return v.Major, nil
}

func (e *environ) runBranchUpgrade(c *cli.Context, name, point string, major int) error {
	return e.withTenant(c, func(ctx context.Context, s *session) error {
		point, err := e.point(ctx, s, point)
		if err != nil {
			return err
		}
		tell, end := e.newProgress()
		defer end()
		o := api.UpgradeOptions{Major: major, CheckOnly: c.Bool("check"), Progress: tell, Output: func(line string) error {
			_, err := fmt.Fprintln(e.out, line)
			return err
		}}
		b, err := s.BranchUpgrade(ctx, s.tenant, name, point, o)
		if err != nil || o.CheckOnly {
			return err
		}
		fmt.Fprintf(e.out, "Created branch '%s' of PostgreSQL %d at %s for tenant: %s\n", b.Name, b.Major, b.LatestValidLSN, s.tenant)
		return nil
	})
}
