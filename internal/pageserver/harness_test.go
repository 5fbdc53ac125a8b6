package pageserver_test

import (
	"bufio"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/chunkreader/v2"
	"github.com/jackc/pgproto3/v2"

	"zenith/internal/access"
	"zenith/internal/api"
	"zenith/internal/pageserver"
)

// serve runs a server for svc on a unix socket, whose owner this test is, and gives its address. The test fails if it leaves connections behind.
func serve(t *testing.T, svc api.Service, o pageserver.Options) string {
	t.Helper()
	l, err := pageserver.ListenSocket(openDir(t), 0o700)
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, l, svc, o)
}

// trust lets in whoever reaches the port.
var trust = &access.Policy{Method: access.Trust}

// serveTCP is serve with a port.
func serveTCP(t *testing.T, svc api.Service, o pageserver.Options) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, l, svc, o)
}

func serveOn(t *testing.T, l net.Listener, svc api.Service, o pageserver.Options) string {
	t.Helper()
	if o.Access == nil {
		o.Access = &access.Policy{OwnerUID: os.Getuid()}
	}
	s := pageserver.New(svc, o)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return l.Addr().String()
}

// dial connects a Client.
func dial(t *testing.T, addr string) *pageserver.Client {
	t.Helper()
	c, err := pageserver.Dial(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// wire is a client that sends exactly what a test says.
type wire struct {
	t *testing.T
	net.Conn
	*pgproto3.Frontend
	key pgproto3.BackendKeyData
}

// network gives the network of an address.
func network(addr string) string {
	if strings.HasPrefix(addr, "/") {
		return "unix"
	}
	return "tcp"
}

// connect opens a raw connection, and starts it up.
func connect(t *testing.T, addr string, params map[string]string) *wire {
	t.Helper()
	w := rawConnect(t, addr)
	if params == nil {
		params = map[string]string{}
	}
	params["user"] = "u"
	w.send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersionNumber, Parameters: params})
	for _, msg := range w.untilReady() {
		if key, ok := msg.(*pgproto3.BackendKeyData); ok {
			w.key = *key
		}
	}
	return w
}

// patience is how long a test waits for what must come, on a machine that is busy with other things.
const patience = 2 * time.Minute

func rawConnect(t *testing.T, addr string) *wire {
	t.Helper()
	nc, err := net.Dial(network(addr), addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(patience))
	return &wire{t: t, Conn: nc, Frontend: pgproto3.NewFrontend(chunkreader.New(bufio.NewReader(nc)), nc)}
}

func (w *wire) send(msgs ...pgproto3.FrontendMessage) {
	w.t.Helper()
	for _, m := range msgs {
		if err := w.Frontend.Send(m); err != nil {
			w.t.Fatal(err)
		}
	}
}

// next receives a message and copies it, as the library reuses them.
func (w *wire) next() pgproto3.BackendMessage {
	w.t.Helper()
	msg, err := w.Receive()
	if err != nil {
		w.t.Fatalf("receive: %v", err)
	}
	switch m := msg.(type) {
	case *pgproto3.DataRow:
		values := make([][]byte, len(m.Values))
		for i, v := range m.Values {
			if v != nil {
				values[i] = append([]byte{}, v...)
			}
		}
		return &pgproto3.DataRow{Values: values}
	case *pgproto3.ErrorResponse:
		c := *m
		return &c
	case *pgproto3.BackendKeyData:
		c := *m
		return &c
	case *pgproto3.ParameterStatus:
		c := *m
		return &c
	case *pgproto3.CopyData:
		return &pgproto3.CopyData{Data: append([]byte{}, m.Data...)}
	case *pgproto3.CommandComplete:
		return &pgproto3.CommandComplete{CommandTag: append([]byte{}, m.CommandTag...)}
	}
	return msg
}

// untilReady gives the messages up to ReadyForQuery, that included.
func (w *wire) untilReady() []pgproto3.BackendMessage {
	w.t.Helper()
	var all []pgproto3.BackendMessage
	for {
		msg := w.next()
		all = append(all, msg)
		if _, ok := msg.(*pgproto3.ReadyForQuery); ok {
			return all
		}
	}
}

// query runs a simple query.
func (w *wire) query(q string) []pgproto3.BackendMessage {
	w.t.Helper()
	w.send(&pgproto3.Query{String: q})
	return w.untilReady()
}

// find gives the first message of type M.
func find[M pgproto3.BackendMessage](t *testing.T, msgs []pgproto3.BackendMessage) M {
	t.Helper()
	for _, m := range msgs {
		if got, ok := m.(M); ok {
			return got
		}
	}
	var none M
	t.Fatalf("no %T in %#v", none, msgs)
	return none
}

// count counts the messages of type M.
func count[M pgproto3.BackendMessage](msgs []pgproto3.BackendMessage) int {
	n := 0
	for _, m := range msgs {
		if _, ok := m.(M); ok {
			n++
		}
	}
	return n
}
