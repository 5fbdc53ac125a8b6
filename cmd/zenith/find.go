package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"zenith/internal/api"
)

func cmdShow(e *environ) *cli.Command {
	return &cli.Command{
		Name: "show", ArgsUsage: "POINT | XID",
		Usage: "the last commit at a point, or a transaction of main by its id: all that it did",
		Description: `Examples:

   zenith show main              the last one
   zenith show main@-10m         the last one before that
   zenith show 728               the transaction of main with that id
   zenith show 728 --branch dev`,
		Flags: []cli.Flag{
			tenantFlag(), outputFlag(),
			&cli.StringFlag{Name: "branch", Aliases: []string{"b"}, Value: api.MainBranch, Usage: "the branch on which an XID is looked for, `NAME`"},
		},
		Action: withArgs(1, 1, func(c *cli.Context) error {
			what, o := c.Args().First(), api.LogOptions{Limit: 1}
			if strings.Trim(what, "0123456789") == "" {
				var err error
				if o.XID, err = xidOf(what); err != nil {
					return err
				}
				what = c.String("branch")
			}
			return e.find(c, what, o, showCommit, "no commit")
		}),
	}
}

func cmdFind(e *environ) *cli.Command {
	return &cli.Command{
		Name: "find", ArgsUsage: "BRANCH dropped|created|truncated|rewritten|altered TABLE | BRANCH big | BRANCH xid XID | BRANCH at TIME",
		Usage: "when something happened to a table, by which transaction, and how to get back what was before",
		Description: `TABLE may be SCHEMA.TABLE or DATABASE.SCHEMA.TABLE. All such events of the kept history are told, the newest first.

Examples:

   zenith find main dropped users
   zenith find main truncated app.public.orders
   zenith find main big --rows 10000       transactions that changed so many rows of a table
   zenith find main xid 728
   zenith find main at '2026-11-30 16:18'  the last commit before that`,
		Flags: []cli.Flag{
			tenantFlag(), outputFlag(),
			&cli.Int64Flag{Name: "rows", Value: 1000, Usage: "of big: `NUMBER` of rows of a table"},
			&cli.IntFlag{Name: "n", Usage: "at most `NUMBER`"},
		},
		Action: withArgs(2, 3, e.runFind),
	}
}

func (e *environ) runFind(c *cli.Context) error {
	branch, what, arg := c.Args().Get(0), c.Args().Get(1), c.Args().Get(2)
	o := api.LogOptions{Limit: c.Int("n")}
	if (arg == "") != (what == "big") {
		return usagef("want zenith find %s", c.Command.ArgsUsage)
	}
	switch what {
	case "big":
		o.Rows = c.Int64("rows")
	case "xid":
		var err error
		if o.XID, err = xidOf(arg); err != nil {
			return err
		}
	case "at":
		branch, o.Limit = branch+"@"+arg, 1
	case "created", "dropped", "truncated", "rewritten", "altered":
		table, err := api.ParseTableName(arg)
		if err != nil {
			return err
		}
		o.What, o.Table = what, arg
		return e.find(c, branch, o, func(s *commitShown) string { return s.event(what, table) }, fmt.Sprintf("%s: no table of the name %s was %s in the kept history", branch, arg, what))
	default:
		return usagef("find %q: want dropped, created, truncated, rewritten, altered, big, xid or at", what)
	}
	return e.find(c, branch, o, showCommit, fmt.Sprintf("%s: no such commit in the kept history", branch))
}

// find prints the commits that o wants; it is an error, nothing, if there are none.
func (e *environ) find(c *cli.Context, written string, o api.LogOptions, show func(*commitShown) string, nothing string) error {
	asJSON, err := jsonWanted(c)
	if err != nil {
		return err
	}
	return e.withTenant(c, func(ctx context.Context, s *session) error {
		point, err := e.point(ctx, s, written)
		if err != nil {
			return err
		}
		branch, _, _ := api.SplitPoint(point)
		found := false
		err = s.Log(ctx, s.tenant, point, o, func(x api.Commit) error {
			found = true
			if asJSON {
				return writeJSONLine(e.out, x)
			}
			for line := range strings.Lines(show(&commitShown{x, branch})) {
				if _, err := fmt.Fprintln(e.out, printableLine(strings.TrimSuffix(line, "\n"))); err != nil {
					return err
				}
			}
			return nil
		})
		if err == nil && !found {
			err = api.Errorf(api.ErrNotFound, "%s", nothing)
		}
		return err
	})
}

// commitShown is a commit of a branch that is shown with all that it did.
type commitShown struct {
	api.Commit
	branch string
}

// by says which transaction it is.
func (s *commitShown) by() string {
	return fmt.Sprintf("xid %d, committed %s UTC", s.XID, logTime(s.Time))
}

// event says what became of a table, and how to get back what was before.
func (s *commitShown) event(what string, table api.TableName) string {
	var b strings.Builder
	for _, d := range s.Databases {
		if d.What == what && table.IsDatabase(d.Database) {
			fmt.Fprintf(&b, "database %s was %s by %s\n", d.Database, what, s.by())
		}
	}
	for _, t := range s.Tables {
		if t.What != what || !table.IsTable(t.Database, t.Schema, t.Table) {
			continue
		}
		fmt.Fprintf(&b, "%s.%s.%s was %s by %s\n", t.Database, t.Schema, t.Table, what, s.by())
		if what != "created" {
			fmt.Fprintf(&b, "    last state with it:  %s@%v\n", s.branch, s.Before)
			fmt.Fprintf(&b, "    bring it back:       zenith pg exec %s@%v -- pg_dump -d %s -t %s\n", s.branch, s.Before, t.Database, tableName(t))
		} else {
			fmt.Fprintf(&b, "    first state with it: %s@%v\n", s.branch, s.LSN)
		}
	}
	return b.String()
}

// showCommit shows all that a commit did.
func showCommit(s *commitShown) string {
	var b strings.Builder
	end := "committed"
	if s.Aborted {
		end = "aborted"
	}
	fmt.Fprintf(&b, "%s@%v  xid %d  %s %s UTC  %s of WAL\n", s.branch, s.LSN, s.XID, end, logTime(s.Time), logBytes(s.WALBytes))
	if len(s.SubXIDs) > 0 {
		fmt.Fprintf(&b, "    subtransactions: %s\n", strings.Trim(fmt.Sprint(s.SubXIDs), "[]"))
	}
	if s.Prepared {
		b.WriteString("    it was prepared before (two-phase commit)\n")
	}
	for _, part := range strings.Split(logLine(s.Commit, 0), "; ") {
		fmt.Fprintf(&b, "    %s\n", part)
	}
	fmt.Fprintf(&b, "    before it: %s@%v\n", s.branch, s.Before)
	return b.String()
}
