package pageserver_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/chunkreader/v2"
	"github.com/jackc/pgproto3/v2"
	"github.com/jackc/pgx/v5/pgconn"

	"zenith/internal/access"
	"zenith/internal/pageserver"
)

// refusedWith gives the SQLSTATE of an answer, "" if it is no error.
func refusedWith(msgs []pgproto3.BackendMessage) string {
	for _, m := range msgs {
		if e, ok := m.(*pgproto3.ErrorResponse); ok {
			return e.Code
		}
	}
	return ""
}

// TestLimitOfMemory: what a client has a server keep is counted over all its connections, and not any more when it is
// closed, dropped by Sync, taken the place of, or its connection ends.
func TestLimitOfMemory(t *testing.T) {
	limits := access.RoleLimits{access.Admin: {Commands: 1000, Streams: 10, Memory: 3 << 20}}
	f := newFake()
	f.lines = strings.Repeat(strings.Repeat("x", 1000)+"\n", 1000)
	addr := serveTCP(t, f, pageserver.Options{Access: trust, Limits: limits})
	long := "set a = " + strings.Repeat("x", 1000000)
	parse := func(w *wire, name string) string {
		w.send(&pgproto3.Parse{Name: name, Query: long}, &pgproto3.Sync{})
		return refusedWith(w.untilReady())
	}
	rows := func(w *wire) string {
		w.send(&pgproto3.Parse{Query: "wal_dump T main"}, &pgproto3.Bind{}, &pgproto3.Execute{MaxRows: 1}, &pgproto3.Sync{})
		return refusedWith(w.untilReady())
	}
	one, two := connect(t, addr, nil), connect(t, addr, nil)
	for n, step := range []struct {
		do   func() string
		want string
	}{
		{func() string { return parse(one, "a") }, ""},
		{func() string { return parse(two, "") }, ""},
		{func() string { return parse(two, "") }, ""}, // in the place of the last one
		{func() string { return rows(one) }, ""},      // the portal goes with Sync
		{func() string { return rows(one) }, ""},
		{func() string { return parse(one, "b") }, ""},
		{func() string { return parse(two, "c") }, "53400"}, // two of these have three already
		{func() string { return rows(one) }, "53400"},
		{func() string {
			one.send(&pgproto3.Close{ObjectType: 'S', Name: "b"}, &pgproto3.Sync{})
			return refusedWith(one.untilReady())
		}, ""},
		{func() string { return parse(two, "c") }, ""},
		{func() string { return parse(two, "d") }, "53400"},
	} {
		if got := step.do(); got != step.want {
			t.Errorf("step %d: %q, want %q", n, got, step.want)
		}
	}
	one.Close() // and what it had
	for end := time.Now().Add(patience); parse(two, fmt.Sprint(time.Now())) != ""; {
		if time.Now().After(end) {
			t.Fatal("what a connection had is still counted after its end")
		}
	}
}

// TestLimitOfStreams: a client has so many streams at once, by whichever connection, and others have theirs. The limits
// of a server that runs can be changed.
func TestLimitOfStreams(t *testing.T) {
	g := newGuardedWith(t, pageserver.Options{Limits: access.RoleLimits{access.Reader: {Commands: 1000, Streams: 2, Memory: 1 << 20}}})
	must(0, g.store.CreateUser("bob", access.Grant{Role: access.Reader}, must(access.NewVerifier("x"))(t)))(t)
	stream := func(user, password string) (end func(), refused string) {
		c := must(pgconn.Connect(t.Context(), g.conninfo(user, password, "sslmode=disable")))(t)
		nc := must(c.Hijack())(t).Conn
		t.Cleanup(func() { nc.Close() })
		w := &wire{t: t, Conn: nc, Frontend: pgproto3.NewFrontend(chunkreader.New(nc), nc)}
		nc.SetDeadline(time.Now().Add(patience))
		w.send(&pgproto3.Query{String: "pagestream " + tenantA + " main"})
		if e, failed := w.next().(*pgproto3.ErrorResponse); failed {
			refused = e.Code
		}
		return func() { nc.Close() }, refused
	}
	end, refused := stream("ann", "pässword")
	second, also := stream("ann", "pässword")
	defer second()
	if _, third := stream("ann", "pässword"); refused+also != "" || third != "53300" {
		t.Errorf("got %q, %q and %q, want the third refused", refused, also, third)
	}
	if _, got := stream("bob", "x"); got != "" {
		t.Errorf("another user is refused: %s", got)
	}
	end()
	again := func(what string) {
		t.Helper()
		for limit := time.Now().Add(patience); ; {
			end, got := stream("ann", "pässword")
			if got == "" {
				return
			}
			end()
			if time.Now().After(limit) {
				t.Fatal(what)
			}
		}
	}
	again("a stream that ended is still counted")
	g.server.SetLimits(access.RoleLimits{access.Reader: {Commands: 1000, Streams: 3, Memory: 1 << 20}})
	again("a higher limit does not count")
}

// TestLimitOfCommands: a client's commands beyond its limit wait; the owner's do not.
func TestLimitOfCommands(t *testing.T) {
	limits := access.RoleLimits{access.Admin: {Commands: 20, Streams: 1, Memory: 1 << 20}}
	o := pageserver.Options{Access: trust, Limits: limits}
	took := func(addr string) time.Duration {
		one, two := connect(t, addr, nil), connect(t, addr, nil)
		began := time.Now()
		for range 20 {
			one.query("show ssl")
			two.query("show ssl")
		}
		return time.Since(began)
	}
	if d := took(serveTCP(t, newFake(), o)); d < 900*time.Millisecond {
		t.Errorf("40 commands at 20 a second, and 20 at once, took %v", d)
	}
	o.Access = nil
	addr := serve(t, newFake(), o)
	for end := time.Now().Add(patience); took(addr) > 900*time.Millisecond; { // unless the machine is busy
		if time.Now().After(end) {
			t.Fatal("the owner waits, too")
		}
	}
}
