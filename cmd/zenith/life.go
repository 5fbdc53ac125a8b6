package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"zenith/internal/api"
)

// createFlags are those of a new branch.
func createFlags() []cli.Flag {
	return append([]cli.Flag{
		tenantFlag(),
		&cli.StringFlag{Name: "expire", Usage: "delete it after a `TIME`: 2h, 7d, 2026-12-01T09:00Z"},
		&cli.StringFlag{Name: "owner", Usage: "`TEXT` that branch -v shows: whom to ask about it"},
		&cli.StringFlag{Name: "note", Usage: "`TEXT` that branch -v shows: what it is for"},
	}, upgradeFlags()...)
}

// branchOptions reads createFlags.
func branchOptions(c *cli.Context) (o api.BranchOptions, err error) {
	o.Owner, o.Note = c.String("owner"), c.String("note")
	if text := c.String("expire"); text != "" {
		o.Expires, err = expiryWanted(text)
	}
	return o, err
}

// expiryWanted reads when a branch is no longer needed; a time without a zone is this machine's.
func expiryWanted(text string) (api.Expiry, error) {
	x, err := api.ParseExpiry(text, time.Now())
	if err != nil {
		return x, usagef("%v", err)
	}
	return x, nil
}

func forceFlag() cli.Flag {
	return &cli.BoolFlag{Name: "force", Aliases: []string{"f"}, Usage: "also if clients are connected to its postgres: they are disconnected"}
}

// lifeCommands are the subcommands of branch that are about what becomes of branches.
func (e *environ) lifeCommands() []*cli.Command {
	return []*cli.Command{
		cmdBranchExpire(e), cmdBranchProtect(e), cmdBranchRename(e), cmdBranchReset(e), cmdBranchRestore(e), cmdBranchPromote(e),
	}
}

func cmdBranchExpire(e *environ) *cli.Command {
	return &cli.Command{
		Name: "expire", ArgsUsage: "NAME DURATION|TIME|never",
		Usage: "say when a branch is no longer needed; then it is deleted as soon as nobody uses it",
		Description: `   zenith branch expire pr-4521 24h
   zenith branch expire pr-4521 2026-12-01T09:00Z
   zenith branch expire pr-4521 never`,
		Flags: []cli.Flag{tenantFlag()},
		Action: withArgs(2, 2, func(c *cli.Context) error {
			return e.runBranchExpire(c, c.Args().Get(0), c.Args().Get(1))
		}),
	}
}

func cmdBranchProtect(e *environ) *cli.Command {
	return &cli.Command{
		Name: "protect", ArgsUsage: "NAME",
		Usage: "have a branch neither deleted nor renamed nor reset; main is protected from the beginning",
		Description: `   zenith branch protect production
   zenith branch protect main --off`,
		Flags: []cli.Flag{tenantFlag(), &cli.BoolFlag{Name: "off", Usage: "end that"}},
		Action: withArgs(1, 1, func(c *cli.Context) error {
			return e.withTenant(c, func(ctx context.Context, s *session) error {
				return s.BranchProtect(ctx, s.tenant, c.Args().First(), !c.Bool("off"))
			})
		}),
	}
}

func cmdBranchRename(e *environ) *cli.Command {
	return &cli.Command{
		Name: "rename", Aliases: []string{"mv"}, ArgsUsage: "OLD NEW",
		Usage:       "give a branch another name; no postgres may run on it",
		Description: `   zenith branch rename pr-4521 keep-me`,
		Flags:       []cli.Flag{tenantFlag()},
		Action: withArgs(2, 2, func(c *cli.Context) error {
			return e.runBranchRename(c, c.Args().Get(0), c.Args().Get(1))
		}),
	}
}

func cmdBranchReset(e *environ) *cli.Command {
	return &cli.Command{
		Name: "reset", ArgsUsage: "NAME [POINT]",
		Usage: "have a branch be what its parent is now, or a point; what it was is kept for a week",
		Description: `Its postgres is stopped, and started again on the new state, at the same address.

   zenith branch reset staging --force      again what its parent is now, whoever is connected
   zenith branch reset staging main@-1d     what main was a day ago
   zenith branch reset staging staging.old-1   back to what it was before`,
		Flags: []cli.Flag{tenantFlag(), outputFlag(), forceFlag()},
		Action: withArgs(1, 2, func(c *cli.Context) error {
			name, point := c.Args().Get(0), c.Args().Get(1)
			return e.runReplace(c, "reset", func(ctx context.Context, s *session) (r api.Replaced, err error) {
				if point != "" {
					if point, err = e.point(ctx, s, point); err != nil {
						return r, err
					}
				}
				return s.BranchReset(ctx, s.tenant, name, point, c.Bool("force"))
			})
		}),
	}
}

func cmdBranchRestore(e *environ) *cli.Command {
	return &cli.Command{
		Name: "restore", ArgsUsage: "NAME POINT",
		Usage: "have a branch be what it was at a point of its own past, in place: name, address and children stay",
		Description: `   zenith branch restore main @-10m         ten minutes ago; main.old-1 keeps what was since
   zenith branch restore main main.old-1    and back again`,
		Flags: []cli.Flag{tenantFlag(), outputFlag(), forceFlag()},
		Action: withArgs(2, 2, func(c *cli.Context) error {
			name, point := c.Args().Get(0), c.Args().Get(1)
			return e.runReplace(c, "restored", func(ctx context.Context, s *session) (r api.Replaced, err error) {
				if point, err = e.point(ctx, s, ofBranch(name, point)); err != nil {
					return r, err
				}
				return s.BranchRestore(ctx, s.tenant, name, point, c.Bool("force"))
			})
		}),
	}
}

func cmdBranchPromote(e *environ) *cli.Command {
	return &cli.Command{
		Name: "promote", ArgsUsage: "NAME [BRANCH]",
		Usage: "have a branch take the place of its parent, or of another one, which is kept for a week",
		Description: `   zenith branch promote fix               main is what fix is; main.old-1 is what main was
   zenith branch promote trial main        of another major version, say`,
		Flags: []cli.Flag{tenantFlag(), outputFlag(), forceFlag()},
		Action: withArgs(1, 2, func(c *cli.Context) error {
			return e.runReplace(c, "promoted", func(ctx context.Context, s *session) (api.Replaced, error) {
				return s.BranchPromote(ctx, s.tenant, c.Args().Get(0), c.Args().Get(1), c.Bool("force"))
			})
		}),
	}
}

// ofBranch gives a point of a branch's own past its name, if that was left out: @-10m, -10m, 0/16B3748.
func ofBranch(name, point string) string {
	if at, found := strings.CutPrefix(point, "@"); found {
		return name + "@" + at
	}
	if _, at, found := api.SplitPoint(point); found && at == point {
		return name + "@" + at
	}
	return point
}

func (e *environ) runBranchExpire(c *cli.Context, name, when string) error {
	x, err := expiryWanted(when)
	if err != nil {
		return err
	}
	return e.withTenant(c, func(ctx context.Context, s *session) error {
		b, err := s.BranchExpire(ctx, s.tenant, name, x)
		if err == nil {
			e.sayExpiry(b)
		}
		return err
	})
}

// sayExpiry tells when a branch expires.
func (e *environ) sayExpiry(b api.Branch) {
	if b.Expires == nil {
		fmt.Fprintf(e.out, "%s does not expire\n", b.Name)
		return
	}
	fmt.Fprintf(e.out, "expires %s\n", b.Expires.UTC().Format("2006-01-02 15:04Z"))
}

func (e *environ) runBranchRename(c *cli.Context, old, name string) error {
	return e.withTenant(c, func(ctx context.Context, s *session) error {
		if err := s.BranchRename(ctx, s.tenant, old, name); err != nil {
			return err
		}
		fmt.Fprintf(e.out, "Renamed branch '%s' to '%s'\n", old, name)
		return nil
	})
}

// runReplace has do put another state into the place of a branch, and says what was done.
func (e *environ) runReplace(c *cli.Context, done string, do func(context.Context, *session) (api.Replaced, error)) error {
	asJSON, err := jsonWanted(c)
	if err != nil {
		return err
	}
	return e.withTenant(c, func(ctx context.Context, s *session) error {
		r, err := do(ctx, s)
		if err != nil {
			return err
		}
		if asJSON {
			return writeJSON(e.out, r)
		}
		fmt.Fprintf(e.out, "%s %s to %s at %v; what it was is %s (expires %s)\n", done, r.Branch.Name, r.From, r.At, r.KeptAs, inText(&r.KeptUntil, time.Now()))
		if r.Restarted {
			fmt.Fprintln(e.out, "its postgres runs again, at the same address")
		}
		return nil
	})
}

// runBranchDetails is branch -v.
func (e *environ) runBranchDetails(c *cli.Context) error {
	asJSON, err := jsonWanted(c)
	if err != nil {
		return err
	}
	return e.withTenant(c, func(ctx context.Context, s *session) error {
		list, err := s.BranchDetails(ctx, s.tenant)
		if err != nil {
			return err
		}
		if asJSON {
			return writeJSON(e.out, list)
		}
		return e.printDetails(list, time.Now())
	})
}

// printDetails draws the tree with what is known of each branch in columns.
func (e *environ) printDetails(list []api.BranchDetail, now time.Time) error {
	byID := map[string]api.BranchDetail{}
	var branches []api.Branch
	for _, d := range list {
		byID[d.TimelineID] = d
		branches = append(branches, d.Branch)
	}
	w := bufio.NewWriter(e.out)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "BRANCH\tAT\tAGE\tLAST WRITE\tOWN SIZE\tEXPIRES\tOWNER\tSTATE\tNOTE")
	err := walkTree(branches, func(margin string, b api.Branch) error {
		_, err := fmt.Fprintln(tw, margin+b.Name+"\t"+strings.Join(detailTexts(byID[b.TimelineID], now), "\t"))
		return err
	})
	return errors.Join(err, tw.Flush(), w.Flush())
}

// detailTexts are the columns of branch -v behind the name.
func detailTexts(d api.BranchDetail, now time.Time) []string {
	at, note := "", d.Note
	if d.AncestorLSN != nil {
		at = d.AncestorLSN.String()
	}
	if d.Protected {
		note = strings.TrimPrefix(note+", protected", ", ")
	}
	if d.Waits != "" {
		note = strings.TrimPrefix(note+"; has expired, and stays: "+d.Waits, "; ")
	}
	texts := []string{at, ageText(d.Created, now), ageText(d.LastWrite, now), sizeText(d.OwnBytes), inText(d.Expires, now), d.Owner, d.State, note}
	for i, text := range texts {
		if text == "" && i < len(texts)-1 {
			texts[i] = "-"
		}
	}
	return texts
}

// ageText says how long ago something was, in its greatest unit; "" if that is not known.
func ageText(at *time.Time, now time.Time) string {
	if at == nil {
		return ""
	}
	if now.Sub(*at) < time.Second {
		return "now"
	}
	return spanText(now.Sub(*at), false)
}

// inText says in how long something will be; "" if never.
func inText(at *time.Time, now time.Time) string {
	switch {
	case at == nil:
		return ""
	case !now.Before(*at):
		return "now"
	}
	return "in " + spanText(at.Sub(now), true)
}

// spanText gives a time span in its greatest unit, or the two greatest.
func spanText(d time.Duration, two bool) string {
	if d >= time.Hour {
		d = d.Round(time.Minute) // a week less a moment is a week
	}
	units := []struct {
		size time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}}
	for i, u := range units {
		if d < u.size && i < len(units)-1 {
			continue
		}
		text := fmt.Sprintf("%d%s", d/u.size, u.name)
		if i+1 < len(units) && two {
			if next := units[i+1]; d%u.size >= next.size {
				text += fmt.Sprintf("%02d%s", d%u.size/next.size, next.name)
			}
		}
		return text
	}
	return ""
}

// sizeText gives bytes in columns: in the unit that leaves one to four digits.
func sizeText(n int64) string { return roundedSize(n, 100) }

// roundedSize gives bytes in the largest unit of which there is one, without a fraction from whole of them on.
func roundedSize(n int64, whole float64) string {
	value, unit := api.ScaleSize(n)
	if unit == "B" || value >= whole {
		return fmt.Sprintf("%.0f %s", value, unit)
	}
	return fmt.Sprintf("%.1f %s", value, unit)
}
