package pageserver_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgproto3/v2"
	"github.com/jackc/pgx/v5/pgconn"

	"zenith/internal/access"
	"zenith/internal/pageserver"
)

// TestOwnerGetsIn: however many connections strangers hold, the owner gets one.
func TestOwnerGetsIn(t *testing.T) {
	s := pageserver.New(newFake(), pageserver.Options{MaxConns: 2, Access: &access.Policy{OwnerUID: os.Getuid(), Method: access.Trust}})
	socket := must(pageserver.ListenSocket(openDir(t), 0o700))(t)
	port := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	for _, l := range []net.Listener{socket, port} {
		go s.Serve(l)
	}
	t.Cleanup(s.Close)
	for range 40 {
		if nc, err := net.Dial("tcp", port.Addr().String()); err == nil {
			defer nc.Close()
		}
	}
	must(dial(t, socket.Addr().String()).Status(t.Context()))(t)
}

// TestIdle: clients that say nothing for long are cut, in a COPY, too; the owner is not.
func TestIdle(t *testing.T) {
	o := pageserver.Options{IdleTimeout: 10 * time.Millisecond, Access: trust}
	addr := serveTCP(t, newFake(), o)
	for _, query := range []string{"", "pagestream " + tenantA + " main", "push_receive " + tenantA + " '{}'"} {
		w := connect(t, addr, nil)
		if query != "" {
			w.send(&pgproto3.Query{String: query})
		}
		var last *pgproto3.ErrorResponse
		for {
			msg, err := w.Receive()
			if err != nil {
				break
			}
			if e, ok := msg.(*pgproto3.ErrorResponse); ok {
				c := *e
				last = &c
			}
		}
		if last == nil || last.Code != "57P05" {
			t.Errorf("%q: the end is %+v", query, last)
		}
	}
	o.Access = nil
	owner := connect(t, serve(t, newFake(), o), nil)
	time.Sleep(3 * time.Second) // the server looks each second
	owner.query("status")
}

// lockedBuffer is a buffer for several goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestAudit: one line for each command that changes something or gives data out, and for each that was refused; with
// who did it, and with no secret.
func TestAudit(t *testing.T) {
	var out lockedBuffer
	o := pageserver.Options{Log: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelError}))}
	f := newFake()
	w := connect(t, serve(t, f, o), nil)
	for query, want := range map[string]string{
		"branch_create " + tenantA + " dev main":                            `command=branch_create args="` + tenantA + ` dev main" result=ok`,
		"export " + tenantA + " main":                                       `command=export args="` + tenantA + ` main" result=ok`,
		"callmemaybe " + tenantA + " main 'host=h user=u password=hidden1'": "command=callmemaybe",
		"pg_start " + tenantA + " main primary_conninfo=hidden2":            "primary_conninfo",
		"user_passwd ann 'hidden3'":                                         "command=user_passwd",
		"pagestream " + tenantA + " main":                                   "result=begun",
		"branch_list " + tenantA:                                            "",
		"SET a = hidden4":                                                   "",
	} {
		before := len(out.String())
		w.send(&pgproto3.Query{String: query})
		if strings.HasPrefix(query, "pagestream") {
			w.send(&pgproto3.CopyDone{})
		}
		w.untilReady()
		got := out.String()[before:]
		if !strings.Contains(got, want) || (want == "") != (got == "") || got != "" && !strings.Contains(got, "role=owner") {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	if strings.Contains(out.String(), "hidden") {
		t.Errorf("a secret is in the log:\n%s", out.String())
	}
}

// TestShare: no user takes more than half of all connections.
func TestShare(t *testing.T) {
	g := newGuardedWith(t, pageserver.Options{MaxConns: 6})
	var open []*pgconn.PgConn
	var refused error
	for range 6 {
		c, err := pgconn.Connect(t.Context(), g.conninfo("ann", "pässword", "sslmode=disable"))
		if err != nil {
			refused = err
			break
		}
		open = append(open, c)
	}
	var pe *pgconn.PgError
	if len(open) != 3 || !errors.As(refused, &pe) || pe.Code != "53300" {
		t.Errorf("%d connections, then %v", len(open), refused)
	}
	for _, c := range open {
		c.Close(context.Background())
	}
}

// TestWhatIsKept: what a client leaves behind in prepared statements has a bound.
func TestWhatIsKept(t *testing.T) {
	w := connect(t, serve(t, newFake(), pageserver.Options{}), nil)
	long := "set a = " + strings.Repeat("x", 1<<19)
	for i := range 400 {
		w.send(&pgproto3.Parse{Name: string(rune('A' + i)), Query: long})
	}
	w.send(&pgproto3.Sync{})
	if e := find[*pgproto3.ErrorResponse](t, w.untilReady()); e.Code != "53400" {
		t.Errorf("got %+v", e)
	}
}
