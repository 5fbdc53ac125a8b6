package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"strconv"

	"github.com/urfave/cli/v2"

	"zenith/internal/api"
	"zenith/internal/pg"
	"zenith/internal/postgres"
)

// distribs gives the installations that the page server uses.
func (s *serverConfig) distribs() postgres.DistribSettings {
	return postgres.DistribSettings{Default: s.PgDistrib, ByMajor: s.PgDistribs}
}

// distribs finds the installations that the command line uses, on this machine. What its own settings do not
// say, those of a page server in the same work directory do.
func (e *environ) distribs(cfg *cliConfig) (*postgres.Distribs, error) {
	if cfg.doubt != nil {
		return nil, cfg.doubt
	}
	set := postgres.DistribSettings{Default: cfg.PgDistrib, ByMajor: map[string]string{}}
	if e.local() {
		server, err := e.server()
		if err != nil {
			return nil, err
		}
		if server.doubt != nil {
			return nil, server.doubt
		}
		set.Default = cmp.Or(set.Default, server.PgDistrib)
		maps.Copy(set.ByMajor, server.PgDistribs)
	}
	maps.Copy(set.ByMajor, cfg.PgDistribs)
	return postgres.NewDistribs(set), nil
}

// version gives the major version of PostgreSQL at the head of a point's branch.
func (s *session) version(ctx context.Context, point string) (*pg.Version, error) {
	name, _, _ := api.SplitPoint(point)
	list, err := s.BranchList(ctx, s.tenant)
	if err != nil {
		return nil, err
	}
	for _, b := range list {
		if b.Name == name || b.TimelineID == name {
			return pg.ByStoredMajor(b.Major)
		}
	}
	return nil, api.Errorf(api.ErrNotFound, "branch %s: no such branch", name)
}

func cmdPgDistribs(e *environ) *cli.Command {
	return &cli.Command{
		Name: "distribs", Usage: "the PostgreSQL installations that the page server uses, one for each major version",
		Flags: []cli.Flag{outputFlag()},
		Action: withArgs(0, 0, func(c *cli.Context) error {
			return list(e, c, e.withSession, func(ctx context.Context, s *session) ([]api.Distrib, error) { return s.PgDistribs(ctx) }, distribColumns)
		}),
	}
}

var distribColumns = []column[api.Distrib]{
	{name: "major", text: func(d api.Distrib) string { return strconv.Itoa(d.Major) }},
	{name: "release", text: func(d api.Distrib) string { return d.Release }},
	{name: "dir", text: func(d api.Distrib) string { return d.Dir }},
	{name: "found by", text: func(d api.Distrib) string { return d.Rule }},
	{name: "default", text: func(d api.Distrib) string {
		if d.Default {
			return "default"
		}
		return ""
	}},
	{name: "problem", text: func(d api.Distrib) string { return d.Problem }},
}

// versionFlag makes the flag --pg-version of commands that make a cluster.
func versionFlag() cli.Flag {
	return &cli.IntFlag{Name: "pg-version", Usage: "PostgreSQL's major version, `N`, of the fresh cluster (default: the newest that is installed)"}
}

// versionWanted gives the major version that --pg-version asks for; 0: the flag is not given.
func versionWanted(c *cli.Context) (int, error) {
	if !c.IsSet("pg-version") {
		return 0, nil
	}
	v, err := pg.ByMajor(c.Int("pg-version"))
	if err != nil {
		return 0, usagef("--pg-version %d: want one of %s", c.Int("pg-version"), supported())
	}
	return v.Major, nil
}

// supported lists the supported major versions.
func supported() (text string) {
	for i, v := range pg.Versions {
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprint(v.Major)
	}
	return text
}
