package tenants

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"

	"zenith/internal/api"
	"zenith/internal/pg"
)

// directPeer is a page server in this process.
type directPeer struct {
	*Manager
	// cut, if it is not 0, is after how many bytes streams break off.
	cut int64
}

func (p *directPeer) Addr() string { return "peer:6400" }
func (p *directPeer) Close() error { return nil }

// PushReceive passes a stream on, or its beginning.
func (p *directPeer) PushReceive(ctx context.Context, tenant string, o api.Offer, r io.Reader) error {
	if p.cut == 0 {
		return p.Manager.PushReceive(ctx, tenant, o, r)
	}
	if err := p.Manager.PushReceive(ctx, tenant, o, io.LimitReader(r, p.cut)); !errors.Is(err, api.ErrProtocol) {
		return errors.Join(errors.New("a stream that breaks off is taken for a whole one"), err)
	}
	return api.Errorf(api.ErrUnavailable, "the network is gone")
}

// pair makes a page server with tenantA and one without tenants, to which it can push.
func pair(t *testing.T) (near, far *fixture, peer *directPeer) {
	t.Helper()
	far = emptyManager(t, Config{})
	peer = &directPeer{Manager: far.Manager}
	near = newManager(t, Config{Dial: func(context.Context, string, func(string, netip.Addr) bool) (Peer, error) { return peer, nil }})
	return near, far, peer
}

// pushedPair is a pair of which both have the branch main, and in it the history that near has given it.
func pushedPair(t *testing.T) (near, far *fixture, peer *directPeer, main *branch, h *history) {
	t.Helper()
	near, far, peer = pair(t)
	main = near.branchOf(t, MainBranch)
	h = near.advance(t, main, 10)
	if _, err := near.push(t, MainBranch); err != nil {
		t.Fatal(err)
	}
	return near, far, peer, main, h
}

func (f *fixture) push(t testing.TB, name string) (api.PushResult, error) {
	t.Helper()
	return f.Push(t.Context(), tenantA, name, api.PushOptions{To: "peer", Progress: noProgress})
}

// sameHistory compares a branch on two page servers: where it ends, its WAL, and pages.
func sameHistory(t *testing.T, a, b *fixture, name string) {
	t.Helper()
	x, y := a.branchOf(t, name), b.branchOf(t, name)
	if x.tl.ID() != y.tl.ID() || x.tl.LastLSN() != y.tl.LastLSN() {
		t.Fatalf("%s: timeline %v at %v, there %v at %v", name, x.tl.ID(), x.tl.LastLSN(), y.tl.ID(), y.tl.LastLSN())
	}
	var sums [2]string
	var errs [2]error
	for i, f := range []*fixture{a, b} {
		sums[i], errs[i] = f.WALSum(t.Context(), tenantA, name, y.tl.FirstLSN(), x.tl.LastLSN())
	}
	if err := errors.Join(errs[:]...); err != nil || sums[0] != sums[1] {
		t.Errorf("%s: the WAL differs, %v", name, err)
	}
	for _, path := range append(relations(t, x, "global")[:3], relations(t, x, "base/1")[:20]...) {
		p, perr := a.ReadPage(t.Context(), tenantA, name, path, 0)
		q, qerr := b.ReadPage(t.Context(), tenantA, name, path, 0)
		if err := errors.Join(perr, qerr); err != nil || !bytes.Equal(p, q) {
			t.Errorf("%s: %s differs: %v", name, path, err)
		}
	}
	var problems []string
	res, err := b.Check(t.Context(), tenantA, name, func(p string) error { problems = append(problems, p); return nil }, noProgress)
	if err != nil || len(problems) > 0 || res.Pages == 0 {
		t.Errorf("check there: %+v, %v, %q", res, err, problems)
	}
}

// TestPush: a branch is there afterwards with all its history, and the next push sends what is new.
func TestPush(t *testing.T) {
	t.Parallel()
	near, far, _ := pair(t)
	main := near.branchOf(t, MainBranch)
	h := near.advance(t, main, 40)
	if err := main.tl.PutFile(t.Context(), "postgresql.auto.conf", []byte("work_mem = '7MB'\n")); err != nil {
		t.Fatal(err)
	}
	first, err := near.push(t, MainBranch)
	if err != nil || first.From != nil || first.LSN != h.ends[40] || first.Tenant != tenantA {
		t.Fatalf("the first push: %+v, %v", first, err)
	}
	sameHistory(t, near, far, MainBranch)
	again, err := near.push(t, MainBranch)
	if err != nil || again.From == nil || *again.From != h.ends[40] || again.Bytes != 0 {
		t.Errorf("a push of nothing: %+v, %v", again, err)
	}
	near.advance(t, main, -1)
	next, err := near.push(t, MainBranch)
	if err != nil || next.LSN != h.end() || next.Bytes < int64(h.end()-h.ends[40]) || next.Bytes >= first.Bytes {
		t.Errorf("a push of WAL: %+v, %v; the first one sent %d bytes", next, err, first.Bytes)
	}
	sameHistory(t, near, far, MainBranch)
	view, err := far.branchOf(t, MainBranch).view(t.Context(), h.end())
	if err != nil {
		t.Fatal(err)
	}
	if got := readTree(t, view, "postgresql.auto.conf"); got != "work_mem = '7MB'\n" {
		t.Errorf("a file that was set is %q there", got)
	}
	far.restart(t)
	if got, err := far.LSN(t.Context(), tenantA, MainBranch); err != nil || got != h.end() {
		t.Errorf("after a restart there: %v, %v", got, err)
	}
}

// TestPushBranch: what a branch descends from goes first, called by its id, until it is pushed itself.
func TestPushBranch(t *testing.T) {
	t.Parallel()
	near, far, _ := pair(t)
	main := near.branchOf(t, MainBranch)
	h := near.advance(t, main, 40)
	if _, err := near.BranchCreate(t.Context(), tenantA, "child", "main@"+h.ends[20].String(), api.BranchOptions{}); err != nil {
		t.Fatal(err)
	}
	child := near.branchOf(t, "child")
	if err := errors.Join(child.tl.MakeDirs(), child.tl.PrepareWAL()); err != nil {
		t.Fatal(err)
	}
	if _, err := near.push(t, "child"); err != nil {
		t.Fatal(err)
	}
	sameHistory(t, near, far, "child")
	list, err := far.BranchList(t.Context(), tenantA)
	if err != nil || len(list) != 2 || list[0].Name != main.tl.ID().String() || list[0].LatestValidLSN != h.ends[20] {
		t.Errorf("branches there: %+v, %v", list, err)
	}
	if _, err := near.push(t, MainBranch); err != nil {
		t.Fatal(err)
	}
	sameHistory(t, near, far, MainBranch)
}

// TestPushRefuses what would lose history there, or is of another cluster.
func TestPushRefuses(t *testing.T) {
	t.Parallel()
	near, far, peer, main, _ := pushedPair(t)
	there := far.branchOf(t, MainBranch)
	far.advance(t, there, 10)
	_, err := near.push(t, MainBranch)
	wantKind(t, "a branch that was written to there", err, api.ErrNotAllowed, "push main", "peer:6400", "written to on its own")
	near.advance(t, main, 30)
	if err := there.acquire("a test"); err != nil {
		t.Fatal(err)
	}
	_, err = near.push(t, MainBranch)
	wantKind(t, "a branch that is taken there", err, api.ErrBusy, "is taken by a test")
	there.release()

	o := (&pusher{}).offer(main.tl, MainBranch, main.tl.LastLSN())
	for _, c := range []struct {
		what   string
		change func(*api.Offer)
		kind   error
		says   string
	}{
		{"another cluster", func(o *api.Offer) { o.SysID++ }, api.ErrNotAllowed, "another cluster"},
		{"other segments", func(o *api.Offer) { o.SegSize *= 2 }, api.ErrNotAllowed, "segments"},
		{"another branch of that name", func(o *api.Offer) { o.TimelineID = tenantB }, api.ErrNotAllowed, "is another one"},
		{"no timeline id", func(o *api.Offer) { o.TimelineID = "x" }, api.ErrBadArgument, ""},
	} {
		changed := o
		c.change(&changed)
		_, err := far.PushOffer(t.Context(), tenantA, changed)
		wantKind(t, "offer of "+c.what, err, c.kind, c.says)
		wantKind(t, "stream of "+c.what, far.PushReceive(t.Context(), tenantA, changed, strings.NewReader("")), c.kind, c.says)
	}
	_, err = near.Push(t.Context(), tenantA, MainBranch, api.PushOptions{Tenant: "x", Progress: noProgress})
	wantKind(t, "no tenant id there", err, api.ErrBadArgument)
	peer.Manager = &Manager{closed: true, cfg: far.cfg}
	_, err = near.push(t, MainBranch)
	wantKind(t, "a peer that shuts down", err, api.ErrUnavailable)
	near.Manager.cfg.Dial = func(context.Context, string, func(string, netip.Addr) bool) (Peer, error) {
		return nil, api.Errorf(api.ErrUnavailable, "no such host")
	}
	_, err = near.push(t, MainBranch)
	wantKind(t, "no peer", err, api.ErrUnavailable, "no such host")
}

// TestPushBreaksOff: what came before a stream broke off stays if it can be used, and the next push
// goes on from there. An image that is not whole leaves nothing.
func TestPushBreaksOff(t *testing.T) {
	t.Parallel()
	near, far, peer := pair(t)
	main := near.branchOf(t, MainBranch)
	near.advance(t, main, 10)
	for _, cut := range []int64{1, 100 << 10, 1 << 20} {
		peer.cut = cut
		_, err := near.push(t, MainBranch)
		wantKind(t, "an image that breaks off", err, api.ErrUnavailable, "network")
		if list, err := far.BranchList(t.Context(), tenantA); err != nil || len(list) != 0 {
			t.Errorf("cut at %d: branches %v are there, %v", cut, list, err)
		}
	}
	peer.cut = 0
	if _, err := near.push(t, MainBranch); err != nil {
		t.Fatal(err)
	}
	before := main.tl.LastLSN()
	h := near.advance(t, main, -1)
	peer.cut = int64(h.end()-before) / 2
	_, err := near.push(t, MainBranch)
	wantKind(t, "WAL that breaks off", err, api.ErrUnavailable)
	there, err := far.LSN(t.Context(), tenantA, MainBranch)
	if err != nil || there <= before || there >= h.end() {
		t.Errorf("half of the WAL from %v to %v is there up to %v, %v", before, h.end(), there, err)
	}
	peer.cut = 0
	res, err := near.push(t, MainBranch)
	if err != nil || res.From == nil || *res.From != there {
		t.Errorf("the next push goes on at %v, %v; want %v", res.From, err, there)
	}
	sameHistory(t, near, far, MainBranch)
}

// TestBadStreams: frames that make no sense are errors, and what they were for is not there.
func TestBadStreams(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{})
	main := f.branchOf(t, MainBranch)
	head := main.tl.LastLSN()
	there := (&pusher{}).offer(main.tl, MainBranch, head+100)
	there.From = head
	image := there
	image.TimelineID, image.Name, image.From = tenantB, "new", there.Start
	branch := image
	branch.Parent = main.tl.ID().String()
	lsn := func(l pg.LSN) []byte {
		return []byte{byte(l >> 56), byte(l >> 48), byte(l >> 40), byte(l >> 32), byte(l >> 24), byte(l >> 16), byte(l >> 8), byte(l)}
	}
	type part struct {
		kind frameKind
		body []byte
	}
	wal := func(at pg.LSN, data string) part { return part{frameWAL, append(lsn(at), data...)} }
	file := func(at pg.LSN) part {
		return part{frameFile, append(append(lsn(at), fileWhole, 0, 1), "xcontent"...)}
	}
	for _, c := range []struct {
		what  string
		o     api.Offer
		parts []part
		kind  error
	}{
		{"nothing", there, nil, api.ErrProtocol},
		{"WAL from elsewhere", there, []part{wal(head+8, "x")}, api.ErrProtocol},
		{"WAL beyond the offer", there, []part{wal(head, strings.Repeat("x", 101))}, api.ErrProtocol},
		{"WAL too short to say where", there, []part{{frameWAL, []byte("x")}}, api.ErrProtocol},
		{"a file beyond the offer", there, []part{file(head + 200)}, api.ErrProtocol},
		{"a file without a name", there, []part{{frameFile, lsn(head)}}, api.ErrProtocol},
		{"a relation among WAL", there, []part{{frameRelation, make([]byte, 17)}}, api.ErrProtocol},
		{"an unknown frame", there, []part{{'?', nil}}, api.ErrProtocol},
		{"less WAL than offered", there, []part{{frameEnd, nil}}, api.ErrCorrupt},
		{"garbage for WAL", there, []part{wal(head, strings.Repeat("x", 100)), {frameEnd, nil}}, api.ErrCorrupt},
		{"a stale offer", func() api.Offer { o := there; o.From++; return o }(), nil, api.ErrNotAllowed},
		{"an image of nothing", image, []part{{frameBegin, nil}}, api.ErrProtocol},
		{"an image without a beginning", image, []part{{frameEnd, nil}}, api.ErrProtocol},
		{"an image with a bad state", image, []part{{frameState, []byte("x")}}, nil},
		{"pages of no relation", image, []part{{framePages, make([]byte, 4+pg.BlockSize)}}, api.ErrProtocol},
		{"half a database", image, []part{{frameDatabase, make([]byte, 7)}}, api.ErrProtocol},
		{"a relation of fork 200", image, []part{{frameRelation, append(make([]byte, 12), 200, 0, 0, 0, 1)}}, api.ErrProtocol},
		{"WAL in a branch's beginning", branch, []part{wal(head, "x")}, api.ErrProtocol},
		{"a file of later in a branch's beginning", branch, []part{file(head + 8)}, api.ErrProtocol},
		{"a branch of nobody", func() api.Offer { o := branch; o.Parent = tenantB; return o }(), nil, api.ErrNotFound},
		{"a branch of no id", func() api.Offer { o := branch; o.Parent = "x"; return o }(), nil, api.ErrBadArgument},
	} {
		var stream bytes.Buffer
		w := frameWriter{w: bufio.NewWriter(&stream)}
		for _, p := range c.parts {
			if err := w.write(p.kind, p.body); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.w.Flush(); err != nil {
			t.Fatal(err)
		}
		err := f.PushReceive(t.Context(), tenantA, c.o, &stream)
		if err == nil || c.kind != nil && !errors.Is(err, c.kind) {
			t.Errorf("%s: got %v, want %v", c.what, err, c.kind)
		}
		if list, err := f.BranchList(t.Context(), tenantA); len(list) != 1 || err != nil {
			t.Fatalf("%s: branches %v, %v", c.what, list, err)
		}
		if got, err := f.LSN(t.Context(), tenantA, MainBranch); got != head || err != nil {
			t.Fatalf("%s: the head is %v, %v; want %v", c.what, got, err, head)
		}
	}
}

// relations lists the paths of relations in a directory of a branch's head that are not empty.
func relations(t *testing.T, b *branch, dir string) (paths []string) {
	t.Helper()
	view, err := b.view(t.Context(), b.tl.LastLSN())
	if err != nil {
		t.Fatal(err)
	}
	entries, err := view.ReadDir(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.Trim(e.Name, "0123456789") == "" && e.File.Size() > 0 {
			paths = append(paths, dir+"/"+e.Name)
		}
	}
	return paths
}
