package tenants

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"zenith/internal/api"
	"zenith/repo"
)

// connected has the Manager count n clients on each postgres.
func (f *fixture) connected(n int) {
	f.clients = func(context.Context, *compute) (int, error) { return n, nil }
}

// named gives the branch object of a name.
func (f *fixture) named(t *testing.T, name string) api.Branch {
	t.Helper()
	list, err := f.BranchList(t.Context(), tenantA)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range list {
		if b.Name == name {
			return b
		}
	}
	t.Fatalf("there is no branch %s", name)
	return api.Branch{}
}

func (f *fixture) make(t *testing.T, name, point string, o api.BranchOptions) api.Branch {
	t.Helper()
	b, err := f.BranchCreate(t.Context(), tenantA, name, point, o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestResetUnderPostgres: a branch's name comes to stand for another state, and its postgres runs on that, at the port
// that it had.
func TestResetUnderPostgres(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{})
	ctx := t.Context()
	f.make(t, "staging", "main", api.BranchOptions{Owner: "ops", Note: "nightly"})
	before, err := f.PgStart(ctx, tenantA, "staging", api.ComputeOptions{Settings: []api.Setting{{Name: "work_mem", Value: "5MB"}}})
	if err != nil {
		t.Fatal(err)
	}
	old := f.named(t, "staging")
	child := f.make(t, "child", "staging", api.BranchOptions{})
	f.advance(t, f.branchOf(t, MainBranch), -1)
	main := f.named(t, MainBranch)

	f.connected(2)
	_, err = f.BranchReset(ctx, tenantA, "staging", "", false)
	wantKind(t, "reset under clients", err, api.ErrBusy, "2 clients are connected", "--force")
	left := 3
	f.clients = func(context.Context, *compute) (int, error) { left--; return left, nil } // they leave
	if c, err := f.branchOf(t, MainBranch).t.compute("staging"); err != nil || c.checkAlone(ctx) != nil || left != 0 {
		t.Errorf("clients that are leaving are not waited for: %d left, %v", left, err)
	}
	f.clients = func(context.Context, *compute) (int, error) { return 0, errors.New("too many clients") }
	_, err = f.BranchReset(ctx, tenantA, "staging", "", false)
	wantKind(t, "reset under a postgres that does not answer", err, api.ErrBusy, "too many clients")
	_, err = f.BranchReset(ctx, tenantA, "staging", "main@FF/0", true)
	wantKind(t, "reset to a point that is not there", err, api.ErrOutOfRange)
	if c, err := f.PgStart(ctx, tenantA, "staging", api.ComputeOptions{}); err != nil || c.Timeline != old.TimelineID || c.LSN != before.LSN {
		t.Errorf("after what was refused: %+v, %v", c, err)
	}

	res, err := f.BranchReset(ctx, tenantA, "staging", "", true)
	if err != nil {
		t.Fatal(err)
	}
	if res.KeptAs != "staging.old-1" || res.From != MainBranch || res.At != main.LatestValidLSN || !res.Restarted || time.Until(res.KeptUntil) < keptFor-time.Hour {
		t.Errorf("reset: %+v", res)
	}
	b := f.named(t, "staging")
	if b.TimelineID == old.TimelineID || *b.AncestorID != main.TimelineID || *b.AncestorLSN != main.LatestValidLSN || b.Owner != "ops" || b.Note != "nightly" || b.Expires != nil {
		t.Errorf("the branch now: %+v", b)
	}
	list, err := f.PgList(ctx, tenantA)
	if err != nil || len(list) != 1 {
		t.Fatalf("computes %+v, %v", list, err)
	}
	if c := list[0]; c.Status != api.ComputeRunning || c.Port != before.Port || c.Socket != before.Socket || c.Timeline != b.TimelineID {
		t.Errorf("its postgres now: %+v\nbefore: %+v", c, before)
	}
	kept := f.named(t, "staging.old-1")
	if kept.TimelineID != old.TimelineID || kept.Was != "staging" || !kept.Expires.Equal(res.KeptUntil) || kept.Owner != "ops" || !strings.Contains(kept.Note, "what staging was") {
		t.Errorf("what it was: %+v", kept)
	}
	if c := f.named(t, "child"); *c.AncestorID != *child.AncestorID {
		t.Errorf("its child began on %v, and now on %v", child.AncestorID, c.AncestorID)
	}
	// The child's parent is the timeline that was kept. What the child is reset to is the branch of that name now.
	if res, err = f.BranchReset(ctx, tenantA, "child", "", false); err != nil || res.From != "staging" || res.Branch.Name != "child" {
		t.Errorf("reset of the child: %+v, %v", res, err)
	}
	f.connected(0)
	if res, err = f.BranchReset(ctx, tenantA, "staging", "main", false); err != nil || res.KeptAs != "staging.old-2" {
		t.Errorf("another reset: %+v, %v", res, err)
	}
}

// TestRestore: main itself goes back, in place.
func TestRestore(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{})
	ctx := t.Context()
	b := f.branchOf(t, MainBranch)
	h := f.advance(t, b, -1)
	old := f.named(t, MainBranch)
	child := f.make(t, "child", "main", api.BranchOptions{})
	_, err := f.BranchReset(ctx, tenantA, MainBranch, "child", true)
	wantKind(t, "reset of a protected branch", err, api.ErrNotAllowed, "is protected", "--off")
	_, err = f.BranchRestore(ctx, tenantA, MainBranch, "child", false)
	wantKind(t, "restore to another branch", err, api.ErrBadArgument, "not of its own past")
	_, err = f.BranchReset(ctx, tenantA, "child", "child@FF/0", false)
	wantKind(t, "reset beyond the head", err, api.ErrOutOfRange)
	for i, point := range []string{"@" + h.commits[3].String(), h.commits[2].String(), "main@" + h.commits[1].String()} {
		res, err := f.BranchRestore(ctx, tenantA, MainBranch, point, false)
		if err != nil {
			t.Fatalf("%s: %v", point, err)
		}
		if main := f.named(t, MainBranch); res.At != h.commits[3-i] || main.LatestValidLSN != res.At || !main.Protected {
			t.Errorf("%s: %+v, main is %+v", point, res, main)
		}
	}
	if c := f.named(t, "child"); c.LatestValidLSN != child.LatestValidLSN || *c.AncestorID != old.TimelineID {
		t.Errorf("child %+v", c)
	}
	if k := f.named(t, "main.old-1"); k.TimelineID != old.TimelineID || k.LatestValidLSN != h.end() || k.Protected {
		t.Errorf("what main was: %+v", k)
	}
	// What was restored by mistake comes back.
	res, err := f.BranchRestore(ctx, tenantA, MainBranch, "main.old-1", false)
	if err != nil || f.named(t, MainBranch).LatestValidLSN != h.end() || res.KeptAs != "main.old-4" {
		t.Errorf("restored again: %+v, %v", res, err)
	}
	_, err = f.BranchReset(ctx, tenantA, "main.old-1", "", false)
	wantKind(t, "reset of what has no ancestor", err, api.ErrBadArgument, "name a branch")
}

// TestPromote: a branch takes the place of the one that it began on, and its postgres with it.
func TestPromote(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{})
	f.connected(0)
	ctx := t.Context()
	main, fix := f.named(t, MainBranch), f.make(t, "fix", "main", api.BranchOptions{})
	c, err := f.PgStart(ctx, tenantA, MainBranch, api.ComputeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.PgStart(ctx, tenantA, "fix", api.ComputeOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err = f.BranchPromote(ctx, tenantA, "fix", "fix", false)
	wantKind(t, "promote over itself", err, api.ErrBadArgument)
	_, err = f.BranchPromote(ctx, tenantA, MainBranch, "fix", false)
	wantKind(t, "promote main, whose name would go", err, api.ErrNotAllowed)
	f.clients = func(_ context.Context, c *compute) (int, error) { // somebody is connected to main
		if c.name == MainBranch {
			return 1, nil
		}
		return 0, nil
	}
	_, err = f.BranchPromote(ctx, tenantA, "fix", "", false)
	wantKind(t, "promote over a branch with clients", err, api.ErrBusy, "1 clients are connected")
	if list, err := f.PgList(ctx, tenantA); err != nil || len(list) != 2 || list[0].Status != api.ComputeRunning || list[1].Status != api.ComputeRunning {
		t.Errorf("after a promotion that was refused: computes %+v, %v", list, err)
	}
	f.connected(0)
	res, err := f.BranchPromote(ctx, tenantA, "fix", "", false)
	if err != nil || res.KeptAs != "main.old-1" || res.From != "fix" || !res.Restarted {
		t.Fatalf("promoted: %+v, %v", res, err)
	}
	if b := f.named(t, MainBranch); b.TimelineID != fix.TimelineID || !b.Protected {
		t.Errorf("main is %+v", b)
	}
	if b := f.named(t, "main.old-1"); b.TimelineID != main.TimelineID {
		t.Errorf("main was %+v", b)
	}
	list, err := f.PgList(ctx, tenantA)
	if err != nil || len(list) != 1 || list[0].Name != MainBranch || list[0].Port != c.Port || list[0].Timeline != fix.TimelineID || list[0].Status != api.ComputeRunning {
		t.Errorf("computes %+v, %v", list, err)
	}
}

// TestProtectAndRename: what is protected stays what it is, and a name goes with the settings of its postgres.
func TestProtectAndRename(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{})
	ctx := t.Context()
	f.make(t, "dev", "main", api.BranchOptions{})
	if err := f.BranchProtect(ctx, tenantA, "dev", true); err != nil {
		t.Fatal(err)
	}
	_, expire := f.BranchExpire(ctx, tenantA, "dev", api.Expiry{After: time.Hour})
	_, reset := f.BranchReset(ctx, tenantA, "dev", "main", true)
	for what, err := range map[string]error{
		"delete": f.BranchDelete(ctx, tenantA, "dev", true), "rename": f.BranchRename(ctx, tenantA, "dev", "x"), "expire": expire, "reset": reset,
		"rename main": f.BranchRename(ctx, tenantA, MainBranch, "x"),
	} {
		wantKind(t, what, err, api.ErrNotAllowed, "is protected (branch protect")
	}
	c, err := f.PgCreate(ctx, tenantA, "dev", api.ComputeOptions{Port: 61234, Settings: []api.Setting{{Name: "work_mem", Value: "5MB"}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.BranchProtect(ctx, tenantA, "dev", false); err != nil {
		t.Fatal(err)
	}
	if err := f.BranchRename(ctx, tenantA, "dev", "team/dev"); err != nil {
		t.Fatal(err)
	}
	f.restart(t)
	list, err := f.PgList(ctx, tenantA)
	if err != nil || len(list) != 1 || list[0].Name != "team/dev" || list[0].Port != c.Port || list[0].Timeline != c.Timeline {
		t.Errorf("computes %+v, %v", list, err)
	}
	wantKind(t, "rename to a name that is taken", f.BranchRename(ctx, tenantA, "team/dev", MainBranch), api.ErrExists)
	if _, err := f.BranchExpire(ctx, tenantA, "team/dev", api.Expiry{After: time.Hour}); err != nil {
		t.Fatal(err)
	}
	wantKind(t, "protect what expires", f.BranchProtect(ctx, tenantA, "team/dev", true), api.ErrNotAllowed, "expires at")
}

// expireNow has a branch expire in a moment that has come when it returns.
func (f *fixture) expireNow(t *testing.T, name string) {
	t.Helper()
	b := f.branchOf(t, name)
	if err := b.t.noteExpiry(new(time.Now())); err != nil {
		t.Fatal(err)
	}
	err := b.t.repo.SetAttributes(t.Context(), b.tl, func(a *repo.Attributes) error {
		a.Expires = new(time.Now())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestExpiry: what has expired goes, with its postgres, as soon as nobody needs it; till then status says why it stays.
func TestExpiry(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{SweepEvery: time.Hour})
	f.connected(1)
	ctx := t.Context()
	made := f.make(t, "pr", "main", api.BranchOptions{Expires: api.Expiry{After: time.Hour}})
	if made.Expires == nil || time.Until(*made.Expires) < 59*time.Minute {
		t.Errorf("made %+v", made)
	}
	f.make(t, "pr-child", "pr", api.BranchOptions{})
	if _, err := f.PgStart(ctx, tenantA, "pr", api.ComputeOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.PgStart(ctx, tenantA, "pr-child", api.ComputeOptions{}); err != nil {
		t.Fatal(err)
	}
	waits := func(name, why string) {
		t.Helper()
		if err := f.sweep(ctx, tenantA); err != nil {
			t.Fatal(err)
		}
		list, err := f.BranchDetails(ctx, tenantA)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range list {
			if d.Name == name && (why == "" || !strings.Contains(d.Waits, why)) {
				t.Errorf("%s is there, and waits for %q; want %q", name, d.Waits, why)
			} else if d.Name == name {
				return
			}
		}
		if why != "" {
			t.Errorf("%s is gone, and should wait: %s", name, why)
		}
	}
	f.expireNow(t, "pr")
	waits("pr", "has branches of its own")
	rows, err := f.Status(ctx)
	if err != nil || !strings.Contains(statusText(rows), "pr: has branches of its own") {
		t.Errorf("status %v, %v", rows, err)
	}
	f.expireNow(t, "pr-child")
	waits("pr-child", "1 clients are connected")
	f.connected(0)
	waits("pr-child", "")
	waits("pr", "")
	if list, err := f.PgList(ctx, tenantA); err != nil || len(list) != 0 {
		t.Errorf("computes %+v, %v", list, err)
	}
	if said := f.log.lines("branch that has expired"); len(said) != 6 { // each stays once, is stopped and is deleted
		t.Errorf("the log says %q", said)
	}
	if b, err := f.BranchUndelete(ctx, tenantA, "pr", ""); err != nil || b.Expires != nil {
		t.Errorf("undeleted: %+v, %v", b, err)
	}
}

func statusText(rows []api.StatusRow) (text string) {
	for _, r := range rows {
		text += r.Name + ": " + r.Value + "\n"
	}
	return text
}

// TestExpiryOfClosedTenants: a tenant that nobody uses is opened when a branch of it has expired, and not before.
func TestExpiryOfClosedTenants(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{SweepEvery: 10 * time.Millisecond, IdleTime: 50 * time.Millisecond})
	f.make(t, "pr", "main", api.BranchOptions{Expires: api.Expiry{After: time.Hour}})
	waitFor(t, "the tenant is closed", func() bool { return !f.isOpen(tenantA) })
	due := map[string]time.Time{}
	if f.sweepDue(tenantA, due) || due[tenantA].Before(time.Now().Add(50*time.Minute)) {
		t.Errorf("due at %v", due)
	}
	f.expireNow(t, "pr")
	waitFor(t, "the branch is gone", func() bool {
		list, err := f.BranchList(t.Context(), tenantA)
		return err == nil && len(list) == 1
	})
	waitFor(t, "the tenant is closed again", func() bool { return !f.isOpen(tenantA) })
	if f.sweepDue(tenantA, map[string]time.Time{}) {
		t.Error("it is due, and nothing expires")
	}
}

// TestTagsArePoints: a tag is a point wherever one is wanted, and what it is on is not deleted.
func TestTagsArePoints(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{})
	ctx := t.Context()
	h := f.advance(t, f.branchOf(t, MainBranch), -1)
	f.make(t, "dev", "main", api.BranchOptions{})
	tag, err := f.TagCreate(ctx, tenantA, "v42", "dev@"+h.commits[2].String())
	if err != nil || tag.Branch != MainBranch || tag.LSN != h.commits[2] || !tag.Time.Equal(h.times[2]) {
		t.Errorf("tag %+v, %v", tag, err)
	}
	for _, point := range []string{"v42", "main@v42", "dev@v42"} {
		if lsn, err := f.LSN(ctx, tenantA, point); err != nil || lsn != h.commits[2] {
			t.Errorf("%s is %v, %v", point, lsn, err)
		}
	}
	c, err := f.PgStart(ctx, tenantA, "v42", api.ComputeOptions{})
	if err != nil || c.Name != "main@v42" || c.LSN != h.commits[2] {
		t.Errorf("pg start v42: %+v, %v", c, err)
	}
	if err := f.PgStop(ctx, tenantA, "v42", api.StopOptions{Destroy: true}); err != nil {
		t.Error(err)
	}
	_, err = f.TagCreate(ctx, tenantA, "dev", "main")
	wantKind(t, "a tag with a branch's name", err, api.ErrExists)
	_, err = f.TagCreate(ctx, tenantA, "2026-11-30", "main")
	wantKind(t, "a tag that looks like a time", err, api.ErrBadArgument)
	_, err = f.LSN(ctx, tenantA, "main@nosuch")
	wantKind(t, "a tag that is not there", err, api.ErrBadArgument)
	if _, err := f.TagCreate(ctx, tenantA, "head", "dev"); err != nil {
		t.Fatal(err)
	}
	if at, err := f.TagList(ctx, tenantA); err != nil || len(at) != 2 || at[0].Name != "head" || at[1].Name != "v42" {
		t.Errorf("tags %+v, %v", at, err)
	}
	if _, err := f.BranchCreate(ctx, tenantA, "v42/x", "v42", api.BranchOptions{}); err != nil {
		t.Error(err)
	}
	if err := f.TagDelete(ctx, tenantA, "head"); err != nil {
		t.Error(err)
	}
	wantKind(t, "delete it twice", f.TagDelete(ctx, tenantA, "head"), api.ErrNotFound)
}

// TestUsage: what branches take is counted, also over a restart, and what a deletion gives back.
func TestUsage(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{})
	ctx := t.Context()
	main := f.branchOf(t, MainBranch)
	f.advance(t, main, -1)
	if err := main.tl.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	f.make(t, "empty", "main", api.BranchOptions{})
	for range 2 {
		list, err := f.DiskUsage(ctx, tenantA)
		if err != nil || len(list) != 2 {
			t.Fatalf("usage %+v, %v", list, err)
		}
		if u := list[0]; u.PageBytes < 1<<20 || u.WALBytes < 1<<20 || u.GivesBack != 0 || u.FirstLSN == 0 || u.FirstTime == nil {
			t.Errorf("main %+v", u)
		}
		if u := list[1]; u.PageBytes != 0 || u.WALBytes != 0 || u.Branch != "empty" {
			t.Errorf("empty %+v", u)
		}
		d, err := f.BranchDetails(ctx, tenantA)
		if err != nil || len(d) != 2 || d[0].OwnBytes != list[0].PageBytes+list[0].WALBytes || d[1].Shared != d[0].OwnBytes || d[0].LastWrite == nil || d[1].LastWrite != nil {
			t.Errorf("details %+v, %v", d, err)
		}
		f.restart(t)
	}
	if err := f.BranchDelete(ctx, tenantA, "empty", false); err != nil {
		t.Fatal(err)
	}
	list, err := f.DiskUsage(ctx, tenantA)
	if err != nil || len(list) != 2 || !list[1].Deleted || list[0].GivesBack != list[0].PageBytes+list[0].WALBytes {
		t.Errorf("usage %+v, %v", list, err)
	}
}

// TestKeptWhileItExpires: a branch of which somebody says, while its postgres is being stopped, that it is needed stays.
func TestKeptWhileItExpires(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{SweepEvery: time.Hour})
	ctx := t.Context()
	f.make(t, "pr", "main", api.BranchOptions{Expires: api.Expiry{After: time.Hour}})
	if _, err := f.PgStart(ctx, tenantA, "pr", api.ComputeOptions{}); err != nil {
		t.Fatal(err)
	}
	f.expireNow(t, "pr")
	f.clients = func(ctx context.Context, _ *compute) (int, error) {
		_, err := f.BranchExpire(ctx, tenantA, "pr", api.Expiry{})
		return 0, err
	}
	if err := f.sweep(ctx, tenantA); err != nil {
		t.Fatal(err)
	}
	if _, err := f.LSN(ctx, tenantA, "pr"); err != nil {
		t.Errorf("it is gone: %v", err)
	}
}

// TestTextsOfBranches: nobody puts into a list of branches what moves the cursor of whoever looks at it.
func TestTextsOfBranches(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{})
	for _, o := range []api.BranchOptions{{Note: "\x1b[2J"}, {Owner: "a\nb"}, {Note: strings.Repeat("x", 501)}, {Owner: "\xff"}} {
		if _, err := f.BranchCreate(t.Context(), tenantA, "pr", "main", o); !errors.Is(err, api.ErrBadArgument) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	f.make(t, "pr", "main", api.BranchOptions{Owner: "Zoë", Note: "PR 4521: naïve"})
}

// TestBranchOfDeletedTimeline: who has found a timeline before it was deleted does not get in the way of its return.
func TestBranchOfDeletedTimeline(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{})
	ctx := t.Context()
	f.make(t, "dev", "main", api.BranchOptions{})
	old := f.branchOf(t, "dev")
	if err := f.BranchDelete(ctx, tenantA, "dev", true); err != nil {
		t.Fatal(err)
	}
	_, err := old.t.branch(old.tl)
	wantKind(t, "the branch of a deleted timeline", err, api.ErrNotFound, "was deleted")
	if _, err := f.BranchUndelete(ctx, tenantA, "dev", ""); err != nil {
		t.Fatal(err)
	}
	_, err = old.t.branch(old.tl)
	wantKind(t, "that of one that was brought back as another", err, api.ErrNotFound)
	if _, err := f.PgStart(ctx, tenantA, "dev", api.ComputeOptions{}); err != nil {
		t.Error(err)
	}
}
