package tenants

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"zenith/internal/api"
)

const tenantB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

// verb is a method of the page server, called in one way.
type verb struct {
	name string
	run  func(ctx context.Context, f *fixture, tenant, branch string) error
	// What a branch and a tenant that are not there are to it; nil: it does not mind.
	noBranch, noTenant error
	is                 error // what it says where all is well; nil: no error
}

// errWriter is a client that is gone.
type errWriter struct{ err error }

func (w errWriter) Write([]byte) (int, error) { return 0, w.err }

var errGoneClient = errors.New("the client is gone")

// held runs fn, which has something open that keeps a tenant open.
func held(f *fixture, fn func() error) error {
	if n := f.holders(); n == 0 {
		return errors.New("nobody holds the tenant while its stream is open")
	}
	return fn()
}

// verbs are all methods that a client can call. They leave the tenant as it was.
var verbs = []verb{
	{name: "Status", run: func(ctx context.Context, f *fixture, _, _ string) error { _, err := f.Status(ctx); return err }},
	{name: "IdentifySystem", noBranch: api.ErrNotFound, noTenant: api.ErrNotFound, run: func(ctx context.Context, f *fixture, tenant, branch string) error {
		_, err := f.IdentifySystem(ctx, tenant, branch)
		return err
	}},
	{name: "PgDistribs", run: func(ctx context.Context, f *fixture, _, _ string) error { _, err := f.PgDistribs(ctx); return err }},
	{name: "TenantList", run: func(ctx context.Context, f *fixture, _, _ string) error { _, err := f.TenantList(ctx); return err }},
	{name: "TenantCreate", is: api.ErrExists, run: func(ctx context.Context, f *fixture, _, _ string) error {
		_, err := f.TenantCreate(ctx, tenantA, api.TenantOptions{}, noProgress)
		return err
	}},
	{name: "Repair", noTenant: api.ErrNotFound, run: func(ctx context.Context, f *fixture, tenant, _ string) error {
		_, err := f.Repair(ctx, tenant)
		return err
	}},
	{name: "BranchList", noTenant: api.ErrNotFound, run: func(ctx context.Context, f *fixture, tenant, _ string) error {
		_, err := f.BranchList(ctx, tenant)
		return err
	}},
	{name: "BranchCreate", is: api.ErrExists, noBranch: api.ErrNotFound, noTenant: api.ErrNotFound, run: func(ctx context.Context, f *fixture, tenant, branch string) error {
		_, err := f.BranchCreate(ctx, tenant, MainBranch, branch, api.BranchOptions{})
		return err
	}},
	{name: "BranchUpgrade", is: api.ErrBadArgument, noBranch: api.ErrNotFound, noTenant: api.ErrNotFound, run: func(ctx context.Context, f *fixture, tenant, branch string) error {
		_, err := f.BranchUpgrade(ctx, tenant, "newer", branch, api.UpgradeOptions{Major: 15})
		return err
	}},
	{name: "BranchUndelete", is: api.ErrNotFound, noBranch: api.ErrNotFound, noTenant: api.ErrNotFound, run: func(ctx context.Context, f *fixture, tenant, branch string) error {
		_, err := f.BranchUndelete(ctx, tenant, branch, "")
		return err
	}},
	{name: "BranchDeleted", noTenant: api.ErrNotFound, run: func(ctx context.Context, f *fixture, tenant, _ string) error {
		_, err := f.BranchDeleted(ctx, tenant)
		return err
	}},
	{name: "BranchDelete", is: api.ErrBusy, noBranch: api.ErrNotFound, noTenant: api.ErrNotFound, run: func(ctx context.Context, f *fixture, tenant, branch string) error {
		return f.BranchDelete(ctx, tenant, branch, false)
	}},
	{name: "BranchDetails", noTenant: api.ErrNotFound, run: func(ctx context.Context, f *fixture, tenant, _ string) error {
		_, err := f.BranchDetails(ctx, tenant)
		return err
	}},
	{name: "BranchExpire", is: api.ErrNotAllowed, noBranch: api.ErrNotFound, noTenant: api.ErrNotFound, run: func(ctx context.Context, f *fixture, tenant, branch string) error {
		_, err := f.BranchExpire(ctx, tenant, branch, api.Expiry{After: time.Hour})
		return err
	}},
	{name: "BranchProtect", noBranch: api.ErrNotFound, noTenant: api.ErrNotFound, run: func(ctx context.Context, f *fixture, tenant, branch string) error {
		return f.BranchProtect(ctx, tenant, branch, true)
	}},
	{name: "BranchRename", is: api.ErrNotAllowed, noBranch: api.ErrNotFound, noTenant: api.ErrNotFound, run: func(ctx context.Context, f *fixture, tenant, branch string) error {
		return f.BranchRename(ctx, tenant, branch, "x")
	}},
	{name: "BranchReset", is: api.ErrNotAllowed, noBranch: api.ErrNotFound, noTenant: api.ErrNotFound, run: func(ctx context.Context, f *fixture, tenant, branch string) error {
		_, err := f.BranchReset(ctx, tenant, branch, branch, false)
		return err
	}},
	{name: "BranchRestore", is: api.ErrOutOfRange, noBranch: api.ErrNotFound, noTenant: api.ErrNotFound, run: func(ctx context.Context, f *fixture, tenant, branch string) error {
		_, err := f.BranchRestore(ctx, tenant, branch, "@FF/0", false)
		return err
	}},
	{name: "BranchPromote", is: api.ErrBadArgument, noBranch: api.ErrNotFound, noTenant: api.ErrNotFound, run: func(ctx context.Context, f *fixture, tenant, branch string) error {
		_, err := f.BranchPromote(ctx, tenant, branch, branch, false)
		return err
	}},
	{name: "TagCreate", is: api.ErrExists, noBranch: api.ErrNotFound, noTenant: api.ErrNotFound, run: func(ctx context.Context, f *fixture, tenant, branch string) error {
		_, err := f.TagCreate(ctx, tenant, MainBranch, branch)
		return err
	}},
	{name: "TagList", noTenant: api.ErrNotFound, run: func(ctx context.Context, f *fixture, tenant, _ string) error {
		_, err := f.TagList(ctx, tenant)
		return err
	}},
	{name: "TagDelete", is: api.ErrNotFound, noTenant: api.ErrNotFound, run: func(ctx context.Context, f *fixture, tenant, _ string) error {
		return f.TagDelete(ctx, tenant, "nosuch")
	}},
	{name: "DiskUsage", noTenant: api.ErrNotFound, run: func(ctx context.Context, f *fixture, tenant, _ string) error {
		_, err := f.DiskUsage(ctx, tenant)
		return err
	}},
	{name: "LSN", noBranch: api.ErrNotFound, noTenant: api.ErrNotFound, run: func(ctx context.Context, f *fixture, tenant, branch string) error {
		_, err := f.LSN(ctx, tenant, branch)
		return err
	}},
	{name: "Mount", noBranch: api.ErrNotFound, noTenant: api.ErrNotFound, run: func(ctx context.Context, f *fixture, tenant, branch string) error {
		dir := filepath.Join(f.room, "x")
		_, err := f.Mount(ctx, api.MountOptions{Tenant: tenant, Point: branch, Dir: dir, Scratch: true})
		if err != nil {
			return err
		}
		return f.Umount(ctx, dir, false)
	}},
	{name: "Umount", is: api.ErrNotFound, run: func(ctx context.Context, f *fixture, _, _ string) error {
		return f.Umount(ctx, filepath.Join(f.room, "none"), false)
	}},
	{name: "MountList", run: func(ctx context.Context, f *fixture, _, _ string) error { _, err := f.MountList(ctx); return err }},
	{name: "PgCreate", noBranch: api.ErrNotFound, noTenant: api.ErrNotFound, run: func(ctx context.Context, f *fixture, tenant, branch string) error {
		if _, err := f.PgCreate(ctx, tenant, branch, set()); err != nil {
			return err
		}
		return f.PgStop(ctx, tenant, branch, api.StopOptions{Destroy: true})
	}},
	{name: "PgStart", noBranch: api.ErrNotFound, noTenant: api.ErrNotFound, run: func(ctx context.Context, f *fixture, tenant, branch string) error {
		if _, err := f.PgStart(ctx, tenant, branch, set()); err != nil {
			return err
		}
		return f.PgStop(ctx, tenant, branch, api.StopOptions{Destroy: true, Mode: "immediate"})
	}},
	{name: "PgStop", is: api.ErrNotFound, noBranch: api.ErrNotFound, noTenant: api.ErrNotFound, run: func(ctx context.Context, f *fixture, tenant, branch string) error {
		return f.PgStop(ctx, tenant, branch, api.StopOptions{})
	}},
	{name: "PgReload", is: api.ErrNotFound, noBranch: api.ErrNotFound, noTenant: api.ErrNotFound, run: func(ctx context.Context, f *fixture, tenant, branch string) error {
		return f.PgReload(ctx, tenant, branch)
	}},
	{name: "PgRestart", is: api.ErrNotFound, noBranch: api.ErrNotFound, noTenant: api.ErrNotFound, run: func(ctx context.Context, f *fixture, tenant, branch string) error {
		_, err := f.PgRestart(ctx, tenant, branch)
		return err
	}},
	{name: "PgList", noTenant: api.ErrNotFound, run: func(ctx context.Context, f *fixture, tenant, _ string) error {
		_, err := f.PgList(ctx, tenant)
		return err
	}},
	{name: "PgExec", noBranch: api.ErrNotFound, noTenant: api.ErrNotFound, run: func(ctx context.Context, f *fixture, tenant, branch string) error {
		_, stop, err := f.PgExec(ctx, tenant, branch, set())
		if err != nil {
			return err
		}
		return held(f, func() error { return stop(ctx) })
	}},
	{name: "Log", noBranch: api.ErrNotFound, noTenant: api.ErrNotFound, run: func(ctx context.Context, f *fixture, tenant, branch string) error {
		return f.Log(ctx, tenant, branch, api.LogOptions{}, func(api.Commit) error { return nil })
	}},
	{name: "WALDump", noBranch: api.ErrNotFound, noTenant: api.ErrNotFound, run: func(ctx context.Context, f *fixture, tenant, branch string) error {
		return f.WALDump(ctx, tenant, branch, 0, 0, time.UTC, io.Discard)
	}},
	{name: "ReadPage", noBranch: api.ErrNotFound, noTenant: api.ErrNotFound, run: func(ctx context.Context, f *fixture, tenant, branch string) error {
		_, err := f.ReadPage(ctx, tenant, branch, "pg_xact/0000", 0)
		return err
	}},
	{name: "Export", noBranch: api.ErrNotFound, noTenant: api.ErrNotFound, run: func(ctx context.Context, f *fixture, tenant, branch string) error {
		return f.Export(ctx, tenant, branch, api.ExportOptions{SkipRelations: true, Progress: noProgress}, io.Discard)
	}},
	{name: "Export", is: errGoneClient, noBranch: api.ErrNotFound, noTenant: api.ErrNotFound, run: func(ctx context.Context, f *fixture, tenant, branch string) error {
		return f.Export(ctx, tenant, branch, api.ExportOptions{Progress: noProgress}, errWriter{errGoneClient})
	}},
	{name: "Pages", noBranch: api.ErrNotFound, noTenant: api.ErrNotFound, run: func(ctx context.Context, f *fixture, tenant, branch string) error {
		src, err := f.Pages(ctx, tenant, branch)
		if err != nil {
			return err
		}
		return held(f, func() error { return errors.Join(src.Close(), src.Close()) })
	}},
	{name: "Check", noBranch: api.ErrNotFound, noTenant: api.ErrNotFound, run: func(ctx context.Context, f *fixture, tenant, branch string) error {
		_, err := f.Check(ctx, tenant, branch, func(string) error { return nil }, noProgress)
		return err
	}},
	{name: "GC", noBranch: api.ErrNotFound, noTenant: api.ErrNotFound, run: func(ctx context.Context, f *fixture, tenant, branch string) error {
		_, err := f.GC(ctx, tenant, branch, api.GCOptions{Progress: noProgress})
		return err
	}},
	{name: "GCPlan", noBranch: api.ErrNotFound, noTenant: api.ErrNotFound, run: func(ctx context.Context, f *fixture, tenant, branch string) error {
		_, err := f.GCPlan(ctx, tenant, branch, api.Retain{})
		return err
	}},
	{name: "Lease", is: api.ErrOutOfRange, noBranch: api.ErrNotFound, noTenant: api.ErrNotFound, run: func(ctx context.Context, f *fixture, tenant, branch string) error {
		_, err := f.Lease(ctx, tenant, branch, 1)
		return err
	}},
	{name: "ReceiveStart", is: api.ErrBadArgument, noBranch: api.ErrNotFound, noTenant: api.ErrNotFound, run: func(ctx context.Context, f *fixture, tenant, branch string) error {
		return f.ReceiveStart(ctx, tenant, branch, "port=x")
	}},
	{name: "ReceiveSet", is: api.ErrBadArgument, noBranch: api.ErrNotFound, noTenant: api.ErrNotFound, run: func(ctx context.Context, f *fixture, tenant, branch string) error {
		return f.ReceiveSet(ctx, tenant, branch, "port=x")
	}},
	{name: "ReceiveStop", is: api.ErrNotFound, noBranch: api.ErrNotFound, noTenant: api.ErrNotFound, run: func(ctx context.Context, f *fixture, tenant, branch string) error {
		return f.ReceiveStop(ctx, tenant, branch)
	}},
	{name: "ReceiveList", noTenant: api.ErrNotFound, run: func(ctx context.Context, f *fixture, tenant, _ string) error {
		_, err := f.ReceiveList(ctx, tenant)
		return err
	}},
	{name: "Push", is: api.ErrUnsupported, noBranch: api.ErrNotFound, noTenant: api.ErrNotFound, run: func(ctx context.Context, f *fixture, tenant, branch string) error {
		_, err := f.Push(ctx, tenant, branch, api.PushOptions{Progress: noProgress})
		return err
	}},
	{name: "PushOffer", is: api.ErrNotAllowed, run: func(ctx context.Context, f *fixture, _, _ string) error {
		_, err := f.PushOffer(ctx, tenantA, api.Offer{TimelineID: tenantB, TLI: 1})
		return err
	}},
	{name: "PushOffer", run: func(ctx context.Context, f *fixture, _, _ string) error {
		_, err := f.PushOffer(ctx, tenantB, api.Offer{TimelineID: tenantB, TLI: 1})
		return err
	}},
	{name: "PushReceive", is: api.ErrProtocol, run: func(ctx context.Context, f *fixture, _, _ string) error {
		b, release, err := f.lookup(ctx, tenantA, MainBranch)
		if err != nil {
			return err
		}
		o := (&pusher{}).offer(b.tl, MainBranch, b.tl.LastLSN())
		release()
		return f.PushReceive(ctx, tenantA, o, strings.NewReader("W\x00"))
	}},
	{name: "WALSum", noBranch: api.ErrNotFound, noTenant: api.ErrNotFound, run: func(ctx context.Context, f *fixture, tenant, branch string) error {
		_, err := f.WALSum(ctx, tenant, branch, 0, 0)
		return err
	}},
	{name: "Replicate", noBranch: api.ErrNotFound, noTenant: api.ErrNotFound, run: func(ctx context.Context, f *fixture, tenant, branch string) error {
		src, err := f.Replicate(ctx, tenant, branch)
		if err != nil {
			return err
		}
		return held(f, func() error { return errors.Join(src.Close(), src.Close()) })
	}},
	{name: "everything.Snapshot", run: func(ctx context.Context, f *fixture, _, _ string) error {
		all := everything{f.Manager}
		id, lsn, err := all.Resolve(ctx, tenantA, MainBranch)
		if err != nil {
			return err
		}
		_, release, err := all.Snapshot(ctx, tenantA, id, lsn)
		if err != nil {
			return err
		}
		defer release()
		if f.closeIdleNow() != 0 {
			return errors.New("the tenant of a state that is shown was closed")
		}
		return nil
	}},
}

// TestEveryVerbReleases: whoever holds a tenant for a call gives it back, however the call ends.
func TestEveryVerbReleases(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{IdleTime: time.Hour})
	if _, err := f.BranchCreate(t.Context(), tenantA, "child", MainBranch, api.BranchOptions{}); err != nil {
		t.Fatal(err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	for _, v := range verbs {
		for _, c := range []struct {
			what, tenant, branch string
			want                 error
		}{
			{"", tenantA, MainBranch, v.is},
			{" of no branch", tenantA, "none", v.noBranch},
			{" of no tenant", tenantB, MainBranch, v.noTenant},
		} {
			if c.what == "" || c.want != nil {
				wantKind(t, v.name+c.what, v.run(t.Context(), f, c.tenant, c.branch), c.want)
			}
			if n := f.holders(); n != 0 {
				t.Fatalf("%s%s: %d still hold the tenant", v.name, c.what, n)
			}
		}
		_ = v.run(ended, f, tenantA, MainBranch) // with an error or without
		if n := f.holders(); n != 0 {
			t.Fatalf("%s with a context that has ended: %d still hold the tenant", v.name, n)
		}
	}
	if n := f.closeIdleNow(); n != 1 {
		t.Error("the tenant cannot be closed after all that")
	}
}

// TestVerbsAreAll: a new method of the page server gets a row in the table.
func TestVerbsAreAll(t *testing.T) {
	for _, i := range []reflect.Type{reflect.TypeFor[api.Service](), reflect.TypeFor[api.ReplicationService]()} {
		for n := range i.NumMethod() {
			name := i.Method(n).Name
			if !slices.ContainsFunc(verbs, func(v verb) bool { return v.name == name }) {
				t.Errorf("%s is not in the table", name)
			}
		}
	}
}
