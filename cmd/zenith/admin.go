package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"zenith/internal/access"
	"zenith/internal/admin"
	"zenith/internal/api"
)

// adminConfig is the part of pageserver.toml that is about the listener for operators.
type adminConfig struct {
	Listen adminAddr  `toml:"listen,omitempty"`
	Auth   authMethod `toml:"auth,omitempty"`
	Pprof  bool       `toml:"pprof,omitempty"`
}

// adminAddr is HOST:PORT, or the path of a unix socket: one with a slash or that ends in .sock.
type adminAddr string

// UnmarshalText implements encoding.TextUnmarshaler.
func (a *adminAddr) UnmarshalText(text []byte) error {
	*a = adminAddr(text)
	if a.isSocket() {
		return nil
	}
	if err := new(hostPort).UnmarshalText(text); err != nil {
		return fmt.Errorf("%q: want HOST:PORT, or the path of a unix socket", text)
	}
	return nil
}

func (a adminAddr) isSocket() bool {
	return strings.Contains(string(a), "/") || strings.HasSuffix(string(a), ".sock")
}

// method gives the method by which clients of the admin listener show who they are, if their account does not say it.
func (c adminConfig) method() access.Method {
	if m, err := access.ParseMethod(string(c.Auth)); err == nil {
		return m
	}
	return access.Scram
}

// check refuses settings that let in more than they may.
func (c adminConfig) check(tls *tls.Config) error {
	if c.Listen == "" || c.Listen.isSocket() || isLoopback(string(c.Listen)) {
		return nil
	}
	if c.method() == access.Trust {
		return errTrustBeyond(hostPort(c.Listen))
	}
	if tls == nil {
		return api.Errorf(api.ErrNotAllowed, "admin.listen %s: other machines may reach it, and passwords and tokens would not be encrypted: set tls.cert and tls.key (zenith init --tls makes them), or listen on loopback", string(c.Listen))
	}
	return nil
}

// policy is the page server's, with the method of the admin listener.
func (c adminConfig) policy(p *access.Policy) *access.Policy {
	own := *p
	own.Method = c.method()
	return &own
}

// startAdmin opens the listener for operators. It gives nil if the settings name none.
func (e *environ) startAdmin(s *settings, policy *access.Policy, source admin.Source, wire func() int, front *gate, journal *admin.Journal, log *slog.Logger) (*adminServer, error) {
	if s.Admin.Listen == "" {
		return nil, nil
	}
	config, err := e.loadTLS(s.TLS)
	if err == nil {
		err = s.Admin.check(config)
	}
	if err != nil {
		return nil, err
	}
	l, err := e.listenAdmin(s.Admin.Listen)
	if err != nil {
		return nil, err
	}
	if !s.Admin.Listen.isSocket() && config == nil {
		if tcp, ok := l.Addr().(*net.TCPAddr); !ok || !tcp.IP.IsLoopback() { // the name meant another address by now
			return nil, errors.Join(s.Admin.check(nil), l.Close())
		}
	}
	if s.Admin.method() == access.Trust && !s.Admin.Listen.isSocket() {
		log.Warn("clients of the admin listener on this machine are not asked who they are", "address", string(s.Admin.Listen), "setting", "admin.auth = \"trust\"")
	}
	server := admin.New(admin.Options{
		Source: source, Access: s.Admin.policy(policy), TLS: config, Log: log, Version: version(), Pprof: s.Admin.Pprof,
		Wire: wire, Gateway: front.server.Counts, Journal: journal,
	})
	server.Serve(l)
	log.Info("admin listener started", "address", l.Addr().String())
	return &adminServer{server, s.Admin}, nil
}

// listenAdmin opens a port, or a unix socket in the place of one that an earlier page server left: the work directory is
// this one's.
func (e *environ) listenAdmin(addr adminAddr) (net.Listener, error) {
	if !addr.isSocket() {
		return listen(string(addr))
	}
	path := e.inWorkdir(string(addr))
	info, err := os.Lstat(path)
	if err == nil && info.Mode().Type() != fs.ModeSocket {
		return nil, api.Errorf(api.ErrExists, "admin.listen %s: there is something that is no socket", path)
	}
	if err == nil {
		err = os.Remove(path)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if errors.Is(err, syscall.EINVAL) {
		return nil, api.Errorf(api.ErrBadArgument, "admin.listen %s: the path of a socket may have 107 bytes: name a shorter one, such as /run/%s", path, filepath.Base(path))
	}
	if err != nil {
		return nil, err
	}
	// Whoever connects is asked for its account, or a password.
	if err := os.Chmod(path, 0o666); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// adminServer is the listener for operators, as the reloader sees it.
type adminServer struct {
	*admin.Server
	config adminConfig // that it was started with: the address and pprof stay until a restart
}

// SetAccess implements guarded.
func (a *adminServer) SetAccess(p *access.Policy) { a.Server.SetAccess(a.config.policy(p)) }

// guards has several servers told who is let in.
type guards []guarded

// SetAccess implements guarded.
func (g guards) SetAccess(p *access.Policy) {
	for _, one := range g {
		one.SetAccess(p)
	}
}

// SetTLS implements guarded.
func (g guards) SetTLS(c *tls.Config) error {
	var err error
	for _, one := range g {
		if c == nil {
			err = errors.Join(err, one.SetTLS(nil))
			continue
		}
		err = errors.Join(err, one.SetTLS(c.Clone())) // each sets protocols of its own in it
	}
	return err
}

// SetLimits implements guarded: the limits are on commands of the wire protocol, of which the admin listener has none.
func (*adminServer) SetLimits(access.RoleLimits) {}

// SetLimits implements guarded.
func (g guards) SetLimits(limits access.RoleLimits) {
	for _, one := range g {
		one.SetLimits(limits)
	}
}
