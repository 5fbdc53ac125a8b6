package main

import (
	"bufio"
	"context"
	"errors"
	"os"
	"strings"
	"time"

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
			Usage:  "the records of a branch, as pg_waldump prints them",
			Flags:  []cli.Flag{tenantFlag()},
			Action: withArgs(1, 3, e.runWALDump),
		}},
	}
}

// localZone gives the time zone of this process under its name in the tz database, which the page server
// understands even on another machine. It is "Local", which means the page server's own zone, if the name
// cannot be found out.
func localZone() *time.Location {
	name, set := os.LookupEnv("TZ")
	if !set {
		name, _ = os.Readlink("/etc/localtime") // if it is no link, the zone's name is not known
	}
	if _, in, ok := strings.Cut(name, "/zoneinfo/"); ok {
		name = in
	} else if !set {
		return time.Local
	}
	zone, err := time.LoadLocation(strings.TrimPrefix(name, ":"))
	if err != nil {
		return time.Local
	}
	return zone
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
		err := s.WALDump(ctx, s.tenant, c.Args().First(), ends[0], ends[1], localZone(), w)
		return errors.Join(err, w.Flush())
	})
}
