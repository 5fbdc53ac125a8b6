package tenants

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"zenith/internal/api"
	"zenith/internal/egress"
	"zenith/repo/receiver"
)

// stranger gives a context of a caller who is not the owner.
func stranger(t *testing.T) context.Context {
	return api.WithCaller(t.Context(), api.Caller{UID: api.NoUID, User: "someone"})
}

// TestStrangerSeesNoPorts has a stranger name servers on this machine: one that is there, a port at which
// something else listens, one that is closed. Nothing is connected to, and the answers are the same.
func TestStrangerSeesNoPorts(t *testing.T) {
	t.Parallel()
	near, far, _ := pair(t)
	near.advance(t, near.branchOf(t, MainBranch), 10)
	if _, err := near.push(t, MainBranch); err != nil {
		t.Fatal(err)
	}
	far.SetEgress(Egress{Discreet: 50 * time.Millisecond})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	reached := make(chan net.Addr, 10)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			reached <- c.RemoteAddr()
			c.Close()
		}
	}()
	_, open, _ := net.SplitHostPort(l.Addr().String())
	answers := map[string]string{}
	for _, conninfo := range []string{near.serve(t), "host=127.0.0.1 port=" + open + " user=x", "host=localhost port=" + open + " user=x", nowhere} {
		began := time.Now()
		err := far.ReceiveStart(stranger(t), tenantA, MainBranch, conninfo)
		if err == nil {
			t.Fatalf("%s: followed", conninfo)
		}
		if took := time.Since(began); took < 50*time.Millisecond {
			t.Errorf("%s: refused after %v", conninfo, took)
		}
		_, what, _ := strings.Cut(err.Error(), "127.0.0.1:")
		if _, local, found := strings.Cut(err.Error(), "localhost:"); found {
			what = local
		}
		_, what, _ = strings.Cut(what, ":") // behind the port
		answers[what] += conninfo + "; "
	}
	if len(answers) != 1 {
		t.Errorf("the answers differ: %q", answers)
	}
	select {
	case addr := <-reached:
		t.Errorf("the page server connected from %v", addr)
	default:
	}
}

// TestStrangerFollowsWhatIsAllowed has a list allow loopback: then a stranger's receiver works, and reasons
// are told. What a stranger's string may have does not depend on that, and a restart changes nothing.
func TestStrangerFollowsWhatIsAllowed(t *testing.T) {
	t.Parallel()
	near, far, _, main, _ := pushedPair(t)
	list, err := egress.Parse([]string{"127.0.0.0/8"})
	if err != nil {
		t.Fatal(err)
	}
	far.SetEgress(Egress{Receive: list})
	conninfo := near.serve(t)
	for _, more := range []string{" passfile=/etc/passwd", " sslkey=/etc/passwd sslcert=/etc/passwd", " service=x", " sslrootcert=/etc/passwd", " host=/tmp"} {
		err := far.ReceiveStart(stranger(t), tenantA, MainBranch, conninfo+more)
		wantKind(t, more, err, api.ErrNotAllowed)
	}
	err = far.ReceiveStart(stranger(t), tenantA, MainBranch, nowhere)
	if err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("nothing listens there: %v", err)
	}
	if err := far.ReceiveStart(stranger(t), tenantA, MainBranch, conninfo); err != nil {
		t.Fatal(err)
	}
	near.advance(t, main, 10)
	streams := func() bool {
		r := far.receiverOn(t)
		return r.Status == receiver.Streaming && r.Applied == main.tl.LastLSN()
	}
	waitFor(t, "WAL is received", streams)
	tn, release, err := far.tenant(t.Context(), tenantA)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	kept, err := receiverKind.Read(tn.receiverPath(main.tl.ID()))
	if err != nil || !kept.Stranger {
		t.Errorf("kept %+v, %v", kept, err)
	}

	// A list that changes counts at the next attempt, also of a receiver that was made before.
	server, err := far.parseServer(kept)
	if err != nil {
		t.Fatal(err)
	}
	nothing, err := egress.Parse(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := receiver.Check(t.Context(), server, main.tl); err != nil {
		t.Errorf("before the change: %v", err)
	}
	far.SetEgress(Egress{Receive: nothing})
	if err := receiver.Check(t.Context(), server, main.tl); err == nil || !strings.Contains(err.Error(), egress.ErrRefused.Error()) {
		t.Errorf("after the change: %v", err)
	}
}

// TestStrangerPushes has a stranger push: the dialer is given what decides on addresses, and the reason of a
// failure stays here.
func TestStrangerPushes(t *testing.T) {
	t.Parallel()
	near, _, _ := pair(t)
	near.advance(t, near.branchOf(t, MainBranch), 10)
	near.SetEgress(Egress{Discreet: 10 * time.Millisecond})
	loopback := netip.MustParseAddr("127.0.0.1")
	near.Manager.cfg.Dial = func(_ context.Context, to string, allow func(string, netip.Addr) bool) (Peer, error) {
		if allow == nil || allow(to, loopback) {
			t.Error("loopback may be dialled")
		}
		return nil, fmt.Errorf("%s: secret reason", to)
	}
	_, err := near.Push(stranger(t), tenantA, MainBranch, api.PushOptions{To: "localhost:1", Progress: noProgress})
	if !errors.Is(err, api.ErrUnavailable) || strings.Contains(err.Error(), "secret") {
		t.Errorf("a stranger is told %v", err)
	}
	for _, to := range []string{"host=h passfile=/etc/passwd", "host=h sslkey=/etc/passwd", "postgresql://h/?sslrootcert=/etc/passwd", "host=/run/x"} {
		_, err := near.Push(stranger(t), tenantA, MainBranch, api.PushOptions{To: to, Progress: noProgress})
		wantKind(t, to, err, api.ErrNotAllowed)
	}
	_, err = near.Push(t.Context(), tenantA, MainBranch, api.PushOptions{To: "host=h service=x", Progress: noProgress})
	wantKind(t, "a service of the owner", err, api.ErrNotAllowed)
}
