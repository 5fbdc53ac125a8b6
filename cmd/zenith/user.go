package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

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
	return &cli.StringFlag{Name: "tenant", Aliases: []string{"tenantid"}, Usage: "for one tenant only, 32 `HEX` digits (default: all)"}
}

func newPasswordFlag() cli.Flag {
	return &cli.StringFlag{Name: "password-file", Usage: "`FILE` whose first line is the password; - is stdin"}
}

// tenantGranted gives the tenant that a grant is for; "": all.
func tenantGranted(c *cli.Context) (string, error) {
	id := c.String("tenant")
	if id != "" && !hex32.MatchString(id) {
		return "", usagef("--tenant %q: want 32 lower-case hex digits", id)
	}
	return id, nil
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
	tenant, err := tenantGranted(c)
	if err != nil {
		return err
	}
	password, random, err := e.newPassword(c)
	if err != nil {
		return err
	}
	return e.withSession(c, func(ctx context.Context, s *session) error {
		if err := s.UserCreate(ctx, api.User{Name: name, Role: c.String("role"), Tenant: tenant}, password); err != nil {
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
	{name: "tenant", text: func(u api.User) string { return tenantText(u.Tenant) }},
	{name: "created", text: func(u api.User) string { return u.Created.Local().Format(time.RFC3339) }},
}

func tenantText(id string) string {
	if id == "" {
		return "all"
	}
	return id
}
