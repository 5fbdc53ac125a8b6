package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"zenith/internal/access"
	"zenith/internal/api"
	"zenith/internal/startup"
)

// conn is one client's connection.
type conn struct {
	g       *Gateway
	raw     net.Conn // as it was accepted
	nc      net.Conn // what is read and written: raw, or the TLS over it
	crowded bool     // over MaxConns: to be refused
	origin  access.Origin
	letIn   atomic.Bool // by its postgres

	mu      sync.Mutex
	backend net.Conn // nil: not connected yet
	closed  bool     // by cut
}

// serve runs the connection to its end.
func (c *conn) serve() {
	defer c.raw.Close()
	p, err := c.begin()
	if err == nil && p.Cancel != nil {
		c.passCancel(p.Cancel)
		return
	}
	if err == nil {
		err = c.handOver(p)
	}
	if err == nil {
		return
	}
	c.g.counts.refused.Add(1)
	c.g.opt.Log.Log(context.Background(), levelOf(err), "client of the gateway is refused", "client", c.raw.RemoteAddr().String(), "err", err)
	if !isClosed(err) {
		c.refuse(err)
	}
}

// levelOf gives the level at which a refusal is logged: what the client is not told, the log has.
func levelOf(err error) slog.Level {
	for _, k := range kinds {
		if errors.Is(err, k.err) {
			return slog.LevelDebug
		}
	}
	if isClosed(err) {
		return slog.LevelDebug
	}
	return slog.LevelError
}

// begin reads what the client wants, and goes on with TLS if it likes that.
func (c *conn) begin() (*startup.Packet, error) {
	if err := c.raw.SetDeadline(time.Now().Add(c.g.opt.StartupTimeout)); err != nil {
		return nil, err
	}
	var first [1]byte
	if _, err := io.ReadFull(c.raw, first[:]); err != nil {
		return nil, err
	}
	var in io.Reader = io.MultiReader(bytes.NewReader(first[:]), c.raw)
	encrypted := false
	if first[0] == startup.FirstOfTLS {
		if err := c.encrypt(in, true); err != nil {
			return nil, err
		}
		in, encrypted = c.nc, true
	}
	for range startup.MaxEncryptionRequests + 1 {
		p, err := startup.Read(in)
		if err != nil {
			return nil, err
		}
		in = c.nc
		if p.Code != startup.CodeSSL && p.Code != startup.CodeGSS {
			return p, c.check(p, encrypted)
		}
		encrypt := p.Code == startup.CodeSSL && !encrypted && c.g.tls.Load() != nil && !c.local()
		answer := "N"
		if encrypt {
			answer = "S"
		}
		if _, err := io.WriteString(c.nc, answer); err != nil {
			return nil, err
		}
		if encrypt {
			if err := c.encrypt(c.raw, false); err != nil {
				return nil, err
			}
			in, encrypted = c.nc, true
		}
	}
	return nil, api.Errorf(api.ErrProtocol, "asked for encryption too often")
}

// encrypt goes on with TLS. direct: the client began with it, and did not ask first. (No byte was read beyond a request
// for it: what somebody may have put behind one fails as a handshake.)
func (c *conn) encrypt(in io.Reader, direct bool) error {
	tc, err := startup.Encrypt(c.raw, in, c.g.tls.Load(), direct)
	if err != nil {
		return err
	}
	c.nc = tc
	return nil
}

// check refuses clients that may not go on.
func (c *conn) check(p *startup.Packet, encrypted bool) error {
	switch {
	case p.Cancel != nil:
		return nil
	case c.crowded:
		return fmt.Errorf("sorry, %w already", errTooManyClients)
	case !encrypted && c.g.tls.Load() != nil && !c.near():
		return fmt.Errorf("%w: connections from other machines must be encrypted here, use sslmode=verify-full", errNotEncrypted)
	}
	return nil
}

// local reports whether the client came through a unix socket.
func (c *conn) local() bool {
	_, ok := c.raw.(*net.UnixConn)
	return ok
}

// near reports whether the client is on this machine.
func (c *conn) near() bool {
	tcp, ok := c.raw.RemoteAddr().(*net.TCPAddr)
	return !ok || tcp.IP.IsLoopback()
}

// ofOwner reports whether the client is an account, at the other end of a unix socket, that every postgres here lets in.
func (c *conn) ofOwner() bool {
	uid := access.PeerUID(c.raw)
	return uid != api.NoUID && isOwner(uid)
}

// handOver wakes the postgres that the client wants, and connects the two.
func (c *conn) handOver(p *startup.Packet) error {
	if err := c.raw.SetDeadline(time.Time{}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.g.ctx, c.g.opt.Wait)
	defer cancel()
	t := targetOf(p.Params)
	if t.tenant == "" {
		t.tenant = c.g.opt.Tenant
	}
	woken, backend, err := c.reach(ctx, t)
	if c.g.ctx.Err() != nil && err != nil {
		return errClosing()
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("starting postgres took longer than %v: %w", c.g.opt.Wait, err)
	}
	if err != nil {
		return err
	}
	defer woken.Release()
	defer backend.Close()
	if t.database == "" {
		t.database = woken.Compute.Database
	}
	if !c.attach(backend) {
		return errClosing()
	}
	if _, err := backend.Write(p.WithParam("database", t.database)); err != nil {
		return api.Errorf(api.ErrUnavailable, "postgres ended: %v", err)
	}
	c.g.counts.accepted.Add(1)
	var news []byte
	if woken.State != "" && wantsNotices(p.Params) {
		news = notice(t, woken.State)
	}
	c.relay(backend, c.serverOf(woken.Compute), news)
	return nil
}

func errClosing() error { return api.Errorf(api.ErrUnavailable, "the page server is shutting down") }

// redialAfter is how long to wait before a postgres is asked for again that has ended just now.
const redialAfter = 50 * time.Millisecond

// reach wakes the postgres that t names and connects to it. One that has ended since it was given is asked for again.
func (c *conn) reach(ctx context.Context, t target) (api.Woken, net.Conn, error) {
	for {
		woken, err := c.g.waker.Wake(ctx, t.tenant, t.point)
		if err != nil {
			return woken, nil, err
		}
		if woken.Compute.Host == "" && !c.ofOwner() { // without a host, whoever on this machine has that port would be dialled
			woken.Release()
			return api.Woken{}, nil, api.Errorf(api.ErrNotAllowed, "postgres of %s listens on no TCP port (listen_addresses)", t.name)
		}
		backend, err := c.serverOf(woken.Compute).dial(ctx)
		if err == nil {
			return woken, backend, nil
		}
		woken.Release()
		select {
		case <-ctx.Done():
			return api.Woken{}, nil, ctx.Err()
		case <-time.After(redialAfter):
		}
	}
}

// serverOf says where a compute listens for this client: its unix socket lets the owner in without a password, so
// nobody else is connected to that.
func (c *conn) serverOf(cp api.Compute) server {
	if c.ofOwner() {
		return server{"unix", filepath.Join(cp.Socket, ".s.PGSQL."+strconv.Itoa(cp.Port))}
	}
	return server{"tcp", net.JoinHostPort(cp.Host, strconv.Itoa(cp.Port))}
}

// dial connects to the server.
func (s server) dial(ctx context.Context) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, s.network, s.address)
}

// attach notes the connection to the postgres, for cut. It is false if that was called already.
func (c *conn) attach(backend net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.backend = backend
	return !c.closed
}

// cut ends the connection from outside.
func (c *conn) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.backend != nil {
		c.backend.Close()
		c.raw.SetWriteDeadline(time.Now().Add(refuseTime)) // it may not be reading what its postgres has said
	} else {
		c.raw.SetReadDeadline(time.Unix(1, 0)) // it may yet be told why
	}
}

// refuseTime bounds how long a client may take to hear why it is refused.
const refuseTime = 5 * time.Second

// refuse tells the client why the connection ends, and lets it read that: to close a connection with unread input would
// reset it, and throw the words away.
func (c *conn) refuse(err error) {
	if c.raw.SetDeadline(time.Now().Add(refuseTime)) != nil {
		return
	}
	if _, err := c.nc.Write(fatal(err)); err != nil || closeWrite(c.nc) != nil {
		return
	}
	io.Copy(io.Discard, io.LimitReader(c.nc, 1<<20)) // what it says and how it ends does not matter any more
}

// closeWrite says to the other side that nothing more will come.
func closeWrite(nc net.Conn) error {
	if w, ok := nc.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}

// isClosed tells the end or failure of a connection from an error that its client can be told.
func isClosed(err error) bool {
	var ne net.Error
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.As(err, &ne) && !errors.Is(err, context.DeadlineExceeded)
}
