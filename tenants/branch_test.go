package tenants

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"zenith/internal/api"
	"zenith/internal/pg"
)

// TestBranches: branches are listed in the order of their creation, from whatever point they
// were made, and a timeline's id is as good as a name.
func TestBranches(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{DefaultTenant: tenantA})
	main := f.branchOf(t, MainBranch)
	h := f.advance(t, main, 60)
	for _, c := range []struct {
		name, point string
		at          pg.LSN
	}{
		{"z", MainBranch, h.ends[60]},
		{"a", "main@" + h.ends[10].String(), h.ends[10]},
		{"between", "main@" + (h.ends[11] - 1).String(), h.ends[10]}, // the last whole record before it
		{"feature/by-id", main.tl.ID().String() + "@" + h.ends[20].String(), h.ends[20]},
		{"grandchild", "a", h.ends[10]},
	} {
		b, err := f.BranchCreate(t.Context(), tenantA, c.name, c.point, api.BranchOptions{})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if b.AncestorLSN == nil || *b.AncestorLSN != c.at {
			t.Errorf("%s is made at %v, want %v", c.name, b.AncestorLSN, c.at)
		}
	}
	list, err := f.BranchList(t.Context(), "")
	var names []string
	for _, b := range list {
		names = append(names, b.Name)
	}
	if got, want := strings.Join(names, ","), "main,z,a,between,feature/by-id,grandchild"; got != want || err != nil {
		t.Errorf("got branches %s, %v; want %s", got, err, want)
	}
	id, err := f.IdentifySystem(t.Context(), "", "")
	if info := main.tl.Info(); err != nil || id.SysID != info.SysID || id.TLI != 1 || id.XLogPos != h.ends[60] {
		t.Errorf("IDENTIFY_SYSTEM: %+v, %v", id, err)
	}
}

// TestBranchCreateRefuses names that could not be files, and points that are not there.
func TestBranchCreateRefuses(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{})
	head := f.branchOf(t, MainBranch).tl.LastLSN()
	for _, c := range []struct {
		name, point string
		kind        error
	}{
		{"", MainBranch, api.ErrBadArgument},
		{"..", MainBranch, api.ErrBadArgument},
		{"a//b", MainBranch, api.ErrBadArgument},
		{"a b", MainBranch, api.ErrBadArgument},
		{"a@b", MainBranch, api.ErrBadArgument},
		{"-a", MainBranch, api.ErrBadArgument},
		{strings.Repeat("x", 201), MainBranch, api.ErrBadArgument},
		{MainBranch, MainBranch, api.ErrExists},
		{"new", "none", api.ErrNotFound},
		{"new", "main@nonsense", api.ErrBadArgument},
		{"new", "main@1/0", api.ErrOutOfRange},
		{"new", "main@0/1", api.ErrOutOfRange},
		{"new", "main@" + (head + 8).String(), api.ErrOutOfRange},
		{"new", "main@1999-12-31T00:00:00Z", api.ErrOutOfRange},
		{"new", "", api.ErrBadArgument},
	} {
		_, err := f.BranchCreate(t.Context(), tenantA, c.name, c.point, api.BranchOptions{})
		wantKind(t, "branch "+c.name+" from "+c.point, err, c.kind)
	}
	if list, err := f.BranchList(t.Context(), tenantA); len(list) != 1 || err != nil {
		t.Errorf("got branches %v, %v; want main alone", list, err)
	}
	for _, tenant := range []string{"", "x", tenantB + "b", strings.ToUpper(tenantA)} {
		_, err := f.BranchList(t.Context(), tenant)
		wantKind(t, "tenant "+tenant, err, api.ErrBadArgument, "tenant")
	}
}

// TestPointsInTime: NAME@TIME is the state after the last commit at or before it.
func TestPointsInTime(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{})
	h := f.advance(t, f.branchOf(t, MainBranch), -1)
	for i, at := range h.times {
		got, err := f.LSN(t.Context(), tenantA, "main@"+at.Format(time.RFC3339Nano))
		if err != nil || got != h.commits[i] {
			t.Errorf("commit %d was at %v, %v; want %v", i, got, err, h.commits[i])
		}
	}
	if got, err := f.LSN(t.Context(), tenantA, "main@"+h.times[0].Add(-time.Microsecond).Format(time.RFC3339Nano)); err == nil && got >= h.commits[0] {
		t.Errorf("before the first commit: %v", got)
	}
	if got, err := f.LSN(t.Context(), tenantA, "main@-0s"); err != nil || got != h.end() {
		t.Errorf("now: %v, %v; want the head, %v", got, err, h.end())
	}
}

// TestBranchDeleteRefuses while anything uses the branch, and does it when that has ended.
func TestBranchDeleteRefuses(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{})
	dir := filepath.Join(f.room, "m")
	mount := func(o api.MountOptions) func(t *testing.T) func() error {
		return func(t *testing.T) func() error {
			o.Tenant, o.Dir = tenantA, dir
			if _, err := f.Mount(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			return func() error { return f.Umount(context.Background(), dir, false) }
		}
	}
	for _, c := range []struct {
		name string
		use  func(t *testing.T) (end func() error)
		says string
	}{
		{"a child", func(t *testing.T) func() error {
			if _, err := f.BranchCreate(t.Context(), tenantA, "child", "b", api.BranchOptions{}); err != nil {
				t.Fatal(err)
			}
			return func() error { return f.BranchDelete(context.Background(), tenantA, "child", false) }
		}, "branches of its own"},
		{"a writable mount", mount(api.MountOptions{Point: "b"}), "already mounted for writing at " + dir},
		{"a scratch mount", mount(api.MountOptions{Point: "b", Scratch: true}), "is mounted"},
		{"a mount of a state", func(t *testing.T) func() error {
			at := f.branchOf(t, "b").tl.LastLSN()
			return mount(api.MountOptions{Point: "b@" + at.String()})(t)
		}, "is mounted"},
		{"a postgres", func(t *testing.T) func() error {
			if _, err := f.PgStart(t.Context(), tenantA, "b", set()); err != nil {
				t.Fatal(err)
			}
			return func() error { return f.PgStop(context.Background(), tenantA, "b", api.StopOptions{}) }
		}, "pg stop b"},
		{"a standby", func(t *testing.T) func() error {
			src, err := f.Replicate(t.Context(), tenantA, "b")
			if err != nil {
				t.Fatal(err)
			}
			return src.Close
		}, "streamed from"},
		{"a state in the whole tree", func(t *testing.T) func() error {
			all := everything{f.Manager}
			id, lsn, err := all.Resolve(t.Context(), tenantA, "b")
			if err != nil {
				t.Fatal(err)
			}
			_, release, err := all.Snapshot(t.Context(), tenantA, id, lsn)
			if err != nil {
				t.Fatal(err)
			}
			return func() error { release(); return nil }
		}, "is mounted"},
		{"another writer", func(t *testing.T) func() error {
			b := f.branchOf(t, "b")
			if err := b.acquire(pushing); err != nil {
				t.Fatal(err)
			}
			return func() error { b.release(); return nil }
		}, "is taken by a push"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := f.BranchCreate(t.Context(), tenantA, "b", MainBranch, api.BranchOptions{}); err != nil {
				t.Fatal(err)
			}
			end := c.use(t)
			wantKind(t, "while it is in use", f.BranchDelete(t.Context(), tenantA, "b", false), api.ErrBusy, "branch b", c.says)
			if err := end(); err != nil {
				t.Fatal(err)
			}
			wantKind(t, "afterwards", f.BranchDelete(t.Context(), tenantA, "b", false), nil)
			wantKind(t, "again", f.BranchDelete(t.Context(), tenantA, "b", false), api.ErrNotFound, "no such branch")
		})
	}
}

// TestBranchDeleteTakesAll: what belongs to the branch goes with it.
func TestBranchDeleteTakesAll(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{})
	if _, err := f.BranchCreate(t.Context(), tenantA, "b", MainBranch, api.BranchOptions{}); err != nil {
		t.Fatal(err)
	}
	b := f.branchOf(t, "b")
	at := "b@" + b.tl.LastLSN().String()
	for _, point := range []string{"b", at} {
		if _, err := f.PgCreate(t.Context(), tenantA, point, set()); err != nil {
			t.Fatal(err)
		}
	}
	if err := (branchSlots{b}).Create("standby", false, true); err != nil {
		t.Fatal(err)
	}
	if _, err := f.PgCreate(t.Context(), tenantA, MainBranch, set()); err != nil {
		t.Fatal(err)
	}
	if err := f.BranchDelete(t.Context(), tenantA, "b", false); err != nil {
		t.Fatal(err)
	}
	if f.statusOf(t, "b") != "" || f.statusOf(t, at) != "" || f.statusOf(t, MainBranch) == "" {
		t.Error("its postgres servers are left, or another's have gone")
	}
	all := api.GCOptions{Retain: api.Retain{Set: true}, Force: true, Progress: noProgress}
	if _, err := f.GC(t.Context(), tenantA, "", all); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{b.slots.path, b.tl.WALDir()} {
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left: %v", path, err)
		}
	}
	f.restart(t)
	_, err := f.LSN(t.Context(), tenantA, "b")
	wantKind(t, "after a restart", err, api.ErrNotFound)
}

// TestBranchDeleteNeedsForce where a slip would destroy something; and what was deleted comes back whole.
func TestBranchDeleteNeedsForce(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{Retention: Retention{Time: time.Hour, Deleted: time.Minute}})
	ctx := t.Context()
	if _, err := f.BranchCreate(ctx, tenantA, "a/b", MainBranch, api.BranchOptions{}); err != nil {
		t.Fatal(err)
	}
	b := f.branchOf(t, "a/b")
	wantKind(t, "main with a child", f.BranchDelete(ctx, tenantA, MainBranch, true), api.ErrBusy, "branches of its own")
	if err := b.tl.MakeDirs(); err != nil {
		t.Fatal(err)
	}
	h := f.advance(t, b, -1)
	if err := b.tl.PutFile(ctx, "postgresql.auto.conf", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := (branchSlots{b}).Create("standby", false, false); err != nil {
		t.Fatal(err)
	}
	wantKind(t, "one with history", f.BranchDelete(ctx, tenantA, "a/b", false), api.ErrNotAllowed, "bytes of WAL of its own", "delete -f")
	wantKind(t, "by force", f.BranchDelete(ctx, tenantA, "a/b", true), nil)
	wantKind(t, "main", f.BranchDelete(ctx, tenantA, MainBranch, false), api.ErrNotAllowed, "where none is named")
	if _, err := f.BranchCreate(ctx, tenantA, "a", MainBranch, api.BranchOptions{}); err != nil {
		t.Error(err)
	}
	list, err := f.BranchDeleted(ctx, tenantA)
	if err != nil || len(list) != 1 || list[0].Name != "a/b" || list[0].KeptUntil.Sub(list[0].DeletedAt).Round(time.Second) != time.Minute {
		t.Fatalf("deleted: %+v, %v", list, err)
	}
	f.restart(t)
	if _, err := f.GC(ctx, tenantA, "", api.GCOptions{Progress: noProgress}); err != nil {
		t.Fatal(err)
	}
	_, err = f.BranchUndelete(ctx, tenantA, "none", "")
	wantKind(t, "undelete what was not deleted", err, api.ErrNotFound)
	_, err = f.BranchUndelete(ctx, tenantA, "a/b", "")
	wantKind(t, "its name is taken", err, api.ErrExists, "there is a branch a", "undelete a/b NEW_NAME")
	_, err = f.BranchUndelete(ctx, tenantA, "a/b", "a b")
	wantKind(t, "a bad name", err, api.ErrBadArgument)
	got, err := f.BranchUndelete(ctx, tenantA, "a/b", "back")
	if err != nil || got.Name != "back" || got.LatestValidLSN != h.end() || got.TimelineID != b.tl.ID().String() {
		t.Fatalf("undelete: %+v, %v; want the head %v", got, err, h.end())
	}
	back := f.branchOf(t, "back")
	s, err := back.tl.AtHead(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if content, err := s.ReadFile(ctx, "postgresql.auto.conf"); err != nil || string(content) != "x" {
		t.Errorf("its file is %q, %v", content, err)
	}
	if _, err := (branchSlots{back}).Get("standby"); err != nil {
		t.Errorf("its slot: %v", err)
	}
	wantNoProblem(t, f)
}

// TestDamagedWALStopsItsBranch: the other branches can be used, and who asks for a state before
// the damage gets it.
func TestDamagedWALStopsItsBranch(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{})
	if _, err := f.BranchCreate(t.Context(), tenantA, "other", MainBranch, api.BranchOptions{}); err != nil {
		t.Fatal(err)
	}
	main := f.branchOf(t, MainBranch)
	start := main.tl.LastLSN()
	h := f.advance(t, main, 60)
	path := main.tl.SegmentPath(start)
	if err := f.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[h.ends[40]%pg.LSN(len(b))+30] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	f.open(t)
	if _, err := f.LSN(t.Context(), tenantA, "other"); err != nil {
		t.Errorf("another branch: %v", err)
	}
	_, err = f.LSN(t.Context(), tenantA, MainBranch)
	wantKind(t, "the head of the damaged branch", err, api.ErrCorrupt, "branch main", "damaged at")
	_, err = f.PgStart(t.Context(), tenantA, MainBranch, set())
	wantKind(t, "postgres on it", err, api.ErrCorrupt)
	if got, err := f.LSN(t.Context(), tenantA, "main@"+h.ends[20].String()); err != nil || got != h.ends[20] {
		t.Errorf("a state before the damage: %v, %v", got, err)
	}
}
