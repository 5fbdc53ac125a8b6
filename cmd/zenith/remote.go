package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/urfave/cli/v2"

	"zenith/internal/api"
)

func cmdRemote(e *environ) *cli.Command {
	return &cli.Command{
		Name:  "remote",
		Usage: "other page servers, by name",
		Description: `CONNINFO is HOST:PORT, or host=HOST port=PORT, as this work directory's page server reaches it.

   zenith remote add backup db7:6400
   zenith push main backup`,
		Action: func(*cli.Context) error {
			return usagef("want zenith remote add, list or remove")
		},
		Subcommands: []*cli.Command{
			{
				Name: "add", ArgsUsage: "NAME CONNINFO", Usage: "give a page server a name",
				Action: withArgs(2, 2, func(c *cli.Context) error {
					return e.runRemoteAdd(c.Args().Get(0), c.Args().Get(1))
				}),
			},
			{
				Name: "list", Usage: "names and addresses", Flags: []cli.Flag{outputFlag()},
				Action: withArgs(0, 0, e.runRemoteList),
			},
			{
				Name: "remove", ArgsUsage: "NAME", Usage: "forget a name",
				Action: withArgs(1, 1, func(c *cli.Context) error {
					return e.runRemoteRemove(c.Args().First())
				}),
			},
		},
	}
}

// remoteName matches the name of a remote. It has no colon, so that it is never taken for a HOST:PORT.
var remoteName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)

func (e *environ) runRemoteAdd(name, conninfo string) error {
	if !remoteName.MatchString(name) {
		return usagef("remote %q: want a name of letters, digits, _, . and -", name)
	}
	if err := checkConninfo(conninfo); err != nil {
		return err
	}
	cfg, err := e.config()
	if err != nil {
		return err
	}
	if cfg.damage != nil {
		return cfg.damage // it is the user's to mend
	}
	if _, there := cfg.Remotes[name]; there {
		return fmt.Errorf("remote %s: already exists", name)
	}
	if cfg.Remotes == nil {
		cfg.Remotes = map[string]string{}
	}
	cfg.Remotes[name] = conninfo
	return writeTOML(e.path(configFile), configNote, cfg)
}

func (e *environ) runRemoteRemove(name string) error {
	cfg, err := e.config()
	if err != nil {
		return err
	}
	if _, err := cfg.remote(name); err != nil {
		return err
	}
	delete(cfg.Remotes, name)
	return writeTOML(e.path(configFile), configNote, cfg)
}

// remote finds the conninfo of a remote by its name.
func (c *cliConfig) remote(name string) (string, error) {
	if c.damage != nil {
		return "", c.damage
	}
	conninfo, there := c.Remotes[name]
	if !there {
		return "", api.Errorf(api.ErrNotFound, "remote %s: no such remote (zenith remote add)", name)
	}
	return conninfo, nil
}

// remoteColumns are those of a remote, which is listed by its name.
func (c *cliConfig) remoteColumns() []column[string] {
	return []column[string]{
		{name: "name", text: func(name string) string { return name }},
		{name: "conninfo", text: func(name string) string { return publicConninfo(c.Remotes[name]) }},
	}
}

func (e *environ) runRemoteList(c *cli.Context) error {
	asJSON, err := jsonWanted(c)
	if err != nil {
		return err
	}
	cfg, err := e.config()
	if err != nil {
		return err
	}
	e.warnDamage(cfg.damage)
	return writeList(e.out, asJSON, slices.Sorted(maps.Keys(cfg.Remotes)), cfg.remoteColumns())
}
