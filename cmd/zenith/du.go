package main

import (
	"context"

	"github.com/urfave/cli/v2"

	"zenith/internal/api"
)

func cmdDu(e *environ) *cli.Command {
	return &cli.Command{
		Name:  "du",
		Usage: "the room that each branch takes on disk",
		Description: `PAGES and WAL are the branch's own, about: what it has in common with its ancestors is theirs. BACK is what its
deletion gives back, once it is forgotten (a day later); a branch with branches or tags of its own gives nothing back.
SINCE is from when on all states of the branch can be had. Deleted branches that are kept come last.

   zenith du
   zenith du -o json | jq 'map(.wal_bytes) | add'`,
		Flags: []cli.Flag{tenantFlag(), outputFlag()},
		Action: withArgs(0, 0, func(c *cli.Context) error {
			return show(e, c, func(ctx context.Context, s *session) ([]api.Usage, error) { return s.DiskUsage(ctx, s.tenant) }, usageColumns)
		}),
	}
}

var usageColumns = []column[api.Usage]{
	{name: "branch", text: func(u api.Usage) string {
		if u.Deleted {
			return u.Branch + " (deleted)"
		}
		return u.Branch
	}},
	{name: "pages", text: func(u api.Usage) string { return sizeText(u.PageBytes) }},
	{name: "wal", text: func(u api.Usage) string { return sizeText(u.WALBytes) }},
	{name: "back", text: func(u api.Usage) string { return sizeText(u.GivesBack) }},
	{name: "since", text: func(u api.Usage) string { return timeText(u.FirstTime) }},
}
