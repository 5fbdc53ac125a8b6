package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"zenith/internal/api"
)

func cmdToken(e *environ) *cli.Command {
	return &cli.Command{
		Name: "token", Usage: "secrets by which programs are let in over TCP: passwords of the user token",
		Description: `   zenith token create --tenant 0123456789abcdef0123456789abcdef --role reader --expires 30d
   zenith token create --tenant all --role admin --note deploy
   pg_basebackup -D /srv/copy -d "host=db7 port=6400 user=token sslmode=verify-full sslrootcert=server.crt"`,
		Action: func(*cli.Context) error { return usagef("want zenith token create, revoke or list") },
		Subcommands: []*cli.Command{
			{
				Name: "create", Usage: "make a token and print it, this once",
				Flags: []cli.Flag{
					roleFlag(), grantFlag(),
					&cli.StringFlag{Name: "expires", Usage: "`DURATION` from now (30d, 12h; default: never)"},
					&cli.StringFlag{Name: "note", Usage: "`TEXT` that token list shows"},
				},
				Action: withArgs(0, 0, e.runTokenCreate),
			},
			{
				Name: "revoke", ArgsUsage: "ID", Usage: "let nobody in by a token any more, and end its connections",
				Action: withArgs(1, 1, func(c *cli.Context) error {
					return e.withSession(c, func(ctx context.Context, s *session) error {
						return s.TokenRevoke(ctx, c.Args().First())
					})
				}),
			},
			{
				Name: "list", Usage: "the tokens, by their ids", Flags: []cli.Flag{outputFlag()},
				Action: withArgs(0, 0, func(c *cli.Context) error {
					return list(e, c, e.withSession, func(ctx context.Context, s *session) ([]api.Token, error) { return s.TokenList(ctx) }, tokenColumns)
				}),
			},
		},
	}
}

func (e *environ) runTokenCreate(c *cli.Context) error {
	tenants, err := tenantsGranted(c)
	if err != nil {
		return err
	}
	var life time.Duration
	if text := c.String("expires"); text != "" && text != "never" {
		var ok bool
		if life, ok = api.ParseAge(text); !ok || life <= 0 {
			return usagef("--expires %q: want a duration such as 30d", text)
		}
	}
	return e.withSession(c, func(ctx context.Context, s *session) error {
		_, secret, err := s.TokenCreate(ctx, api.Token{Role: c.String("role"), Tenants: tenants, Note: c.String("note")}, life)
		if err == nil {
			fmt.Fprintln(e.out, secret)
		}
		return err
	})
}

var tokenColumns = []column[api.Token]{
	{name: "id", text: func(t api.Token) string { return t.ID }},
	{name: "role", text: func(t api.Token) string { return t.Role }},
	{name: "tenants", text: func(t api.Token) string { return strings.Join(t.Tenants, ",") }, list: func(t api.Token) []string { return t.Tenants }},
	{name: "created", text: func(t api.Token) string { return t.Created.Local().Format(time.RFC3339) }},
	{name: "expires", text: func(t api.Token) string { return expiryText(t.Expires) }},
	{name: "note", text: func(t api.Token) string { return t.Note }},
}

// expiryText says when something ends, or has ended; nil: never.
func expiryText(at *time.Time) string {
	switch {
	case at == nil:
		return "never"
	case at.Before(time.Now()):
		return "expired"
	}
	return at.Local().Format(time.RFC3339)
}
