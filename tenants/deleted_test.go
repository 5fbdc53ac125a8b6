package tenants

import (
	"os"
	"strings"
	"testing"

	"zenith/internal/api"
	"zenith/internal/pg"
	"zenith/repo"
)

// deletedChild makes a branch of main with WAL and a slot of its own, and a branch of that, and deletes both. It
// gives the history of main, from whose state 10 on the slot needs WAL, and the child's timeline.
func deletedChild(t *testing.T, f *fixture) (*history, *repo.Timeline) {
	t.Helper()
	ctx := t.Context()
	main := f.branchOf(t, MainBranch)
	h := f.advance(t, main, -1)
	if _, err := f.BranchCreate(ctx, tenantA, "child", "main@"+h.ends[20].String(), api.BranchOptions{}); err != nil {
		t.Fatal(err)
	}
	child := f.branchOf(t, "child")
	if err := child.tl.MakeDirs(); err != nil {
		t.Fatal(err)
	}
	h.write(t, child.tl, h.ends[40])
	if _, err := child.catchup(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := f.BranchCreate(ctx, tenantA, "grandchild", "child", api.BranchOptions{}); err != nil {
		t.Fatal(err)
	}
	grandchild := branchSlots{f.branchOf(t, "grandchild")}
	if err := grandchild.Create("standby", false, false); err != nil {
		t.Fatal(err)
	}
	if err := grandchild.Advance("standby", h.ends[10]); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"grandchild", "child"} {
		if err := f.BranchDelete(ctx, tenantA, name, true); err != nil {
			t.Fatal(err)
		}
	}
	return h, child.tl
}

// TestSlotsOfDeletedBranches keep the WAL of the ancestors, as they would if the branches were there.
func TestSlotsOfDeletedBranches(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{})
	h, _ := deletedChild(t, f)
	if _, err := f.GC(t.Context(), tenantA, MainBranch, api.GCOptions{Retain: api.Retain{Set: true}, Force: true, Progress: noProgress}); err != nil {
		t.Fatal(err)
	}
	if f.gone(t, h.ends[12]) || !f.gone(t, h.ends[5]) {
		t.Error("WAL is not kept from where the slot of a deleted branch needs it")
	}
	for _, name := range []string{"child", "grandchild"} {
		if _, err := f.BranchUndelete(t.Context(), tenantA, name, ""); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := (branchSlots{f.branchOf(t, "grandchild")}).Get("standby"); err != nil || got != h.ends[10] {
		t.Errorf("the slot is at %v, %v", got, err)
	}
	wantNoProblem(t, f)
}

// TestCheckReadsDeletedBranches: what is wrong with a branch that can be brought back is found before it is.
func TestCheckReadsDeletedBranches(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{})
	h, child := deletedChild(t, f)
	for _, restart := range []bool{false, true} {
		if restart {
			f.restart(t)
		}
		if res, problems := checkAll(t, f.Manager); len(problems) > 0 || res.Branches != 3 {
			t.Fatalf("nothing is damaged: %+v, %q", res, problems)
		}
		path := child.SegmentPath(h.ends[30])
		segment, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		at := h.ends[30] % pg.LSN(len(segment))
		segment[at+30] ^= 1
		if err := os.WriteFile(path, segment, 0o600); err != nil {
			t.Fatal(err)
		}
		_, problems := checkAll(t, f.Manager)
		if len(problems) == 0 || !strings.Contains(strings.Join(problems, "\n"), "deleted branch child: wal behind "+h.ends[30].String()) {
			t.Errorf("problems are %q, want one of the deleted branch behind %v", problems, h.ends[30])
		}
		segment[at+30] ^= 1
		if err := os.WriteFile(path, segment, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.BranchUndelete(t.Context(), tenantA, "child", ""); err != nil {
		t.Errorf("undelete after a check: %v", err)
	}
}
