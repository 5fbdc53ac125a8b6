package pageserver

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgproto3/v2"

	"zenith/internal/access"
	"zenith/internal/api"
	"zenith/internal/pg"
)

// readBuffer is how much of a client's input may wait while a command runs and its
// connection is still watched for the client's going away.
const readBuffer = 32 << 10

// conn is one client's connection.
type conn struct {
	srv     *Server
	raw     net.Conn // as it was accepted: for deadlines, by any goroutine
	nc      net.Conn // what messages go through: raw, or the TLS over it
	br      *bufio.Reader
	in      *chunkReader // what be reads from
	be      *pgproto3.Backend
	tls     *tls.Conn      // nil: not encrypted
	binding access.Binding // to tls
	id      uint32
	secret  uint32
	crowded bool                             // over MaxConns: to be refused
	who     access.Principal                 // set by startup
	session atomic.Pointer[access.Principal] // who as it was let in, for other goroutines
	ending  atomic.Pointer[error]            // why the connection is to end, though its client did not leave
	active  atomic.Int64                     // Unix time in nanoseconds at which the client said something last; 0: a command runs
	origin  access.Origin
	address string // HOST:PORT of the client; "": it came through a unix socket

	tenant, branch string // of dbname=tenant/branch
	replication    bool
	version        *pg.Version // as whose server we present ourselves
	txStatus       byte        // as in ReadyForQuery; BEGIN and COMMIT only pretend
	skipToSync     bool        // after an error in the extended protocol
	broken         error       // of the protocol, found inside a command: ends the connection
	prepared       map[string]*prepared
	portals        map[string]*portal
	progress       bool                        // the client asked for progress notices
	stopExec       func(context.Context) error // tears down this connection's pg_exec
	usage          *usage                      // what the client has, by this connection and others
	kept           int64                       // of usage's memory: bytes of prepared statements, portals and their results
	ownSlots       map[string]func() error     // by name: drop this connection's temporary slots

	wmu  sync.Mutex // guards bw and wbuf: progress comes from other goroutines
	bw   *bufio.Writer
	wbuf []byte

	cmu    sync.Mutex // guards cancel
	cancel context.CancelFunc
}

func newConn(s *Server, nc net.Conn, id uint32) *conn {
	c := &conn{
		srv: s, raw: nc, in: &chunkReader{max: s.opt.MaxMessage}, id: id, address: addressOf(nc), secret: newSecret(), version: pg.Default, txStatus: 'I',
		prepared: map[string]*prepared{}, portals: map[string]*portal{}, ownSlots: map[string]func() error{}, usage: &usage{},
	}
	c.be = pgproto3.NewBackend(c.in, nil)
	c.use(nc)
	return c
}

// use has all messages go through nc from now on.
func (c *conn) use(nc net.Conn) {
	c.nc, c.br = nc, bufio.NewReaderSize(nc, readBuffer)
	c.in.br = c.br
	c.bw = bufio.NewWriterSize(deadlineWriter{nc, c.srv.opt.WriteTimeout}, copyChunk)
}

// addressOf gives the HOST:PORT at the other end of a connection, "" for a unix socket.
func addressOf(nc net.Conn) string {
	if _, local := nc.(*net.UnixConn); local {
		return ""
	}
	return nc.RemoteAddr().String()
}

// deadlineWriter gives each write its time.
type deadlineWriter struct {
	nc      net.Conn
	timeout time.Duration
}

func (w deadlineWriter) Write(p []byte) (int, error) {
	if err := w.nc.SetWriteDeadline(time.Now().Add(w.timeout)); err != nil {
		return 0, err
	}
	return w.nc.Write(p)
}

// serve runs the connection to its end.
func (c *conn) serve() {
	defer c.nc.Close()
	defer c.endExec()
	defer c.dropTemporary()
	err := c.startup()
	if err == nil {
		err = c.loop()
	}
	if err != nil && !isNetError(err) {
		c.sendError("FATAL", err)
		c.lingerClose()
	}
	if err != nil {
		c.srv.opt.Log.Debug("connection ended", "client", c.nc.RemoteAddr().String(), "err", err)
	}
}

// lingerClose lets the client read our last words: closing with unread input would reset
// the connection and throw them away.
func (c *conn) lingerClose() {
	tc, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || tc.CloseWrite() != nil || c.raw.SetReadDeadline(time.Now().Add(time.Second)) != nil {
		return
	}
	io.Copy(io.Discard, io.LimitReader(c.nc, 1<<20)) // what it says and how it ends does not matter any more
}

// loop reads and answers messages until the client leaves or the server closes.
func (c *conn) loop() error {
	for {
		if err := c.flushIfIdle(); err != nil {
			return err
		}
		if why := c.ending.Load(); why != nil {
			return *why
		}
		c.active.Store(time.Now().UnixNano())
		msg, err := receiveFrom(c.be)
		if c.srv.ctx.Err() != nil {
			return api.Errorf(api.ErrUnavailable, "terminating connection: the page server is shutting down")
		}
		if why := c.ending.Load(); why != nil {
			return *why
		}
		c.active.Store(0)
		if err != nil {
			return err
		}
		if _, ok := msg.(*pgproto3.Terminate); ok {
			return nil
		}
		if err := c.handle(msg); err != nil {
			return err
		}
	}
}

// flushIfIdle sends what is buffered, unless the client has more for us already.
func (c *conn) flushIfIdle() error {
	if c.br.Buffered() > 0 {
		return nil
	}
	return c.flush()
}

// handle answers one message. Only errors that end the connection come back.
func (c *conn) handle(msg pgproto3.FrontendMessage) error {
	switch msg := msg.(type) {
	case *pgproto3.Query:
		return c.simpleQuery(msg.String)
	case *pgproto3.Sync:
		c.skipToSync = false
		c.dropPortals()
		return c.ready()
	case *pgproto3.Flush:
		return c.flush()
	case *pgproto3.CopyData, *pgproto3.CopyDone, *pgproto3.CopyFail:
		return nil // leftovers of a COPY that failed here
	case *pgproto3.Parse, *pgproto3.Bind, *pgproto3.Describe, *pgproto3.Execute, *pgproto3.Close:
		return c.extended(msg)
	case *pgproto3.FunctionCall:
		return errors.Join(c.sendError("ERROR", api.Errorf(api.ErrUnsupported, "function calls are not supported")), c.ready())
	}
	return api.Errorf(api.ErrProtocol, "unexpected message %T", msg)
}

// wake makes a connection that waits for its client notice that the server closes.
func (c *conn) wake() { c.raw.SetReadDeadline(time.Unix(1, 0)) }

// cancelCommand ends the running command, if there is one.
func (c *conn) cancelCommand() {
	c.cmu.Lock()
	defer c.cmu.Unlock()
	if c.cancel != nil {
		c.cancel()
	}
}

func (c *conn) setCancel(cancel context.CancelFunc) {
	c.cmu.Lock()
	defer c.cmu.Unlock()
	c.cancel = cancel
}

// caller is who sits at the other end of the connection.
func (c *conn) caller() api.Caller {
	own := c.who.Role == access.Owner && (c.who.UID == 0 || c.who.UID == os.Getuid())
	return api.Caller{Owner: own, UID: c.who.UID, User: c.who.Name, Address: c.address}
}

// run executes a command. Its context ends with the server, by a cancel request, and
// when the client goes away.
func (c *conn) run(cmd *verb, args []string, r *reply) (failed error) {
	if err := c.renew(); err != nil {
		c.broken = err
		return err
	}
	began := time.Now()
	err := c.authorize(cmd, args)
	if cmd.audited(args) {
		if cmd.reads && err == nil {
			c.audit(cmd, args, began, "begun")
		}
		defer func() { c.audit(cmd, args, began, resultText(failed)) }()
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(api.WithCaller(c.srv.ctx, c.caller()))
	c.setCancel(cancel)
	defer cancel()
	defer c.setCancel(nil)
	if !cmd.reads {
		defer c.watch(cancel)()
	}
	end, err := c.begin(ctx, cmd)
	if err == nil {
		err = c.call(ctx, cmd, args, r)
		end()
	}
	if why := c.ending.Load(); why != nil {
		c.broken = *why
		return *why
	}
	if err != nil && ctx.Err() != nil && c.srv.ctx.Err() == nil {
		return api.Errorf(api.ErrTimeout, "%s: cancelled on request of the client", cmd.name)
	}
	return err
}

// call keeps a bug in one command from taking down the mounts of everyone.
func (c *conn) call(ctx context.Context, cmd *verb, args []string, r *reply) (err error) {
	defer func() {
		if p := recover(); p != nil {
			c.srv.opt.Log.Error("command panicked", "command", cmd.name, "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("%s: internal error: %v", cmd.name, p)
		}
	}()
	return cmd.run(ctx, &call{conn: c, svc: c.srv.svc, verbs: verbs, args: args, reply: r})
}

// watch calls gone when the client closes the connection. It reads ahead into the buffer
// only. The function that it returns ends the watch.
func (c *conn) watch(gone func()) (stop func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := c.br.Buffered() + 1; ; n = c.br.Buffered() + 1 {
			_, err := c.br.Peek(n)
			if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, bufio.ErrBufferFull) {
				return
			}
			if err != nil {
				gone()
				return
			}
		}
	}()
	return func() {
		c.wake()
		<-done
		if c.srv.ctx.Err() == nil {
			c.raw.SetReadDeadline(time.Time{})
		}
		if c.srv.ctx.Err() != nil { // Close may have come between
			c.wake()
		}
	}
}

// endExec tears down the throw-away postgres of this connection, if there is one.
func (c *conn) endExec() {
	if err := c.stopExecNow(); err != nil {
		c.srv.opt.Log.Error("tear down pg exec", "err", err)
	}
}

// dropTemporary drops the temporary slots of this connection that are still there.
func (c *conn) dropTemporary() {
	for _, drop := range c.ownSlots {
		if err := drop(); err != nil && !isKind(err, api.ErrNotFound) {
			c.srv.opt.Log.Error("drop temporary slot", "err", err)
		}
	}
}

// stopExecTimeout bounds the tear-down of a pg exec whose client is gone.
const stopExecTimeout = 2 * time.Minute

// stopExecNow does so and says how it went. The server's end does not cut it short.
func (c *conn) stopExecNow() error {
	if c.stopExec == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.srv.ctx), stopExecTimeout)
	defer cancel()
	stop := c.stopExec
	c.stopExec = nil
	return stop(ctx)
}

// send buffers a message.
func (c *conn) send(msg pgproto3.BackendMessage) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	return c.sendLocked(msg)
}

func (c *conn) sendLocked(msg pgproto3.BackendMessage) error {
	buf, err := msg.Encode(c.wbuf[:0])
	if err != nil {
		return fmt.Errorf("encode %T: %w", msg, err)
	}
	c.wbuf = buf[:0]
	if cap(c.wbuf) > copyChunk {
		c.wbuf = nil
	}
	_, err = c.bw.Write(buf)
	return err
}

func (c *conn) flush() error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	return c.bw.Flush()
}

// ready ends a cycle: the client may send the next command.
func (c *conn) ready() error {
	if err := c.send(&pgproto3.ReadyForQuery{TxStatus: c.txStatus}); err != nil {
		return err
	}
	return c.flush()
}

// sendError tells the client about err. The message is one line.
func (c *conn) sendError(severity string, err error) error {
	msg := strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "; ")
	sendErr := c.send(&pgproto3.ErrorResponse{
		Severity: severity, SeverityUnlocalized: severity, Code: sqlState(err), Message: msg,
	})
	if sendErr == nil && severity == "FATAL" {
		sendErr = c.flush()
	}
	return sendErr
}
