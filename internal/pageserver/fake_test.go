package pageserver_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"zenith/internal/api"
	"zenith/internal/pg"
)

const (
	tenantA = "0123456789abcdef0123456789abcdef"
	lineA   = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	lineB   = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

// fake is a Service that remembers how it was called and answers from fields. block, if
// set, makes LSN and Export wait for the context's end.
type fake struct {
	mu    sync.Mutex
	calls []string
	execs int // running pg execs

	err     error
	block   bool
	began   chan struct{} // gets a value when a blocking call waits
	ended   chan struct{} // gets a value when its context has ended
	stopped chan struct{} // gets a value when a pg exec was torn down
	export  []byte        // what Export writes
	failAt  int           // Export fails after so many bytes, if > 0
	lines   string        // what WALDump writes
	panics  bool
}

func newFake() *fake {
	return &fake{began: make(chan struct{}, 10), ended: make(chan struct{}, 10), stopped: make(chan struct{}, 10)}
}

func (f *fake) note(format string, args ...any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, fmt.Sprintf(format, args...))
	if f.panics {
		panic("a bug")
	}
	return f.err
}

func (f *fake) last() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.calls) == 0 {
		return ""
	}
	return f.calls[len(f.calls)-1]
}

func (f *fake) Status(context.Context) ([]api.StatusRow, error) {
	return []api.StatusRow{{Name: "address", Value: "127.0.0.1:6400"}, {Name: "tenants", Value: "1"}}, f.note("status")
}

func (f *fake) IdentifySystem(_ context.Context, tenant, branch string) (api.SystemID, error) {
	return api.SystemID{SysID: 1 << 63, TLI: 1, XLogPos: 0x16B3748}, f.note("identify %q %q", tenant, branch)
}

func (f *fake) TenantList(context.Context) ([]string, error) {
	return []string{tenantA}, f.note("tenants")
}

func (f *fake) TenantCreate(_ context.Context, id string, o api.TenantOptions, p api.Progress) (api.TenantInfo, error) {
	for i := range int64(3) {
		p("load base/1", i+1, 3)
	}
	return api.TenantInfo{ID: id, TimelineID: lineA, LSN: 0x2000000}, f.note("create %s %d", id, o.Major)
}

var branches = []api.Branch{
	{Name: "main", TimelineID: lineA, LatestValidLSN: 0x2000000},
	{Name: `a "b" c`, TimelineID: lineB, LatestValidLSN: 0x16B3800, AncestorID: new(lineA), AncestorLSN: new(pg.LSN(0x16B3748))},
}

func (f *fake) PgDistribs(context.Context) ([]api.Distrib, error) {
	return distribs, f.note("distribs")
}

var distribs = []api.Distrib{
	{Major: 15, Release: "15.20", Dir: "/usr/lib/postgresql/15", Rule: "well-known place", Default: true},
	{Major: 17, Problem: "pg_distribs.17: /x: no bin/postgres there"},
}

func (f *fake) BranchList(_ context.Context, tenant string) ([]api.Branch, error) {
	return branches, f.note("branches %s", tenant)
}

func (f *fake) BranchCreate(_ context.Context, tenant, name, point string, o api.BranchOptions) (api.Branch, error) {
	return branches[1], f.note("branch %s %q %q %+v", tenant, name, point, o)
}

func (f *fake) BranchDelete(_ context.Context, tenant, name string, force bool) error {
	return f.note("delete %s %q %v", tenant, name, force)
}

func (f *fake) BranchUpgrade(_ context.Context, tenant, name, point string, o api.UpgradeOptions) (api.Branch, error) {
	err := f.note("branch_upgrade %s %q %q %d check=%v", tenant, name, point, o.Major, o.CheckOnly)
	if err == nil {
		err = o.Output("Performing Consistency Checks")
	}
	return api.Branch{Name: name, TimelineID: lineB, LatestValidLSN: 0x3000028, Major: o.Major}, err
}

func (f *fake) BranchUndelete(_ context.Context, tenant, name, as string) (api.Branch, error) {
	return api.Branch{Name: as}, f.note("branch_undelete %s %q %q", tenant, name, as)
}

func (f *fake) BranchDeleted(_ context.Context, tenant string) ([]api.DeletedBranch, error) {
	return []api.DeletedBranch{{Name: "dev", TimelineID: lineA, DeletedAt: leaseUntil, KeptUntil: leaseUntil}}, f.note("branch_deleted %s", tenant)
}

func (f *fake) LSN(ctx context.Context, tenant, point string) (pg.LSN, error) {
	if f.block {
		f.began <- struct{}{}
		<-ctx.Done()
		f.ended <- struct{}{}
		return 0, ctx.Err()
	}
	return 0x16B3748, f.note("lsn %s %q", tenant, point)
}

var mounts = []api.Mount{
	{Dir: "/mnt/a b", Mode: api.ModeWritable, Tenant: tenantA, Branch: "main", Timeline: lineA, LSN: new(pg.LSN(0x16B3748))},
	{Dir: "/mnt/tree", Mode: api.ModeTree, Errors: 2, LastError: "tenants/x: not supported"},
}

func (f *fake) Mount(_ context.Context, o api.MountOptions) (api.Mount, error) {
	return mounts[0], f.note("mount %+v", o)
}

func (f *fake) Umount(_ context.Context, dir string, lazy bool) error {
	return f.note("umount %q %v", dir, lazy)
}

func (f *fake) MountList(context.Context) ([]api.Mount, error) {
	return mounts, f.note("mounts")
}

var computeA = api.Compute{
	Tenant: tenantA, Name: "main", Timeline: lineA, LSN: 0x16B3748, Status: api.ComputeRunning,
	Host: "127.0.0.1", Port: 55432, User: "postgres", Database: "postgres", Dir: "/d", Log: "/l", Notes: []string{"max_prepared_transactions=5, \"x\""},
}

func (f *fake) PgCreate(_ context.Context, tenant, point string, o api.ComputeOptions) (api.Compute, error) {
	return computeA, f.note("pg create %s %q %+v", tenant, point, o)
}

func (f *fake) PgStart(_ context.Context, tenant, point string, o api.ComputeOptions) (api.Compute, error) {
	return computeA, f.note("pg start %s %q %+v", tenant, point, o)
}

func (f *fake) PgStop(_ context.Context, tenant, name string, o api.StopOptions) error {
	return f.note("pg stop %s %q %+v", tenant, name, o)
}

func (f *fake) PgReload(_ context.Context, tenant, name string) error {
	return f.note("pg reload %s %q", tenant, name)
}

func (f *fake) PgRestart(_ context.Context, tenant, name string) (api.Compute, error) {
	return computeA, f.note("pg restart %s %q", tenant, name)
}

func (f *fake) PgList(_ context.Context, tenant string) ([]api.Compute, error) {
	return []api.Compute{computeA}, f.note("pg list %s", tenant)
}

func (f *fake) PgExec(_ context.Context, tenant, point string, o api.ComputeOptions) (api.Compute, func(context.Context) error, error) {
	if err := f.note("pg exec %s %q %+v", tenant, point, o); err != nil {
		return api.Compute{}, nil, err
	}
	f.mu.Lock()
	f.execs++
	f.mu.Unlock()
	stop := func(context.Context) error {
		f.mu.Lock()
		f.execs--
		f.mu.Unlock()
		f.stopped <- struct{}{}
		return nil
	}
	return computeA, stop, nil
}

func (f *fake) WALDump(_ context.Context, tenant, branch string, from, to pg.LSN, zone *time.Location, w io.Writer) error {
	if _, err := io.WriteString(w, f.lines); err != nil {
		return err
	}
	return f.note("wal %s %q %v %v %v", tenant, branch, from, to, zone)
}

func (f *fake) ReadPage(_ context.Context, tenant, point, path string, block pg.BlockNumber) (pg.Page, error) {
	page := make(pg.Page, pg.BlockSize)
	page[0], page[pg.BlockSize-1] = 0xAB, 0xCD
	return page, f.note("page %s %q %s %d", tenant, point, path, block)
}

func (f *fake) Export(ctx context.Context, tenant, point string, o api.ExportOptions, w io.Writer) error {
	if err := f.note("export %s %q skip=%v", tenant, point, o.SkipRelations); err != nil {
		return err
	}
	data := f.export
	if f.failAt > 0 {
		data = data[:f.failAt]
	}
	o.Progress("export", int64(len(data)), int64(len(f.export)))
	if _, err := w.Write(data); err != nil {
		return err
	}
	if f.block {
		f.began <- struct{}{}
		<-ctx.Done()
		f.ended <- struct{}{}
		return ctx.Err()
	}
	if f.failAt > 0 {
		return api.Errorf(api.ErrCorrupt, "page 7 is damaged")
	}
	return nil
}

func (f *fake) Pages(_ context.Context, tenant, branch string) (api.PageSource, error) {
	return fakePages{}, f.note("pages %s %q", tenant, branch)
}

type fakePages struct{}

func (fakePages) Close() error { return nil }

func (fakePages) Size(_ context.Context, rel pg.RelFork, _ pg.LSN) (pg.BlockNumber, bool, error) {
	return 42, rel.RelNumber == 16384, nil
}

func (fakePages) ReadPage(_ context.Context, tag pg.BufferTag, lsn pg.LSN, dst pg.Page) error {
	if tag.Block >= 42 {
		return api.Errorf(api.ErrOutOfRange, "%v: no such block", tag)
	}
	clear(dst)
	copy(dst, fmt.Sprintf("%v at %v", tag, lsn))
	return nil
}

func (f *fake) Check(_ context.Context, tenant, branch string, found func(string) error, p api.Progress) (api.CheckResult, error) {
	p("check", 1, 1)
	for _, problem := range []string{"page 1 is bad", "page 2 is bad"} {
		if err := found(problem); err != nil {
			return api.CheckResult{}, err
		}
	}
	return api.CheckResult{Branches: 1, Pages: 2, WALBytes: 3, Problems: 2}, f.note("check %s %q", tenant, branch)
}

func (f *fake) Repair(_ context.Context, tenant string) (string, error) {
	return "mended", f.note("repair %s", tenant)
}

func (f *fake) Log(_ context.Context, tenant, point string, o api.LogOptions, send func(api.Commit) error) error {
	if err := f.note("log %s %q %+v", tenant, point, o); err != nil {
		return err
	}
	return send(api.Commit{LSN: 2, Time: leaseUntil, XID: 700, Tables: []api.TableChange{{Table: "t", Inserted: 3}}})
}

func (f *fake) GCPlan(_ context.Context, tenant, branch string, r api.Retain) ([]api.Forgettable, error) {
	return []api.Forgettable{{Branch: "main", From: 1, To: 3, ToTime: &leaseUntil, WALBytes: 2, Versions: 4}}, f.note("gc_plan %s %q %+v", tenant, branch, r)
}

func (f *fake) GC(_ context.Context, tenant, branch string, o api.GCOptions) (api.GCResult, error) {
	return api.GCResult{Relations: 1, Truncated: 2, Deleted: 3, Dropped: 4, Elapsed: 5 * time.Millisecond},
		f.note("gc %s %q %+v %v", tenant, branch, o.Retain, o.Force)
}

var leaseUntil = time.Date(2026, 11, 22, 10, 0, 0, 123456000, time.UTC)

func (f *fake) Lease(_ context.Context, tenant, branch string, lsn pg.LSN) (time.Time, error) {
	return leaseUntil, f.note("lease %s %q %v", tenant, branch, lsn)
}

func (f *fake) ReceiveStart(_ context.Context, tenant, branch, conninfo string) error {
	return f.note("receive %s %q %q", tenant, branch, conninfo)
}

func (f *fake) ReceiveSet(_ context.Context, tenant, branch, conninfo string) error {
	return f.note("receive set %s %q %q", tenant, branch, conninfo)
}

func (f *fake) ReceiveStop(_ context.Context, tenant, branch string) error {
	return f.note("receive stop %s %q", tenant, branch)
}

func (f *fake) ReceiveList(_ context.Context, tenant string) ([]api.Receiver, error) {
	return []api.Receiver{{Branch: "main", ConnInfo: "host=x", Status: "streaming", Received: 3, Flushed: 2, Applied: 1, LagBytes: new(int64)}},
		f.note("receivers %s", tenant)
}

func (f *fake) Push(_ context.Context, tenant, branch string, o api.PushOptions) (api.PushResult, error) {
	o.Progress("push "+branch, 1, 2)
	return api.PushResult{Tenant: o.Tenant, From: new(pg.LSN(0x1000000)), LSN: 0x16B3748, Bytes: 7}, f.note("push %s %q to %q", tenant, branch, o.To)
}

func (f *fake) PushOffer(_ context.Context, tenant string, o api.Offer) (api.Held, error) {
	return api.Held{There: true, Name: o.Name, Head: o.To, Files: map[string]string{"a b@1": "x"}}, f.note("offer %s %s", tenant, o.TimelineID)
}

// PushReceive reads failAt bytes, if that is set, and fails; or all.
func (f *fake) PushReceive(_ context.Context, tenant string, o api.Offer, r io.Reader) error {
	if f.failAt > 0 {
		_, err := io.CopyN(io.Discard, r, int64(f.failAt))
		return errors.Join(err, f.note("receive %s %s", tenant, o.TimelineID), api.Errorf(api.ErrNotAllowed, "no more of this"))
	}
	n, err := io.Copy(io.Discard, r)
	return errors.Join(err, f.note("receive %s %s: %d", tenant, o.TimelineID, n))
}

func (f *fake) WALSum(_ context.Context, tenant, timeline string, from, to pg.LSN) (string, error) {
	return "abcd", f.note("sum %s %s %v %v", tenant, timeline, from, to)
}
