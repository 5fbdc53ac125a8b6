package pageserver

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"sync"
	"time"

	"github.com/jackc/pgproto3/v2"

	"zenith/internal/api"
)

// Client is a connection to a page server. It is an api.Service, whose methods run there: one
// at a time, others wait. Its errors are of the same kinds.
type Client struct {
	target Target
	nc     net.Conn
	fe     *pgproto3.Frontend
	br     *bufio.Reader
	pid    uint32
	secret uint32

	identity string       // of the server's work directory; "" if it did not say
	mu       sync.Mutex   // held while a command runs; guards what follows
	notices  bool         // progress notices are on
	broken   error        // the connection is of no use any more
	progress api.Progress // of the running command
}

var _ api.Service = (*Client)(nil)

// Bounds of the client.
const (
	dialTimeout      = 10 * time.Second
	cancelGrace      = 10 * time.Second // for the server to answer a cancelled command
	maxServerMessage = 64 << 20
)

// Dial connects to the page server that a user means, as Conninfo reads it. ErrUnavailable means that there is none.
func Dial(ctx context.Context, addr string) (*Client, error) {
	info, err := Conninfo(addr)
	if err != nil {
		return nil, err
	}
	t, err := TargetOf(info)
	if err != nil {
		return nil, err
	}
	return t.Dial(ctx)
}

// Dial connects to the target. ErrUnavailable means that there is no page server.
func (t Target) Dial(ctx context.Context) (*Client, error) {
	addr := t.Addr
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	nc, err := t.open(ctx)
	if err != nil && !errors.As(err, new(*api.Error)) {
		return nil, &api.Error{Kind: api.ErrUnavailable, Msg: fmt.Sprintf("page server at %s: %s", addr, dialReason(err))}
	}
	if err != nil {
		return nil, fmt.Errorf("page server at %s: %w", addr, err)
	}
	c := newClientConn(t, nc)
	stop := context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) })
	err = c.startup()
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("page server at %s: %w", addr, err)
	}
	return c, nil
}

// dialAddress opens a connection to HOST:PORT, or to the unix socket at a path.
func dialAddress(ctx context.Context, addr string) (net.Conn, error) {
	if isSocket(addr) {
		return dialSocket(ctx, addr)
	}
	return new(net.Dialer).DialContext(ctx, "tcp", addr)
}

// dialReason leaves out what the message around it says already.
func dialReason(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

func (c *Client) startup() error {
	err := c.fe.Send(&pgproto3.StartupMessage{
		ProtocolVersion: pgproto3.ProtocolVersionNumber,
		Parameters:      map[string]string{"user": cmp.Or(c.target.User, "zenith"), "application_name": "zenith"},
	})
	if err != nil {
		return err
	}
	for {
		msg, err := c.receive()
		if err != nil {
			return err
		}
		switch msg := msg.(type) {
		case *pgproto3.BackendKeyData:
			c.pid, c.secret = msg.ProcessID, msg.SecretKey
		case *pgproto3.ErrorResponse:
			return errorOf(msg)
		case *pgproto3.ReadyForQuery:
			return nil
		case *pgproto3.ParameterStatus:
			if msg.Name == identityParameter {
				c.identity = msg.Value
			}
		case *pgproto3.AuthenticationSASL:
			if err := c.authenticate(msg); err != nil {
				return err
			}
		case *pgproto3.AuthenticationOk, *pgproto3.NoticeResponse:
		default:
			return api.Errorf(api.ErrProtocol, "unexpected message %T at startup", msg)
		}
	}
}

// Addr gives the address of the page server: HOST:PORT, or the path of its unix socket.
func (c *Client) Addr() string { return c.target.Addr }

// Identity tells which work directory the page server serves; "" if it does not say.
func (c *Client) Identity() string { return c.identity }

// Close ends the connection, and what lives as long as it.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken == nil {
		c.fe.Send(&pgproto3.Terminate{}) // not required: the server notices the end anyway
		c.broken = net.ErrClosed
	}
	return c.nc.Close()
}

func (c *Client) receive() (pgproto3.BackendMessage, error) {
	msg, err := guardDecode(c.fe.Receive)
	if isNetError(err) {
		return nil, &api.Error{Kind: api.ErrUnavailable, Msg: "the page server closed the connection"}
	}
	return msg, protocolError(err)
}

// errorOf gives the error that the server sent.
func errorOf(msg *pgproto3.ErrorResponse) error {
	kind := kindOf(msg.Code)
	if kind == nil {
		kind = errServer
	}
	return &api.Error{Kind: kind, Msg: msg.Message}
}

// answer is what the client does with the replies to a command; nil fields refuse them. in is
// what it sends when the server asks for it.
type answer struct {
	rows rowReader
	copy io.Writer
	in   *pump
	note func(line string) // may be nil
}

// command runs a command and waits until the server is ready for the next. When ctx ends
// it asks the server to cancel, and gives up the connection if that does not help.
func (c *Client) command(ctx context.Context, p api.Progress, a answer, v *verb, args any) error {
	query, err := v.query(args)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.wantNotices(ctx, p); err != nil {
		return err
	}
	c.progress = p
	defer func() { c.progress = nil }()
	return c.exchange(ctx, a, query)
}

// wantNotices asks for progress before the first command that has a use for it.
func (c *Client) wantNotices(ctx context.Context, p api.Progress) error {
	if p == nil || c.notices {
		return nil
	}
	c.notices = true
	return c.exchange(ctx, answer{}, "SET "+settingProgress+" = on")
}

// exchange sends a query and takes in the answer. The caller holds mu.
func (c *Client) exchange(ctx context.Context, a answer, query string) error {
	if c.broken != nil {
		return c.broken
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := c.fe.Send(&pgproto3.Query{String: query}); err != nil {
		c.broken = &api.Error{Kind: api.ErrUnavailable, Msg: "the page server closed the connection"}
		return c.broken
	}
	asked := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(asked)
		c.requestCancel()
	})
	fatal, err := c.collect(a)
	if !stop() { // wait, that the request may not hit the next command
		<-asked
		if err != nil {
			err = ctx.Err()
		}
	}
	if fatal {
		c.broken = api.Errorf(api.ErrUnavailable, "the connection to the page server is closed")
		c.nc.Close()
		return err
	}
	if deadlineErr := c.nc.SetReadDeadline(time.Time{}); err == nil {
		err = deadlineErr
	}
	return err
}

// collect takes in messages up to ReadyForQuery. fatal: the connection cannot be used any more.
func (c *Client) collect(a answer) (fatal bool, err error) {
	for {
		msg, recvErr := c.receive()
		if recvErr != nil && err == nil {
			err = recvErr
		}
		if recvErr != nil {
			a.in.stop(true)
			return true, err
		}
		if _, ok := msg.(*pgproto3.ReadyForQuery); ok {
			a.in.stop(false)
			return false, err
		}
		if e, ok := msg.(*pgproto3.ErrorResponse); ok && err == nil {
			err = errorOf(e)
			if e.Severity == "FATAL" {
				a.in.stop(true)
				return true, err
			}
		}
		if err != nil {
			continue // the rest is of no interest
		}
		if err = c.take(a, msg); err != nil {
			c.requestCancel()
		}
	}
}

// take handles one message of a reply.
func (c *Client) take(a answer, msg pgproto3.BackendMessage) error {
	switch msg := msg.(type) {
	case *pgproto3.RowDescription:
		if a.rows == nil {
			return api.Errorf(api.ErrProtocol, "unexpected description of rows")
		}
		a.rows.describe(columnNames(msg))
	case *pgproto3.DataRow:
		if a.rows == nil {
			return api.Errorf(api.ErrProtocol, "unexpected row")
		}
		return a.rows.read(msg.Values)
	case *pgproto3.CopyData:
		if a.copy == nil {
			return api.Errorf(api.ErrProtocol, "unexpected copy data")
		}
		_, err := a.copy.Write(msg.Data)
		return err
	case *pgproto3.CopyInResponse:
		if a.in == nil || a.in.done != nil {
			return api.Errorf(api.ErrProtocol, "unexpected start of a copy")
		}
		a.in.start()
	case *pgproto3.CopyBothResponse:
		return api.Errorf(api.ErrProtocol, "unexpected start of a copy")
	case *pgproto3.NoticeResponse:
		c.notice(a, msg)
	}
	return nil
}

func columnNames(msg *pgproto3.RowDescription) []string {
	names := make([]string, len(msg.Fields))
	for i, f := range msg.Fields {
		names[i] = string(f.Name)
	}
	return names
}

func (c *Client) notice(a answer, msg *pgproto3.NoticeResponse) {
	if a.note != nil && msg.Code == noteState {
		a.note(msg.Message)
	}
	if c.progress == nil || msg.Code != progressState {
		return
	}
	if what, done, total, ok := parseProgress(msg.Message); ok {
		c.progress(what, done, total)
	}
}

// requestCancel asks the server, over a connection of its own, to end the running command,
// and gives it some time for that.
func (c *Client) requestCancel() {
	c.nc.SetReadDeadline(time.Now().Add(cancelGrace))
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	defer cancel()
	nc, err := c.target.open(ctx)
	if err != nil {
		c.nc.SetReadDeadline(time.Unix(1, 0))
		return
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(dialTimeout))
	msg := pgproto3.CancelRequest{ProcessID: c.pid, SecretKey: c.secret}
	if buf, err := msg.Encode(nil); err == nil {
		nc.Write(buf)           // if it fails, the deadline above ends the wait
		io.Copy(io.Discard, nc) // the server closes when it is done
	}
}
