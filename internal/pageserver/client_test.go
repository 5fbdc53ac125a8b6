package pageserver_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"zenith/internal/access"
	"zenith/internal/api"
	"zenith/internal/pageserver"
	"zenith/internal/pg"
)

// must returns v and fails the test for an error.
func must[V any](v V, err error) func(t *testing.T) V {
	return func(t *testing.T) V {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func equal(t *testing.T, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func noProgress(string, int64, int64) {}

// TestClientIsTheService calls every method of the Service through server and client: what
// arrives at the fake and what comes back must be what went in.
func TestClientIsTheService(t *testing.T) {
	f := newFake()
	c := dial(t, serve(t, f, pageserver.Options{}))
	ctx := t.Context()
	arrived := func(want string) {
		t.Helper()
		equal(t, f.last(), want)
	}

	status := must(c.Status(ctx))(t)
	equal(t, status, []api.StatusRow{{Name: "address", Value: "127.0.0.1:6400"}, {Name: "tenants", Value: "1"}})
	id := must(c.IdentifySystem(ctx, tenantA, "x y"))(t)
	equal(t, id, api.SystemID{SysID: 1 << 63, TLI: 1, XLogPos: 0x16B3748})
	arrived(`identify "` + tenantA + `" "x y"`)
	equal(t, must(c.TenantList(ctx))(t), []string{tenantA})

	equal(t, must(c.BranchList(ctx, tenantA))(t), branches)
	equal(t, must(c.BranchCreate(ctx, tenantA, `my "new" branch;`, "main@0/16B3748", api.BranchOptions{}))(t), branches[1])
	arrived(`branch ` + tenantA + ` "my \"new\" branch;" "main@0/16B3748" {Expires:never Owner: Note:}`)
	must(c.BranchCreate(ctx, tenantA, "pr", "main", api.BranchOptions{Expires: api.Expiry{After: 2 * time.Hour}, Note: "PR 4521"}))(t)
	arrived(`branch ` + tenantA + ` "pr" "main" {Expires:2h0m0s Owner: Note:PR 4521}`)
	lifeIsTheService(t, f, c)
	var said []string
	up := api.UpgradeOptions{Major: 18, Output: func(line string) error { said = append(said, line); return nil }}
	equal(t, must(c.BranchUpgrade(ctx, tenantA, "trial", "main@0/16B3748", up))(t), api.Branch{Name: "trial", TimelineID: lineB, LatestValidLSN: 0x3000028, Major: 18})
	arrived(`branch_upgrade ` + tenantA + ` "trial" "main@0/16B3748" 18 check=false`)
	equal(t, said, []string{"Performing Consistency Checks"})
	up.CheckOnly = true
	equal(t, must(c.BranchUpgrade(ctx, tenantA, "trial", "main", up))(t), api.Branch{})
	must(0, c.BranchDelete(ctx, tenantA, "it's", true))(t)
	arrived(`delete ` + tenantA + ` "it's" true`)
	equal(t, must(c.BranchUndelete(ctx, tenantA, "dev", "dev2"))(t).Name, "dev2")
	arrived("branch_undelete " + tenantA + ` "dev" "dev2"`)
	if d := must(c.BranchDeleted(ctx, tenantA))(t); len(d) != 1 || d[0].TimelineID != lineA || !d[0].KeptUntil.Equal(leaseUntil) {
		t.Errorf("deleted %+v", d)
	}
	arrived("branch_deleted " + tenantA)
	equal(t, must(c.LSN(ctx, tenantA, "main@-15m"))(t), pg.LSN(0x16B3748))
	arrived(`lsn ` + tenantA + ` "main@-15m"`)

	equal(t, must(c.Mount(ctx, api.MountOptions{Tenant: tenantA, Point: "main", Dir: "/mnt/a b", Scratch: true}))(t), mounts[0])
	arrived("mount {Tenant:" + tenantA + " Point:main Dir:/mnt/a b Scratch:true}")
	must(c.Mount(ctx, api.MountOptions{Dir: "/mnt/tree"}))(t)
	arrived("mount {Tenant: Point: Dir:/mnt/tree Scratch:false}")
	must(0, c.Umount(ctx, "/mnt/a b", true))(t)
	arrived(`umount "/mnt/a b" true`)
	equal(t, must(c.MountList(ctx))(t), mounts)

	o := api.ComputeOptions{Port: 5555, Settings: []api.Setting{{Name: "a", Value: "b=c d"}, {Name: "e", Value: "f,g"}}, Unset: []string{"h"}, Allow: []string{"jobs"}, AsOriginal: true}
	equal(t, must(c.PgCreate(ctx, tenantA, "main", o))(t), computeA)
	arrived("pg create " + tenantA + ` "main" {Port:5555 Settings:[{Name:a Value:b=c d} {Name:e Value:f,g}] Unset:[h] Allow:[jobs] AsOriginal:true}`)
	equal(t, must(c.PgStart(ctx, tenantA, "main", api.ComputeOptions{}))(t), computeA)
	must(0, c.PgStop(ctx, tenantA, "main", api.StopOptions{Mode: "immediate", Destroy: true}))(t)
	arrived("pg stop " + tenantA + ` "main" {Mode:immediate Destroy:true}`)
	must(0, c.PgReload(ctx, tenantA, "main"))(t)
	arrived("pg reload " + tenantA + ` "main"`)
	must(c.PgRestart(ctx, tenantA, "main"))(t)
	arrived("pg restart " + tenantA + ` "main"`)
	equal(t, must(c.PgList(ctx, tenantA))(t), []api.Compute{computeA})

	page := must(c.ReadPage(ctx, tenantA, "main", "base/5/1259", 7))(t)
	equal(t, []any{len(page), page[0], page[pg.BlockSize-1]}, []any{pg.BlockSize, byte(0xAB), byte(0xCD)})
	arrived("page " + tenantA + ` "main" base/5/1259 7`)
	gc := must(c.GC(ctx, tenantA, "main", api.GCOptions{Retain: api.Retain{Time: time.Hour, Set: true}, Force: true}))(t)
	equal(t, gc, api.GCResult{Relations: 1, Truncated: 2, Deleted: 3, Dropped: 4, Elapsed: 5 * time.Millisecond})
	arrived("gc " + tenantA + ` "main" {Bytes:0 Time:1h0m0s Set:true} true`)
	plan := must(c.GCPlan(ctx, tenantA, "", api.Retain{Bytes: 5, Set: true}))(t)
	if len(plan) != 1 || plan[0].Branch != "main" || plan[0].FromTime != nil || !plan[0].ToTime.Equal(leaseUntil) || plan[0].Versions != 4 {
		t.Errorf("plan %+v", plan)
	}
	arrived("gc_plan " + tenantA + ` "" {Bytes:5 Time:0s Set:true}`)
	equal(t, must(c.Lease(ctx, tenantA, "main", 0x16B3748))(t).Equal(leaseUntil), true)

	must(0, c.ReceiveSet(ctx, tenantA, "main", "host=c"))(t)
	must(0, c.ReceiveStart(ctx, tenantA, "main", "host='a b'"))(t)
	arrived("receive " + tenantA + ` "main" "host='a b' sslmode=verify-full"`)
	must(0, c.ReceiveStop(ctx, tenantA, "main"))(t)
	equal(t, must(c.ReceiveList(ctx, tenantA))(t)[0].LagBytes, new(int64))
}

func TestWALDumpLines(t *testing.T) {
	f := newFake()
	f.lines = "one\n\nthree: é\nlast without end"
	c := dial(t, serve(t, f, pageserver.Options{}))
	var out strings.Builder
	must(0, c.WALDump(t.Context(), tenantA, "main", 0, 0x2000000, time.UTC, &out))(t)
	equal(t, out.String(), f.lines+"\n")
	equal(t, f.last(), "wal "+tenantA+` "main" 0/0 0/2000000 UTC`)
}

func TestCheckReportsProblemsAndProgress(t *testing.T) {
	c := dial(t, serve(t, newFake(), pageserver.Options{}))
	var problems, progress []string
	found := func(p string) error { problems = append(problems, p); return nil }
	tell := func(what string, done, total int64) { progress = append(progress, fmt.Sprint(what, done, total)) }
	res := must(c.Check(t.Context(), tenantA, "", found, tell))(t)
	equal(t, res, api.CheckResult{Branches: 1, Pages: 2, WALBytes: 3, Problems: 2})
	equal(t, problems, []string{"page 1 is bad", "page 2 is bad"})
	equal(t, progress, []string{"check1 1"})

	progress = nil
	info := must(c.TenantCreate(t.Context(), tenantA, api.TenantOptions{}, tell))(t)
	equal(t, info, api.TenantInfo{ID: tenantA, TimelineID: lineA, LSN: 0x2000000})
	if len(progress) < 2 || progress[len(progress)-1] != "load base/13 3" {
		t.Errorf("got progress %q: want the first and the last", progress)
	}
}

// TestVersions: the client asks for a tenant of a major version, and learns which installations there are.
func TestVersions(t *testing.T) {
	f := newFake()
	c := dial(t, serve(t, f, pageserver.Options{}))
	must(c.TenantCreate(t.Context(), tenantA, api.TenantOptions{Major: 17}, noProgress))(t)
	if want := "create " + tenantA + " 17"; !slices.Contains(f.calls, want) {
		t.Errorf("the server was asked %q, want %q among that", f.calls, want)
	}
	equal(t, must(c.PgDistribs(t.Context()))(t), distribs)
}

func TestExportIsWholeOrAnError(t *testing.T) {
	f := newFake()
	f.export = make([]byte, 3<<20+17)
	src := rand.NewChaCha8([32]byte{})
	src.Read(f.export)
	c := dial(t, serve(t, f, pageserver.Options{}))
	var out bytes.Buffer
	must(0, c.Export(t.Context(), tenantA, "main@-1h", api.ExportOptions{Progress: noProgress}, &out))(t)
	if !bytes.Equal(out.Bytes(), f.export) {
		t.Error("the export differs")
	}
	must(0, c.Export(t.Context(), tenantA, "main@-1h", api.ExportOptions{SkipRelations: true}, &out))(t)
	equal(t, f.last(), "export "+tenantA+` "main@0/16B3748" skip=true`)

	f.failAt = 1 << 20
	err := c.Export(t.Context(), tenantA, "main", api.ExportOptions{}, &out)
	if !errors.Is(err, api.ErrCorrupt) || err.Error() != "page 7 is damaged" {
		t.Errorf("got %v, want the damage", err)
	}

	full := errors.New("disk is full")
	err = c.Export(t.Context(), tenantA, "main", api.ExportOptions{}, failingWriter{full})
	if !errors.Is(err, full) {
		t.Errorf("got %v, want the writer's error", err)
	}
	must(c.Status(t.Context()))(t) // the connection lives on
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

// TestErrorsKeepTheirKind: kind and text are the same on both sides, and the connection lives on.
func TestErrorsKeepTheirKind(t *testing.T) {
	f := newFake()
	c := dial(t, serve(t, f, pageserver.Options{}))
	for _, kind := range []error{
		api.ErrNotFound, api.ErrExists, api.ErrBusy, api.ErrNotAllowed, api.ErrOutOfRange,
		api.ErrMountFailed, api.ErrTimeout, api.ErrBadArgument, api.ErrUnsupported, api.ErrCorrupt, api.ErrNoSpace,
	} {
		f.err = fmt.Errorf("outer: %w", api.Errorf(kind, "branch dev: two\nlines"))
		_, err := c.BranchList(t.Context(), tenantA)
		if !errors.Is(err, kind) || err.Error() != "outer: branch dev: two; lines" {
			t.Errorf("kind %v: got %v", kind, err)
		}
	}
	f.err = errors.New("odd")
	if _, err := c.BranchList(t.Context(), tenantA); err == nil || err.Error() != "odd" {
		t.Errorf("got %v", err)
	}
	f.err = nil
	must(c.BranchList(t.Context(), tenantA))(t)
}

func TestPanicIsAnError(t *testing.T) {
	f := newFake()
	f.panics = true
	c := dial(t, serve(t, f, pageserver.Options{}))
	if _, err := c.Status(t.Context()); err == nil || !strings.Contains(err.Error(), "internal error") {
		t.Errorf("got %v", err)
	}
	f.panics = false
	must(c.Status(t.Context()))(t)
}

func TestContextCancelsTheCommand(t *testing.T) {
	f := newFake()
	f.block = true
	c := dial(t, serve(t, f, pageserver.Options{}))
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-f.began
		cancel()
	}()
	if _, err := c.LSN(ctx, tenantA, "main"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	must(c.TenantList(t.Context()))(t) // the connection lives on
}

func TestPages(t *testing.T) {
	f := newFake()
	c := dial(t, serve(t, f, pageserver.Options{}))
	src := must(c.Pages(t.Context(), tenantA, "main"))(t)
	rel := pg.RelFork{RelFileLocator: pg.RelFileLocator{SpcOID: 1663, DBOID: 5, RelNumber: 16384}, Fork: pg.VisibilityMapFork}
	n, exists, err := src.Size(t.Context(), rel, 0)
	equal(t, []any{n, exists, err}, []any{pg.BlockNumber(42), true, error(nil)})
	page := make(pg.Page, pg.BlockSize)
	must(0, src.ReadPage(t.Context(), rel.Tag(41), 0x16B3748, page))(t)
	equal(t, strings.TrimRight(string(page), "\x00"), "1663/5/16384_vm block 41 at 0/16B3748")
	if err := src.ReadPage(t.Context(), rel.Tag(42), 0, page); err == nil || !strings.Contains(err.Error(), "no such block") {
		t.Errorf("got %v", err)
	}
	must(0, src.ReadPage(t.Context(), rel.Tag(0), 0, page))(t) // the stream lives on
	must(0, src.Close())(t)
	f.err = api.Errorf(api.ErrNotFound, "branch x: no such branch")
	if _, err := c.Pages(t.Context(), tenantA, "x"); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

// TestPgExecLivesWithItsConnection: it goes when told, and when the client is gone.
func TestPgExecLivesWithItsConnection(t *testing.T) {
	f := newFake()
	addr := serve(t, f, pageserver.Options{})
	c := dial(t, addr)
	cp, stop, err := c.PgExec(t.Context(), tenantA, "main@-10m", api.ComputeOptions{})
	must(0, err)(t)
	equal(t, cp, computeA)
	if _, _, err := c.PgExec(t.Context(), tenantA, "main", api.ComputeOptions{}); !errors.Is(err, api.ErrBusy) {
		t.Errorf("a second one: got %v", err)
	}
	must(0, stop(t.Context()))(t)
	<-f.stopped
	if err := stop(t.Context()); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("a second stop: got %v", err)
	}
	if _, _, err = c.PgExec(t.Context(), tenantA, "main", api.ComputeOptions{}); err != nil {
		t.Fatal(err)
	}
	c.Close()
	<-f.stopped
}

func TestServerClosesUnderAClient(t *testing.T) {
	f := newFake()
	l := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	s := pageserver.New(f, pageserver.Options{Access: &access.Policy{Method: access.Trust}})
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	idle, busy := dial(t, l.Addr().String()), dial(t, l.Addr().String())
	_, _, err := idle.PgExec(t.Context(), tenantA, "main", api.ComputeOptions{})
	must(0, err)(t)
	f.block = true
	failed := make(chan error, 1)
	go func() {
		_, err := busy.LSN(context.Background(), tenantA, "main")
		failed <- err
	}()
	<-f.began
	s.Close()
	<-f.stopped
	if err := <-failed; err == nil {
		t.Error("the running command ended without error")
	}
	if _, err := idle.Status(t.Context()); !errors.Is(err, api.ErrUnavailable) {
		t.Errorf("got %v, want that the server is gone", err)
	}
	if err := <-served; err != nil {
		t.Errorf("serve: %v", err)
	}
	if _, err := pageserver.Dial(t.Context(), l.Addr().String()); !errors.Is(err, api.ErrUnavailable) {
		t.Errorf("dial after close: got %v", err)
	}
}
