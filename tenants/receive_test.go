package tenants

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"zenith/internal/access"
	"zenith/internal/api"
	"zenith/internal/pageserver"
	"zenith/repo/receiver"
)

// serve puts a Manager on the wire, and gives the conninfo of its main branch for replication.
func (f *fixture) serve(t *testing.T) (conninfo string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := pageserver.New(f.Manager, pageserver.Options{Access: &access.Policy{Method: access.Trust}, Log: f.cfg.Log, Replication: f.Manager})
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		<-served
	})
	return fmt.Sprintf("host=127.0.0.1 port=%d user=postgres dbname=%s/main sslmode=disable", l.Addr().(*net.TCPAddr).Port, tenantA)
}

// receiverOn gives the receiver of main.
func (f *fixture) receiverOn(t testing.TB) api.Receiver {
	t.Helper()
	list, err := f.ReceiveList(t.Context(), tenantA)
	if err != nil || len(list) != 1 {
		t.Fatalf("receivers %+v, %v; want one", list, err)
	}
	return list[0]
}

// TestReceive follows a server, here another page server's branch, through a restart.
func TestReceive(t *testing.T) {
	t.Parallel()
	near, far, _, main, h := pushedPair(t)
	conninfo := near.serve(t)
	if err := far.ReceiveStart(t.Context(), tenantA, MainBranch, conninfo+" password=secret"); err != nil {
		t.Fatal(err)
	}
	there := func() *branch {
		t.Helper()
		b, release, err := far.lookup(t.Context(), tenantA, MainBranch)
		if err != nil {
			t.Fatal(err)
		}
		release() // the receiver keeps the tenant open
		return b
	}
	b := there()
	near.advance(t, main, 20)
	waitFor(t, "WAL is received", func() bool { return b.tl.LastLSN() == main.tl.LastLSN() })
	waitFor(t, "the receiver says so", func() bool {
		r := far.receiverOn(t)
		return r.Status == receiver.Streaming && r.Applied == main.tl.LastLSN() && r.LagBytes != nil && *r.LagBytes == 0 && *r.LagSeconds == 0 && r.LastError == ""
	})
	if r := far.receiverOn(t); r.Branch != MainBranch || strings.Contains(r.ConnInfo, "secret") || !strings.Contains(r.ConnInfo, "127.0.0.1") {
		t.Errorf("got %+v", r)
	}
	err := far.ReceiveStart(t.Context(), tenantA, MainBranch, conninfo)
	wantKind(t, "a second receiver", err, api.ErrBusy, "is taken by a WAL receiver")
	wantKind(t, "delete the branch", far.BranchDelete(t.Context(), tenantA, MainBranch, true), api.ErrBusy, "is taken by a WAL receiver")
	_, err = far.PgStart(t.Context(), tenantA, MainBranch, set())
	wantKind(t, "postgres on it", err, api.ErrBusy, "is taken by a WAL receiver")
	if n := far.closeIdleNow(); n != 0 {
		t.Error("a tenant that is followed into was closed")
	}

	far.restart(t)
	far.Resume()
	waitFor(t, "the receiver is started again", func() bool { return len(far.openTenants()) == 1 })
	b = there()
	near.advance(t, main, -1)
	waitFor(t, "WAL is received after a restart", func() bool { return b.tl.LastLSN() == h.end() })
	kept := filepath.Join(far.cfg.Dir, "tenants", tenantA, "receivers", b.tl.ID().String())
	if fi, err := os.Stat(kept); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("the file with the password: %v, %v", fi, err)
	}
	if err := far.ReceiveStop(t.Context(), tenantA, MainBranch); err != nil {
		t.Fatal(err)
	}
	wantKind(t, "stop it again", far.ReceiveStop(t.Context(), tenantA, MainBranch), api.ErrNotFound, "has no receiver")
	if exists(kept) || b.acquire("a test") != nil {
		t.Error("its file is left, or the branch is taken")
	}
	sameHistory(t, near, far, MainBranch)
}

// TestReceiveRefuses a server that cannot be followed, at once, and gives the branch back.
func TestReceiveRefuses(t *testing.T) {
	t.Parallel()
	near, far, _, _, _ := pushedPair(t)
	there := far.branchOf(t, MainBranch)
	far.advance(t, there, 10) // beyond the server
	conninfo := near.serve(t)
	for _, c := range []struct {
		what, conninfo string
		kind           error
	}{
		{"no conninfo", "port=x", api.ErrBadArgument},
		{"no server", nowhere, nil},
		{"no branch there", strings.Replace(conninfo, "/main", "/none", 1), nil},
		{"a server that is behind", conninfo, api.ErrNotAllowed},
	} {
		err := far.ReceiveStart(t.Context(), tenantA, MainBranch, c.conninfo)
		if err == nil || c.kind != nil && !errors.Is(err, c.kind) {
			t.Errorf("%s: got %v, want %v", c.what, err, c.kind)
		}
		if err := there.acquire("a test"); err != nil {
			t.Errorf("%s: the branch is taken: %v", c.what, err)
		}
		there.release()
	}
	if left, err := os.ReadDir(filepath.Join(far.cfg.Dir, "tenants", tenantA, "receivers")); len(left) > 0 {
		t.Errorf("files %v are left, %v", left, err)
	}
}

// TestReceiveSet has a receiver go on at another address of its server, now and after a restart. An address
// where it cannot go on is refused, and the old one stays.
func TestReceiveSet(t *testing.T) {
	t.Parallel()
	near, far, _, main, _ := pushedPair(t)
	before, after := near.serve(t), near.serve(t)
	wantKind(t, "before there is one", far.ReceiveSet(t.Context(), tenantA, MainBranch, after), api.ErrNotFound, "has no receiver")
	if err := far.ReceiveStart(t.Context(), tenantA, MainBranch, before); err != nil {
		t.Fatal(err)
	}
	if err := far.ReceiveSet(t.Context(), tenantA, MainBranch, nowhere); err == nil {
		t.Error("a server that is not there was taken")
	}
	follows := func(conninfo string) {
		t.Helper()
		near.advance(t, main, 10)
		port := strings.Fields(conninfo)[1]
		waitFor(t, "WAL is received from "+port, func() bool {
			r := far.receiverOn(t)
			return r.Status == receiver.Streaming && strings.Contains(r.ConnInfo, port) && r.Applied == main.tl.LastLSN() && r.Since != nil
		})
	}
	follows(before)
	if err := far.ReceiveSet(t.Context(), tenantA, MainBranch, after); err != nil {
		t.Fatal(err)
	}
	follows(after)
	far.restart(t)
	far.Resume()
	waitFor(t, "the receiver is started again", func() bool { return len(far.openTenants()) == 1 })
	follows(after)
	if err := far.ReceiveStop(t.Context(), tenantA, MainBranch); err != nil {
		t.Fatal(err)
	}
	sameHistory(t, near, far, MainBranch)
}
