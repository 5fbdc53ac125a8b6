package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"

	"zenith/internal/api"
)

func cmdGC(e *environ) *cli.Command {
	return &cli.Command{
		Name: "gc", ArgsUsage: "[NAME]",
		Usage: "forget history older than what is retained",
		Description: `Examples:

   zenith gc                          what the settings do not retain, of all branches
   zenith gc main --retain 7d --dry-run    what would go
   zenith gc --retain 10GB
   zenith gc --retain 1h --force      what is younger than a day goes only so`,
		Flags: []cli.Flag{
			tenantFlag(), outputFlag(),
			&cli.StringFlag{Name: "retain", Usage: "`DURATION|BYTES` of history, with a unit: 7d, 36h, 10GB (default: the settings)"},
			&cli.BoolFlag{Name: "dry-run", Aliases: []string{"n"}, Usage: "show what would be forgotten, forget nothing"},
			&cli.BoolFlag{Name: "force", Aliases: []string{"f"}, Usage: "forget what is younger than a day, too, and deleted branches that could still be brought back"},
		},
		Action: withArgs(0, 1, func(c *cli.Context) error {
			var r api.Retain
			if c.IsSet("retain") {
				var err error
				if r, err = api.ParseRetain(c.String("retain")); err != nil {
					return usagef("--%v", err)
				}
			}
			if c.Bool("dry-run") {
				return e.runGCPlan(c, r)
			}
			return e.runGC(c, r)
		}),
	}
}

// forgettableColumns are those of gc --dry-run.
var forgettableColumns = []column[api.Forgettable]{
	{name: "branch", text: func(f api.Forgettable) string { return f.Branch }},
	{name: "from", text: func(f api.Forgettable) string { return f.From.String() }},
	{name: "from_time", text: func(f api.Forgettable) string { return localTime(f.FromTime) }},
	{name: "to", text: func(f api.Forgettable) string { return f.To.String() }},
	{name: "to_time", text: func(f api.Forgettable) string { return localTime(f.ToTime) }},
	{name: "wal_bytes", text: func(f api.Forgettable) string { return strconv.FormatInt(f.WALBytes, 10) }},
	{name: "versions", text: func(f api.Forgettable) string { return strconv.FormatInt(f.Versions, 10) }},
}

// localTime shows a time in this machine's zone, "" if there is none.
func localTime(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.Local().Format(time.RFC3339)
}

func (e *environ) runGCPlan(c *cli.Context, r api.Retain) error {
	asJSON, err := jsonWanted(c)
	if err != nil {
		return err
	}
	return e.withTenant(c, func(ctx context.Context, s *session) error {
		plan, err := s.GCPlan(ctx, s.tenant, c.Args().First(), r)
		if err != nil {
			return err
		}
		if asJSON {
			return writeJSON(e.out, plan)
		}
		return writeList(e.out, false, plan, forgettableColumns)
	})
}

func (e *environ) runGC(c *cli.Context, r api.Retain) error {
	return e.withTenant(c, func(ctx context.Context, s *session) error {
		tell, end := e.newProgress()
		res, err := s.GC(ctx, s.tenant, c.Args().First(), api.GCOptions{Retain: r, Force: c.Bool("force"), Progress: tell})
		end()
		if err != nil {
			return err
		}
		fmt.Fprintf(e.out, "relations %d, truncated %d, deleted %d, dropped %d, in %v\n",
			res.Relations, res.Truncated, res.Deleted, res.Dropped, res.Elapsed.Round(time.Millisecond))
		return nil
	})
}
