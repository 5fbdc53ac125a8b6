package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"zenith/internal/api"
)

func cmdPush(e *environ) *cli.Command {
	return &cli.Command{
		Name: "push", ArgsUsage: "NAME REMOTE",
		Usage: "send a branch's history to another page server, which then serves every LSN of it",
		Description: `A second push sends what is new; one that breaks off is taken up again by the next. What the branch
shares with its ancestors goes along, once. The page server sends; this command only asks it to.
A branch that was written to there is not overwritten: branch off from it instead.

   zenith remote add backup db7:6400
   zenith push main backup`,
		Flags: []cli.Flag{
			tenantFlag(),
			&cli.StringFlag{Name: "remote-tenantid", Usage: "tenant there, 32 `HEX` digits, made if need be (default: the same id)"},
		},
		Action: withArgs(2, 2, func(c *cli.Context) error {
			if id := c.String("remote-tenantid"); id != "" && !hex32.MatchString(id) {
				return usagef("--remote-tenantid %q: want 32 lower-case hex digits", id)
			}
			return e.runPush(c, c.Args().Get(0), c.Args().Get(1))
		}),
	}
}

func (e *environ) runPush(c *cli.Context, name, remote string) error {
	cfg, err := e.config()
	if err != nil {
		return err
	}
	to, err := cfg.remote(remote)
	if err != nil {
		return err
	}
	return e.withTenant(c, func(ctx context.Context, s *session) error {
		full, err := fullPeer(to, e.local())
		if err != nil {
			return fmt.Errorf("remote %s: %w", remote, err)
		}
		to := full.String()
		tell, end := e.newProgress()
		res, err := s.Push(ctx, s.tenant, name, api.PushOptions{To: to, Tenant: c.String("remote-tenantid"), Progress: tell})
		end()
		if err != nil {
			return err
		}
		var what string
		switch {
		case res.From == nil:
			what = fmt.Sprintf("new, up to %v", res.LSN)
		case res.Bytes == 0:
			what = fmt.Sprintf("up to date at %v", res.LSN)
		default:
			what = fmt.Sprintf("from %v to %v", *res.From, res.LSN)
		}
		fmt.Fprintf(e.out, "pushed %s to %s: %s; sent %d bytes\n", name, remote, what, res.Bytes)
		return nil
	})
}
