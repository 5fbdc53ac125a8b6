package api

import (
	"context"
	"time"
)

// User is somebody who is let in by a name and a password.
type User struct {
	Name    string    `json:"name"`
	Role    string    `json:"role"`
	Tenants []string  `json:"tenants"` // ids; or "all" alone
	Created time.Time `json:"created"`
}

// Token is a program that is let in by a secret that it was given.
type Token struct {
	ID      string     `json:"id"`
	Role    string     `json:"role"`
	Tenants []string   `json:"tenants"` // ids; or "all" alone
	Created time.Time  `json:"created"`
	Expires *time.Time `json:"expires"` // nil: never
	Note    string     `json:"note"`
}

// Access is what a page server does about who is let in.
type Access interface {
	UserCreate(ctx context.Context, u User, password string) error
	UserPasswd(ctx context.Context, name, password string) error
	UserDrop(ctx context.Context, name string) error
	UserList(ctx context.Context) ([]User, error)
	// TokenCreate makes a token with t's role, tenants and note, valid for life, or for ever if that is 0. It
	// gives its secret, which nobody can be told later.
	TokenCreate(ctx context.Context, t Token, life time.Duration) (made Token, secret string, err error)
	TokenRevoke(ctx context.Context, id string) error
	TokenList(ctx context.Context) ([]Token, error)
}
