package main

import (
	"bufio"
	"context"
	"errors"

	"github.com/urfave/cli/v2"

	"zenith/internal/pg"
)

func cmdWAL(e *environ) *cli.Command {
	return &cli.Command{
		Name:  "wal",
		Usage: "look at WAL",
		Action: func(c *cli.Context) error {
			return usagef("want zenith wal dump")
		},
		Subcommands: []*cli.Command{{
			Name: "dump", ArgsUsage: "NAME [LSN [LSN]]",
			Usage: "the records of a branch, as pg_waldump prints them",
			Flags: []cli.Flag{tenantFlag()},
			Action: func(c *cli.Context) error {
				if err := wantArgs(c, 1, 3); err != nil {
					return err
				}
				return e.runWALDump(c)
			},
		}},
	}
}

func (e *environ) runWALDump(c *cli.Context) error {
	var ends [2]pg.LSN
	for i := range ends {
		if i+1 >= c.NArg() {
			break
		}
		var err error
		if ends[i], err = pg.ParseLSN(c.Args().Get(i + 1)); err != nil {
			return usagef("%v", err)
		}
	}
	return e.withTenant(c, func(ctx context.Context, s *session) error {
		w := bufio.NewWriterSize(e.out, 64<<10)
		err := s.WALDump(ctx, s.tenant, c.Args().First(), ends[0], ends[1], w)
		return errors.Join(err, w.Flush())
	})
}
