package pageserver_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"zenith/internal/api"
	"zenith/internal/pageserver"
	"zenith/internal/pg"
)

// endless is a stream without end that counts what was read of it.
type endless struct{ n int64 }

func (e *endless) Read(p []byte) (int, error) {
	e.n += int64(len(p))
	return len(p), nil
}

// TestPushPassesThrough calls what a push is made of through server and client.
func TestPushPassesThrough(t *testing.T) {
	f := newFake()
	c := dial(t, serve(t, f, pageserver.Options{}))
	ctx := t.Context()
	told := ""
	p := func(what string, _, _ int64) { told = what }
	res := must(c.Push(ctx, tenantA, "my branch", api.PushOptions{To: "host=db7", Tenant: lineA, Progress: p}))(t)
	equal(t, res, api.PushResult{Tenant: lineA, From: new(pg.LSN(0x1000000)), LSN: 0x16B3748, Bytes: 7})
	equal(t, f.last(), "push "+tenantA+` "my branch" to "host=db7"`)
	equal(t, told, "push my branch")

	offer := api.Offer{TimelineID: lineA, Name: `it's "b"`, SysID: 1<<64 - 1, TLI: 1, SegSize: 1 << 24, Parent: lineB, Start: 8, From: 16, To: 1<<63 + 8}
	held := must(c.PushOffer(ctx, tenantA, offer))(t)
	equal(t, held, api.Held{There: true, Name: offer.Name, Head: offer.To, Files: map[string]string{"a b@1": "x"}})
	equal(t, must(c.WALSum(ctx, tenantA, lineA, 0x10, 0x20))(t), "abcd")
	equal(t, f.last(), "sum "+tenantA+" "+lineA+" 0/10 0/20")

	for _, size := range []int64{0, 1, 64 << 10, 3<<20 + 17} {
		must(0, c.PushReceive(ctx, tenantA, offer, io.LimitReader(&endless{}, size)))(t)
	}
	equal(t, f.last(), "receive "+tenantA+" "+lineA+": 3145745")
}

// TestPushBreaksOff: an error of either end stops the stream at once, and the connection lives on.
func TestPushBreaksOff(t *testing.T) {
	f := newFake()
	c := dial(t, serve(t, f, pageserver.Options{}))
	f.failAt = 100
	if err := c.PushReceive(t.Context(), tenantA, api.Offer{}, &endless{}); !errors.Is(err, api.ErrNotAllowed) {
		t.Errorf("refused: %v", err)
	}
	f.failAt = 0
	broken := io.MultiReader(strings.NewReader("some"), failing{})
	if err := c.PushReceive(t.Context(), tenantA, api.Offer{}, broken); err == nil || !strings.Contains(err.Error(), "disk on fire") {
		t.Errorf("the source broke: %v", err)
	}
	must(c.TenantList(t.Context()))(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancelling := io.MultiReader(io.LimitReader(&endless{}, 1<<20), stopping{cancel}, &endless{})
	if err := c.PushReceive(ctx, tenantA, api.Offer{}, cancelling); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	must(c.TenantList(t.Context()))(t)
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("disk on fire") }

type stopping struct{ stop func() }

func (s stopping) Read([]byte) (int, error) {
	s.stop()
	return 0, io.EOF
}

// TestPushServerGoes: the server's end ends the client's stream.
func TestPushServerGoes(t *testing.T) {
	f := newFake()
	f.panics = true // read nothing: the answer is an error, while the client still writes
	c := dial(t, serve(t, f, pageserver.Options{}))
	if err := c.PushReceive(t.Context(), tenantA, api.Offer{}, io.LimitReader(&endless{}, 4<<20)); err == nil {
		t.Error("a bug of the server was no error")
	}
	must(0, c.Close())(t)
	if err := c.PushReceive(t.Context(), tenantA, api.Offer{}, &endless{}); err == nil {
		t.Error("a closed connection was no error")
	}
}
