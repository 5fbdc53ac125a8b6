package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"zenith/internal/api"
)

func cmdPgRestart(e *environ) *cli.Command {
	return &cli.Command{
		Name: "restart", ArgsUsage: "NAME", Usage: "stop a running postgres and start it as it was started the last time, on the PostgreSQL that is installed now",
		Flags: []cli.Flag{tenantFlag(), &cli.BoolFlag{Name: "all", Usage: "every one of the tenant that runs, one after the other"}},
		Action: func(c *cli.Context) error {
			if c.Bool("all") {
				if err := wantArgs(c, 0, 0); err != nil {
					return err
				}
				return e.withTenant(c, e.restartAll)
			}
			if err := wantArgs(c, 1, 1); err != nil {
				return err
			}
			return e.withTenant(c, func(ctx context.Context, s *session) error {
				point, err := e.point(ctx, s, c.Args().First())
				if err != nil {
					return err
				}
				return e.restartOne(ctx, s, point)
			})
		},
	}
}

// restartAll restarts the postgres servers that run. One that does not come back does not keep the others from it.
func (e *environ) restartAll(ctx context.Context, s *session) error {
	list, err := s.PgList(ctx, s.tenant)
	for _, cp := range list {
		if cp.Status == api.ComputeRunning && ctx.Err() == nil {
			err = errors.Join(err, e.restartOne(ctx, s, cp.Name))
		}
	}
	return err
}

func (e *environ) restartOne(ctx context.Context, s *session, name string) error {
	cp, err := s.PgRestart(ctx, s.tenant, name)
	if err != nil {
		return err
	}
	e.printNotes(cp)
	fmt.Fprintf(e.out, "postgres %s accepts connections again\n", cp.Name)
	return nil
}

func cmdPgReload(e *environ) *cli.Command {
	return &cli.Command{
		Name: "reload", ArgsUsage: "NAME", Usage: "have a running postgres read its configuration again", Flags: []cli.Flag{tenantFlag()},
		Action: withArgs(1, 1, func(c *cli.Context) error {
			return e.withTenant(c, func(ctx context.Context, s *session) error {
				point, err := e.point(ctx, s, c.Args().First())
				if err == nil {
					err = s.PgReload(ctx, s.tenant, point)
				}
				if err == nil {
					fmt.Fprintf(e.out, "postgres %s reads its configuration\n", point)
				}
				return err
			})
		}),
	}
}

func cmdPgLogs(e *environ) *cli.Command {
	return &cli.Command{
		Name: "logs", ArgsUsage: "NAME", Usage: "print the end of a postgres's log",
		Flags: []cli.Flag{
			tenantFlag(),
			&cli.IntFlag{Name: "lines", Aliases: []string{"n"}, Value: 50, Usage: "how many `LINES`; 0: none that are there already"},
			&cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "go on with what comes, until interrupted"},
		},
		Action: withArgs(1, 1, func(c *cli.Context) error {
			if c.Int("lines") < 0 {
				return usagef("--lines %d: want 0 or more", c.Int("lines"))
			}
			return e.withTenant(c, func(ctx context.Context, s *session) error {
				path, err := e.logOf(ctx, s, c.Args().First())
				if err != nil {
					return err
				}
				return e.printLog(ctx, path, c.Int("lines"), c.Bool("follow"))
			})
		}),
	}
}

// logOf gives the path of the log of a postgres that runs, or ran, on this machine.
func (e *environ) logOf(ctx context.Context, s *session, name string) (string, error) {
	away, err := e.elsewhere(ctx, s)
	if err != nil {
		return "", err
	}
	list, err := e.allComputes(ctx, s)
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(list, func(cp api.Compute) bool { return cp.Name == fullPoint(name) })
	switch {
	case i < 0:
		return "", api.Errorf(api.ErrNotFound, "pg %s: no such postgres", name)
	case away:
		return "", api.Errorf(api.ErrNotAllowed, "pg %s: its log is on the page server's machine: %s", name, list[i].Log)
	}
	return list[i].Log, nil
}

// logPeriod is how often a log that is followed is looked at.
const logPeriod = 200 * time.Millisecond

// printLog prints the last lines of a file, and goes on with what comes if follow says so.
func (e *environ) printLog(ctx context.Context, path string, lines int, follow bool) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := seekLines(f, lines); err != nil {
		return err
	}
	for {
		if _, err := io.Copy(e.out, f); err != nil {
			return err
		}
		if !follow {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(logPeriod):
		}
	}
}

// seekLines moves to where the last n lines of a file begin; a line that has no end yet counts.
func seekLines(f *os.File, n int) error {
	at, err := f.Seek(0, io.SeekEnd)
	if err != nil || n == 0 {
		return err
	}
	chunk := make([]byte, 64<<10)
	end := at // what ends the last line is not the end of the one before
	for at > 0 {
		from := max(0, at-int64(len(chunk)))
		part := chunk[:at-from]
		if _, err := f.ReadAt(part, from); err != nil {
			return err
		}
		for i := len(part) - 1; i >= 0; i-- {
			if part[i] != '\n' || from+int64(i)+1 == end {
				continue
			}
			if n--; n == 0 {
				_, err := f.Seek(from+int64(i)+1, io.SeekStart)
				return err
			}
		}
		at = from
	}
	_, err = f.Seek(0, io.SeekStart)
	return err
}
