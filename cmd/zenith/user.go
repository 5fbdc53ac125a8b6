package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"zenith/internal/access"
	"zenith/internal/api"
)

func cmdUser(e *environ) *cli.Command {
	return &cli.Command{
		Name: "user", Usage: "people who are let in over TCP, by name and password",
		Description: `   zenith user create ann --role reader --tenant 0123456789abcdef0123456789abcdef
   psql "host=db7 port=6400 user=ann sslmode=verify-full sslrootcert=server.crt" -c status`,
		Action: func(*cli.Context) error { return usagef("want zenith user create, passwd, drop or list") },
		Subcommands: []*cli.Command{
			{
				Name: "create", ArgsUsage: "NAME", Usage: "let somebody in; prints a random password unless one is given",
				Flags:  []cli.Flag{roleFlag(), grantFlag(), newPasswordFlag()},
				Action: withArgs(1, 1, e.runUserCreate),
			},
			{
				Name: "passwd", ArgsUsage: "NAME", Usage: "give a user another password; prints a random one unless one is given",
				Flags:  []cli.Flag{newPasswordFlag()},
				Action: withArgs(1, 1, e.runUserPasswd),
			},
			{
				Name: "drop", ArgsUsage: "NAME", Usage: "let a user in no more, and end its connections",
				Action: withArgs(1, 1, func(c *cli.Context) error {
					return e.withSession(c, func(ctx context.Context, s *session) error {
						return s.UserDrop(ctx, c.Args().First())
					})
				}),
			},
			{
				Name: "list", Usage: "the users", Flags: []cli.Flag{outputFlag()},
				Action: withArgs(0, 0, func(c *cli.Context) error {
					return list(e, c, e.withSession, func(ctx context.Context, s *session) ([]api.User, error) { return s.UserList(ctx) }, userColumns)
				}),
			},
		},
	}
}

func roleFlag() cli.Flag {
	return &cli.StringFlag{Name: "role", Required: true, Usage: "`ROLE`: reader, writer or admin"}
}

func grantFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "tenant", Aliases: []string{"tenantid"}, Usage: "for this tenant, 32 `HEX` digits; may be given several times (default: all)"}
}

func newPasswordFlag() cli.Flag {
	return &cli.StringFlag{Name: "password-file", Usage: "`FILE` whose first line is the password; - is stdin"}
}

// tenantsGranted gives the tenants that a grant is for; nil: all.
func tenantsGranted(c *cli.Context) ([]string, error) {
	text := strings.Join(c.StringSlice("tenant"), ",")
	if c.IsSet("tenant") && text == "" { // a variable of a script that has no value
		return nil, usagef("--tenant: want a tenant's id, or %s", access.AllTenants)
	}
	tenants, err := access.ParseTenants(text)
	if err != nil {
		return nil, usagef("--tenant: %v", err)
	}
	return tenants.IDs(), nil
}

// newPassword gives the password that the user chose, or a random one, which is to be printed.
func (e *environ) newPassword(c *cli.Context) (password string, random bool, err error) {
	if path := c.String("password-file"); path != "" {
		password, err = e.readPassword(path)
		return password, false, err
	}
	return rand.Text(), true, nil
}

// tellPassword prints a random password, alone on its line, or what was done.
func (e *environ) tellPassword(password string, random bool, done string) {
	if random {
		done = password
	}
	fmt.Fprintln(e.out, done)
}

func (e *environ) runUserCreate(c *cli.Context) error {
	name := c.Args().First()
	tenants, err := tenantsGranted(c)
	if err != nil {
		return err
	}
	password, random, err := e.newPassword(c)
	if err != nil {
		return err
	}
	return e.withSession(c, func(ctx context.Context, s *session) error {
		if err := s.UserCreate(ctx, api.User{Name: name, Role: c.String("role"), Tenants: tenants}, password); err != nil {
			return err
		}
		e.tellPassword(password, random, fmt.Sprintf("Created user '%s'", name))
		return nil
	})
}

func (e *environ) runUserPasswd(c *cli.Context) error {
	password, random, err := e.newPassword(c)
	if err != nil {
		return err
	}
	return e.withSession(c, func(ctx context.Context, s *session) error {
		if err := s.UserPasswd(ctx, c.Args().First(), password); err != nil {
			return err
		}
		e.tellPassword(password, random, fmt.Sprintf("Changed the password of user '%s'", c.Args().First()))
		return nil
	})
}

var userColumns = []column[api.User]{
	{name: "name", text: func(u api.User) string { return u.Name }},
	{name: "role", text: func(u api.User) string { return u.Role }},
	{name: "tenants", text: func(u api.User) string { return strings.Join(u.Tenants, ",") }, list: func(u api.User) []string { return u.Tenants }},
	{name: "created", text: func(u api.User) string { return u.Created.Local().Format(time.RFC3339) }},
}
