package pageserver

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"zenith/internal/access"
	"zenith/internal/api"
)

// accessVerbs are about who is let in.
var accessVerbs = group{"Users and tokens", []aVerb{&userCreateVerb, &userPasswdVerb, &userDropVerb, &userListVerb, &tokenCreateVerb, &tokenRevokeVerb, &tokenListVerb}}

// store gives the users and tokens.
func (c *call) store() (*access.Store, error) {
	s := c.srv.policy.Load().Store
	if s == nil {
		return nil, api.Errorf(api.ErrUnsupported, "this page server has no users and no tokens")
	}
	return s, nil
}

// checkTenants refuses tenants that do not exist.
func (c *call) checkTenants(ctx context.Context, tenants access.Tenants) error {
	if tenants == "" {
		return nil
	}
	there, err := c.svc.TenantList(ctx)
	if err != nil {
		return err
	}
	for _, id := range tenants.IDs() {
		if !slices.Contains(there, id) {
			return errNoTenant(id)
		}
	}
	return nil
}

type userCreateArgs struct {
	Name     string          `arg:"USER"`
	Role     access.Role     `arg:"ROLE"`
	Verifier access.Verifier `arg:"VERIFIER"`
	Tenants  access.Tenants  `arg:"TENANTS,optional"`
}

var userCreateVerb = plain[userCreateArgs]{
	verb: verb{name: "user_create", role: access.Admin, help: "lets somebody in by a name and a password, for some tenants or for all"},
	do: func(ctx context.Context, c *call, a userCreateArgs) error {
		s, err := c.store()
		if err == nil {
			err = c.checkTenants(ctx, a.Tenants)
		}
		if err != nil {
			return err
		}
		return s.CreateUser(a.Name, access.Grant{Role: a.Role, Tenants: a.Tenants}, a.Verifier)
	},
}

// UserCreate is api.Access's. The password stays here: its verifier goes to the page server.
func (c *Client) UserCreate(ctx context.Context, u api.User, password string) error {
	a := userCreateArgs{Name: u.Name}
	err := badArgument(errors.Join(a.Role.UnmarshalText([]byte(u.Role)), a.Tenants.UnmarshalText([]byte(strings.Join(u.Tenants, ",")))))
	if err == nil {
		a.Verifier, err = access.NewVerifier(password)
	}
	if err != nil {
		return err
	}
	return userCreateVerb.call(ctx, c, nil, a)
}

type userPasswdArgs struct {
	Name     string          `arg:"USER"`
	Verifier access.Verifier `arg:"VERIFIER"`
}

var userPasswdVerb = plain[userPasswdArgs]{
	verb: verb{name: "user_passwd", role: access.Admin, help: "gives a user another password"},
	do: func(_ context.Context, c *call, a userPasswdArgs) error {
		s, err := c.store()
		if err != nil {
			return err
		}
		return s.SetPassword(a.Name, a.Verifier)
	},
}

// UserPasswd is api.Access's.
func (c *Client) UserPasswd(ctx context.Context, name, password string) error {
	v, err := access.NewVerifier(password)
	if err != nil {
		return err
	}
	return userPasswdVerb.call(ctx, c, nil, userPasswdArgs{name, v})
}

type userArgs struct {
	Name string `arg:"USER"`
}

var userDropVerb = plain[userArgs]{
	verb: verb{name: "user_drop", role: access.Admin, help: "lets a user in no more, and ends its connections"},
	do: func(_ context.Context, c *call, a userArgs) error {
		s, err := c.store()
		if err != nil {
			return err
		}
		return s.DropUser(a.Name)
	},
}

// UserDrop is api.Access's.
func (c *Client) UserDrop(ctx context.Context, name string) error {
	return userDropVerb.call(ctx, c, nil, userArgs{name})
}

var userListVerb = list[noArgs, api.User]{
	verb: verb{name: "user_list", role: access.Admin, help: "the users; tenants is a JSON array of ids, or of `all` alone"},
	do: func(_ context.Context, c *call, _ noArgs) ([]api.User, error) {
		s, err := c.store()
		if err != nil {
			return nil, err
		}
		return s.Users(), nil
	},
}

// UserList is api.Access's.
func (c *Client) UserList(ctx context.Context) ([]api.User, error) {
	return userListVerb.call(ctx, c, noArgs{})
}

type tokenCreateArgs struct {
	Tenants access.Tenants `arg:"TENANTS"`
	Role    access.Role    `arg:"ROLE"`
	Life    lifeArg        `arg:"EXPIRES,optional"`
	Note    string         `arg:"NOTE,optional"`
}

// lifeArg is how long a token is valid; 0: for ever.
type lifeArg time.Duration

const lifeForEver = "never"

// MarshalText implements encoding.TextMarshaler.
func (l lifeArg) MarshalText() ([]byte, error) {
	if l == 0 {
		return []byte(lifeForEver), nil
	}
	return []byte(time.Duration(l).String()), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (l *lifeArg) UnmarshalText(text []byte) error {
	if s := string(text); s == "" || s == lifeForEver {
		*l = 0
		return nil
	}
	d, ok := api.ParseAge(string(text))
	if !ok || d <= 0 {
		return api.Errorf(api.ErrBadArgument, "expires %q: want a duration such as 30d, or %s", api.Clip(string(text)), lifeForEver)
	}
	*l = lifeArg(d)
	return nil
}

// tokenRow is a new token, with its secret.
type tokenRow struct {
	Secret string `json:"token"`
	api.Token
}

var tokenCreateVerb = one[tokenCreateArgs, tokenRow]{
	verb: verb{name: "token_create", role: access.Admin, help: "makes a token for a program, which is the password of the user `token`; it is told this once"},
	do: func(ctx context.Context, c *call, a tokenCreateArgs) (tokenRow, error) {
		s, err := c.store()
		if err == nil {
			err = c.checkTenants(ctx, a.Tenants)
		}
		if err != nil {
			return tokenRow{}, err
		}
		t, secret, err := s.CreateToken(access.Grant{Role: a.Role, Tenants: a.Tenants}, time.Duration(a.Life), a.Note)
		return tokenRow{secret, t}, err
	},
}

// TokenCreate is api.Access's.
func (c *Client) TokenCreate(ctx context.Context, t api.Token, life time.Duration) (api.Token, string, error) {
	a := tokenCreateArgs{Life: lifeArg(life), Note: t.Note}
	if err := badArgument(errors.Join(a.Role.UnmarshalText([]byte(t.Role)), a.Tenants.UnmarshalText([]byte(strings.Join(t.Tenants, ","))))); err != nil {
		return api.Token{}, "", err
	}
	r, err := tokenCreateVerb.call(ctx, c, nil, a)
	return r.Token, r.Secret, err
}

type tokenArgs struct {
	ID string `arg:"TOKEN_ID"`
}

var tokenRevokeVerb = plain[tokenArgs]{
	verb: verb{name: "token_revoke", role: access.Admin, each: true, help: "lets in nobody by a token any more, and ends its connections"},
	do: func(_ context.Context, c *call, a tokenArgs) error {
		s, err := c.store()
		if err != nil {
			return err
		}
		return s.RevokeToken(a.ID, c.mayGrant)
	},
}

// mayGrant reports whether the client may make, see and revoke tokens for tenants.
func (c *conn) mayGrant(tenants access.Tenants) bool {
	return c.who.Role >= access.Admin && c.who.Tenants.Covers(tenants)
}

// TokenRevoke is api.Access's.
func (c *Client) TokenRevoke(ctx context.Context, id string) error {
	return tokenRevokeVerb.call(ctx, c, nil, tokenArgs{id})
}

var tokenListVerb = list[noArgs, api.Token]{
	verb: verb{name: "token_list", role: access.Admin, each: true, help: "the tokens, without their secrets; tenants is a JSON array of ids, or of `all` alone"},
	do: func(_ context.Context, c *call, _ noArgs) ([]api.Token, error) {
		s, err := c.store()
		if err != nil {
			return nil, err
		}
		return s.Tokens(c.mayGrant), nil
	},
}

// TokenList is api.Access's.
func (c *Client) TokenList(ctx context.Context) ([]api.Token, error) {
	return tokenListVerb.call(ctx, c, noArgs{})
}
