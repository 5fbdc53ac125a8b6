package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"zenith/internal/access"
	"zenith/internal/api"
)

// authConfig is the part of pageserver.toml that says who is let in, and by which role.
type authConfig struct {
	Method   authMethod           `toml:"method,omitempty"`
	Accounts map[string]grantText `toml:"accounts,omitempty"` // by name of the account of this machine
}

type (
	authMethod string // a method as access.ParseMethod reads it
	grantText  string // a grant as access.Grant has it
)

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *authMethod) UnmarshalText(text []byte) error {
	_, err := access.ParseMethod(string(text))
	*m = authMethod(text)
	return err
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (g *grantText) UnmarshalText(text []byte) error {
	*g = grantText(text)
	return new(access.Grant).UnmarshalText(text)
}

// method gives the method by which clients show who they are. The default depends on whether the page server has
// a port.
func (c authConfig) method(listen hostPort) access.Method {
	if m, err := access.ParseMethod(string(c.Method)); err == nil {
		return m
	}
	if listen != "" {
		return access.Scram
	}
	return access.Peer
}

// checkAuth refuses flags of init that contradict each other.
func (o initOptions) checkAuth() error {
	if o.tls && o.remote != "" {
		return usagef("--tls is for a page server here")
	}
	if o.auth == "" {
		return nil
	}
	method, err := access.ParseMethod(o.auth)
	switch {
	case err != nil:
		return usagef("--auth %v", err)
	case o.remote != "":
		return usagef("--auth is for a page server here")
	case method == access.Peer && o.listen != "":
		return usagef("--auth peer is for the socket in the work directory: without --listen, or with --auth scram")
	case method == access.Trust && o.listen == "":
		return usagef("--auth trust is for a port: with --listen 127.0.0.1:6400")
	case method == access.Trust && !isLoopback(o.listen):
		return errTrustBeyond(hostPort(o.listen))
	}
	return nil
}

// errTrustBeyond refuses to let in whoever reaches a port that other machines may reach.
func errTrustBeyond(addr hostPort) error {
	return api.Errorf(api.ErrNotAllowed, "listen on %s: auth trust is for loopback addresses only, for other machines may reach this one: use scram, with users and tokens", addr)
}

// checkAccess refuses settings that let in more than they may.
func (c *serverConfig) checkAccess() error {
	if c.Auth.method(c.Listen) == access.Trust && c.Listen != "" && !isLoopback(string(c.Listen)) {
		return errTrustBeyond(c.Listen)
	}
	return nil
}

// policy makes the rule about who is let in from the settings and the owner of the work directory.
func (e *environ) policy(c *serverConfig) (*access.Policy, error) {
	info, err := os.Stat(e.workdir)
	if err != nil {
		return nil, err
	}
	p := &access.Policy{OwnerUID: ownerOf(info), Method: c.Auth.method(c.Listen), Accounts: map[int]access.Account{}}
	for name, text := range c.Auth.Accounts {
		a := access.Account{Name: name}
		uid, err := lookupUID(name)
		if err == nil {
			err = a.UnmarshalText([]byte(text))
		}
		if err != nil {
			return nil, blameLine(e.path(serverFile), err, "auth", "accounts", name)
		}
		p.Accounts[uid] = a
	}
	return p, nil
}

// ownerOf gives the UID of a file's owner.
func ownerOf(info fs.FileInfo) int {
	return int(info.Sys().(*syscall.Stat_t).Uid) // on Linux it is always that
}

// lookupUID gives the UID of an account, by its name or the number itself.
func lookupUID(name string) (int, error) {
	u, err := user.Lookup(name)
	if errors.As(err, new(user.UnknownUserError)) {
		u, err = user.LookupId(name)
	}
	if err != nil {
		return 0, fmt.Errorf("account %q: no such account", name)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return 0, fmt.Errorf("account %q: uid %q: %w", name, u.Uid, err)
	}
	return uid, nil
}

// secure has the page server encrypt connections as the settings say, with the certificates as they are now; and
// says in the log what is not as safe as it might be.
func (e *environ) secure(c *serverConfig, server guarded, log *slog.Logger) error {
	config, err := e.loadTLS(c.TLS)
	if err != nil {
		return err
	}
	if c.Listen != "" && c.Auth.method(c.Listen) == access.Trust {
		log.Warn("clients on this machine are not asked who they are: each of them may do anything with all data here", "address", string(c.Listen), "setting", "auth.method = \"trust\"")
	}
	if c.Listen != "" && config == nil && !isLoopback(string(c.Listen)) {
		log.Warn("connections from other machines are not encrypted: zenith init --tls makes a certificate, or tls.cert and tls.key name one", "address", string(c.Listen))
	}
	if c.Gateway.Listen != "" && config == nil && !isLoopback(string(c.Gateway.Listen)) {
		log.Warn("connections to the gateway from other machines are not encrypted: zenith init --tls makes a certificate, or tls.cert and tls.key name one", "address", string(c.Gateway.Listen))
	}
	return server.SetTLS(config)
}
