package main

import (
	"context"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"zenith/internal/api"
)

func cmdTag(e *environ) *cli.Command {
	return &cli.Command{
		Name: "tag", ArgsUsage: "[NAME [POINT]]",
		Usage: "the tags; with arguments, a new one: a name for a point, whose history is kept until the tag is removed",
		Description: `   zenith tag                        the tags
   zenith tag v42 main@-5m           a name for what main was five minutes ago
   zenith tag v42                    for main's head
   zenith branch fix v42             a tag is a point wherever one is wanted, also as main@v42
   zenith tag -d v42                 remove it`,
		Flags: []cli.Flag{tenantFlag(), outputFlag(), &cli.BoolFlag{Name: "delete", Aliases: []string{"d"}, Usage: "remove the tag"}},
		Action: withArgs(0, 2, func(c *cli.Context) error {
			name, point := c.Args().Get(0), c.Args().Get(1)
			switch {
			case c.Bool("delete") && c.NArg() != 1:
				return usagef("want zenith tag -d NAME")
			case c.Bool("delete"):
				return e.withTenant(c, func(ctx context.Context, s *session) error {
					err := s.TagDelete(ctx, s.tenant, name)
					if err == nil {
						fmt.Fprintf(e.out, "Deleted tag '%s'\n", name)
					}
					return err
				})
			case name == "":
				return show(e, c, func(ctx context.Context, s *session) ([]api.Tag, error) { return s.TagList(ctx, s.tenant) }, tagColumns)
			case point == "":
				point = api.MainBranch
			}
			return e.runTagCreate(c, name, point)
		}),
	}
}

func (e *environ) runTagCreate(c *cli.Context, name, point string) error {
	asJSON, err := jsonWanted(c)
	if err != nil {
		return err
	}
	return e.withTenant(c, func(ctx context.Context, s *session) error {
		point, err := e.point(ctx, s, point)
		if err != nil {
			return err
		}
		t, err := s.TagCreate(ctx, s.tenant, name, point)
		if err != nil {
			return err
		}
		if asJSON {
			return writeJSON(e.out, t)
		}
		fmt.Fprintf(e.out, "tagged %s@%v as %s; kept until the tag goes\n", t.Branch, t.LSN, t.Name)
		return nil
	})
}

var tagColumns = []column[api.Tag]{
	{name: "name", text: func(t api.Tag) string { return t.Name }},
	{name: "point", text: func(t api.Tag) string { return t.Branch + "@" + t.LSN.String() }},
	{name: "time", text: func(t api.Tag) string { return timeText(t.Time) }},
}

// timeText gives a time in this machine's zone; "" for nil.
func timeText(at *time.Time) string {
	if at == nil {
		return ""
	}
	return at.Local().Format(time.RFC3339)
}
