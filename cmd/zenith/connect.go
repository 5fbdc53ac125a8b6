package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"

	"github.com/urfave/cli/v2"

	"zenith/internal/api"
	"zenith/internal/conninfo"
	"zenith/internal/egress"
	"zenith/internal/pageserver"
	"zenith/tenants"
)

// client is a connection to a page server, as the commands use it.
type client interface {
	api.Service
	api.Access
	io.Closer
	Addr() string     // HOST:PORT, or the path of a unix socket
	Identity() string // of the work directory, as dirIdentity gives it; "" if it is not known
}

// session is a command's connection to the page server.
type session struct {
	client
	cfg    *cliConfig
	tenant string // from --tenantid or the settings; "" if neither names one
}

// connect reads the settings and connects to the page server that they name.
func (e *environ) connect(c *cli.Context) (*session, error) {
	s, err := e.unconnected(c)
	if err != nil {
		return nil, err
	}
	s.client, err = e.dial(c.Context, s.cfg)
	return s, err
}

// unconnected makes a session without a connection, for commands that may need no page server.
func (e *environ) unconnected(c *cli.Context) (*session, error) {
	cfg, err := e.config()
	if err != nil {
		return nil, err
	}
	e.warnDamage(cfg.damage)
	s := &session{cfg: cfg, tenant: string(cfg.TenantID)}
	if id, _ := c.Value("tenantid").(string); id != "" { // of user create and token create it is a list: they are about no tenant's data
		if !hex32.MatchString(id) {
			return nil, usagef("--tenantid %q: want 32 lower-case hex digits", id)
		}
		s.tenant = id
	}
	return s, nil
}

// dial connects to the page server that the settings name.
func (e *environ) dial(ctx context.Context, cfg *cliConfig) (client, error) {
	addr, err := e.address(cfg)
	if err != nil {
		return nil, err
	}
	s, err := e.dialAt(ctx, addr)
	if errors.Is(err, api.ErrUnavailable) && e.local() {
		if _, running, probeErr := probe(e.path(pidFileName)); probeErr == nil && !running {
			return nil, &kindError{e.workdir + ": the page server is not running (run zenith start)", api.ErrUnavailable}
		}
	}
	if err == nil && e.local() {
		if err := e.checkServer(addr, s.Identity()); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return s, err
}

// ownSocket is the value of the setting pageserver that means the page server of this work directory, which
// is reached through the socket of that name.
const ownSocket = pageserver.SocketName

// dialAt connects to an address that address gave.
func (e *environ) dialAt(ctx context.Context, addr string) (client, error) {
	if !e.local() {
		return dial(ctx, addr)
	}
	c, err := pageserver.Dial(ctx, addr) // our own socket: nothing of the user's environment is about it
	if err != nil {
		return nil, err // not c: an interface with a nil *Client in it is not nil
	}
	return c, nil
}

// address gives the address at which commands reach the page server: HOST:PORT, or the path of its unix
// socket if it belongs to this work directory, whatever else it listens on.
func (e *environ) address(c *cliConfig) (string, error) {
	if !e.local() && c.PageServer != ownSocket {
		return c.PageServer, checkConninfo(c.PageServer)
	}
	return e.socketPath()
}

// addressAlone gives what of an address may be shown: HOST:PORT, or the path of a socket, and no password.
func addressAlone(addr string) string {
	if alone, err := pageserver.Address(addr); err == nil {
		return alone
	}
	return "?"
}

// socketPath gives the absolute path of the unix socket in the work directory.
func (e *environ) socketPath() (string, error) {
	workdir, err := e.absWorkdir()
	return filepath.Join(workdir, pageserver.SocketName), err
}

// socketHint tells users of psql how to reach a socket whose path is too long for libpq; "": they need no hint.
func socketHint(path string) string {
	if !pageserver.SocketPathTooLong(path) {
		return ""
	}
	return fmt.Sprintf("(cd %s && psql -h /proc/self/cwd -p %s)", filepath.Dir(path), pageserver.DefaultPort)
}

// dial connects to the page server that the user means by text; what that leaves out is taken from where libpq
// looks in the user's process.
func dial(ctx context.Context, text string) (client, error) {
	full, err := fullPeer(text, true)
	if err != nil {
		return nil, err
	}
	return dialFull(ctx, full)
}

// fullPeer gives the connection string for a page server that the user means by text, with what libpq would find
// in this process. files says that who connects has this machine's files.
func fullPeer(text string, files bool) (conninfo.Info, error) {
	info, err := pageserver.Conninfo(text)
	if err != nil {
		return info, err
	}
	if info, err = info.FillIn(peerEnvironment(files)); err != nil {
		err = fmt.Errorf("conninfo: %w", err)
	}
	return info, err
}

// dialFull connects to a page server by a connection string that leaves nothing out.
func dialFull(ctx context.Context, info conninfo.Info) (client, error) {
	t, err := pageserver.TargetOf(info)
	if err != nil {
		return nil, err
	}
	c, err := t.Dial(ctx)
	if err != nil {
		return nil, err // not c: an interface with a nil *Client in it is not nil
	}
	return c, nil
}

// dialPeer connects this page server to another one, to push a branch to it: to the first of its addresses that
// allow allows, if that is not nil.
func dialPeer(ctx context.Context, text string, allow func(string, netip.Addr) bool) (tenants.Peer, error) {
	info, err := pageserver.Conninfo(text)
	if err == nil {
		err = info.CheckTaken(allow == nil)
	}
	if errors.Is(err, conninfo.ErrNotTaken) {
		return nil, fmt.Errorf("%w: %w", egress.ErrRefused, err)
	}
	if err != nil || allow == nil {
		return peerOf(ctx, info, err)
	}
	at, err := egress.Resolve(ctx, cmp.Or(info.Get("hostaddr"), info.Get("host")), allow)
	if err == nil {
		info.Set("hostaddr", at.String()) // the host stays: the server's certificate must name it
	}
	return peerOf(ctx, info, err)
}

func peerOf(ctx context.Context, info conninfo.Info, err error) (tenants.Peer, error) {
	if err != nil {
		return nil, err
	}
	return dialFull(ctx, info)
}

// listenSocket makes the unix socket in a work directory.
func listenSocket(workdir string, mode fs.FileMode) (net.Listener, error) {
	return pageserver.ListenSocket(workdir, mode)
}

// listenSocketOf makes the unix socket of a port of the gateway in a work directory.
func listenSocketOf(workdir string, port int, mode fs.FileMode) (net.Listener, error) {
	if name := strconv.Itoa(port); name != pageserver.DefaultPort {
		return pageserver.ListenSocketOf(workdir, name, mode)
	}
	return nil, api.Errorf(api.ErrBadArgument, "port %d is that of the page server's own socket", port)
}

// checkConninfo checks that s has the form of a page server's address. It does not connect.
func checkConninfo(s string) error {
	_, err := pageserver.Address(s)
	return err
}

// needTenant checks that the session has a tenant, for commands that work on a tenant's data.
func (s *session) needTenant() error {
	if s.tenant == "" {
		return usagef("no tenant: name one with --tenantid")
	}
	return nil
}

// withSession connects, runs do and disconnects.
func (e *environ) withSession(c *cli.Context, do func(ctx context.Context, s *session) error) error {
	s, err := e.connect(c)
	if err != nil {
		return err
	}
	defer s.Close()
	return do(c.Context, s)
}

// withTenant is withSession for commands that work on a tenant's data.
func (e *environ) withTenant(c *cli.Context, do func(ctx context.Context, s *session) error) error {
	return e.withSession(c, func(ctx context.Context, s *session) error {
		if err := s.needTenant(); err != nil {
			return err
		}
		return do(ctx, s)
	})
}
