package tenants

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"zenith/internal/api"
	"zenith/internal/pg"
	"zenith/repo"
)

// gone reports whether a state of main is forgotten, and checks that the error says so.
func (f *fixture) gone(t testing.TB, at pg.LSN) bool {
	t.Helper()
	_, err := f.LSN(t.Context(), tenantA, "main@"+at.String())
	if err != nil {
		wantKind(t, "a state that is forgotten", err, api.ErrOutOfRange, "below the horizon")
	}
	return err != nil
}

// TestGC: history that is not to be retained is forgotten, what somebody needs is not.
func TestGC(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{})
	main := f.branchOf(t, MainBranch)
	h := f.advance(t, main, -1)
	n := len(h.ends)
	if _, err := f.BranchCreate(t.Context(), tenantA, "child", "main@"+h.ends[10].String(), api.BranchOptions{}); err != nil {
		t.Fatal(err)
	}
	leased := h.ends[20]
	until, err := f.Lease(t.Context(), tenantA, MainBranch, leased)
	if left := time.Until(until); err != nil || left <= 0 || left > leaseTime {
		t.Errorf("the lease lasts %v more, %v", left, err)
	}
	if res, err := f.GC(t.Context(), tenantA, "", api.GCOptions{Progress: noProgress}); err != nil || f.gone(t, h.ends[5]) {
		t.Errorf("what is to be retained by default is gone: %+v, %v", res, err)
	}
	keep := int64(h.ends[n-1] - h.ends[n/2])
	retain := api.Retain{Set: true, Bytes: keep}
	plan, err := f.GCPlan(t.Context(), tenantA, "", retain)
	if err != nil || len(plan) != 1 || plan[0].Branch != MainBranch || plan[0].To > h.ends[n/2] || plan[0].WALBytes != int64(plan[0].To-plan[0].From) ||
		plan[0].Versions == 0 || plan[0].ToTime == nil {
		t.Fatalf("plan %+v, %v", plan, err)
	}
	if again, err := f.GCPlan(t.Context(), tenantA, "", retain); err != nil || !reflect.DeepEqual(plan, again) || f.gone(t, h.ends[5]) {
		t.Errorf("a plan changed something: %+v, then %+v, %v", plan, again, err)
	}
	res, err := f.GC(t.Context(), tenantA, MainBranch, api.GCOptions{Retain: retain, Force: true, Progress: noProgress})
	if err != nil || res.Relations == 0 || res.Deleted+res.Truncated == 0 || res.Deleted > 2*plan[0].Versions {
		t.Errorf("got %+v, %v; the plan was %+v", res, err, plan)
	}
	if plan, err := f.GCPlan(t.Context(), tenantA, "", retain); err != nil || len(plan) != 0 {
		t.Errorf("afterwards the plan is %+v, %v", plan, err)
	}
	for i, want := range map[int]bool{5: true, n/2 - 1: true, n/2 + 1: false, n - 1: false} {
		if f.gone(t, h.ends[i]) != want {
			t.Errorf("state %d of %d is gone: %v, want %v", i, n, !want, want)
		}
	}
	if got, err := f.LSN(t.Context(), tenantA, "child"); err != nil || got != h.ends[10] {
		t.Errorf("the branch that was made of what is forgotten: %v, %v", got, err)
	}
	_, err = f.Lease(t.Context(), tenantA, MainBranch, h.ends[5])
	wantKind(t, "lease what is gone", err, api.ErrOutOfRange, "horizon")
	wantNoProblem(t, f)
}

// TestGCSparesTheYoung: what is younger than a day is forgotten by force only, and the error says what it is.
func TestGCSparesTheYoung(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{})
	main := f.branchOf(t, MainBranch)
	h := f.advance(t, main, -1)
	half := map[repo.TimelineID]pg.LSN{main.tl.ID(): h.ends[len(h.ends)/2]}
	wantKind(t, "all is young", main.t.checkYoung(t.Context(), half, h.times[0].Add(-time.Hour)), api.ErrNotAllowed,
		"younger than a day", "main up to 0/", "bytes of WAL", "--force")
	wantKind(t, "half is old", main.t.checkYoung(t.Context(), half, h.times[len(h.times)-1]), nil)
	wantKind(t, "nothing is forgotten", main.t.checkYoung(t.Context(), nil, h.times[0]), nil)
}

// wantNoProblem checks the whole tenant.
func wantNoProblem(t *testing.T, f *fixture) {
	t.Helper()
	var problems []string
	res, err := f.Check(t.Context(), tenantA, "", func(p string) error { problems = append(problems, p); return nil }, noProgress)
	if err != nil || len(problems) > 0 {
		t.Errorf("check: %+v, %v, %q", res, err, problems)
	}
}

// TestHorizon: a branch keeps what is younger than Time or within Bytes of its head.
func TestHorizon(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{})
	main := f.branchOf(t, MainBranch)
	h := f.advance(t, main, -1)
	long := 100 * 365 * 24 * time.Hour
	for _, c := range []struct {
		keep Retention
		want pg.LSN
	}{
		{Retention{}, h.end()},
		{Retention{Bytes: 1000}, h.end() - 1000},
		{Retention{Bytes: 1 << 40}, 0},
		{Retention{Time: long}, 0},
		{Retention{Time: long, Bytes: 1000}, 0},
	} {
		if got, err := main.horizon(t.Context(), c.keep); err != nil || got != c.want {
			t.Errorf("%+v: got %v, %v; want %v", c.keep, got, err, c.want)
		}
	}
	// The clock moves while horizon looks at it, so its answer lies between those before and after.
	keep := time.Since(h.times[len(h.times)/2])
	at := func() pg.LSN {
		p, err := main.tl.FindTime(t.Context(), time.Now().Add(-keep))
		if err != nil {
			t.Fatal(err)
		}
		return p.LSN
	}
	least := at()
	got, err := main.horizon(t.Context(), Retention{Time: keep})
	if most := at(); err != nil || got < least || got > most || least < h.commits[0] {
		t.Errorf("%v of history: the horizon is %v, %v; want one from %v to %v", keep, got, err, least, most)
	}
}

// TestSlotsKeepWAL: nothing is forgotten behind a replication slot, of the branch or of a
// descendant.
func TestSlotsKeepWAL(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{})
	main := f.branchOf(t, MainBranch)
	h := f.advance(t, main, -1)
	if _, err := f.BranchCreate(t.Context(), tenantA, "child", "main@"+h.ends[30].String(), api.BranchOptions{}); err != nil {
		t.Fatal(err)
	}
	for name, at := range map[string]pg.LSN{MainBranch: h.ends[50], "child": h.ends[30]} {
		s := branchSlots{f.branchOf(t, name)}
		if err := errors.Join(s.Create("slot", false, false), s.Advance("slot", at)); err != nil {
			t.Fatal(err)
		}
	}
	horizon := func() pg.LSN {
		t.Helper()
		all, err := main.t.horizons(t.Context(), main.t.repo.Timelines(), Retention{})
		if err != nil || len(all) != 2 {
			t.Fatalf("horizons %v, %v", all, err)
		}
		return all[main.tl.ID()]
	}
	if got := horizon(); got != h.ends[30] {
		t.Errorf("the child's slot needs WAL from %v on, its ancestor is forgotten up to %v", h.ends[30], got)
	}
	if err := (branchSlots{f.branchOf(t, "child")}).Drop("slot", false); err != nil {
		t.Fatal(err)
	}
	if got := horizon(); got != h.ends[50] {
		t.Errorf("the branch's slot needs WAL from %v on, it is forgotten up to %v", h.ends[50], got)
	}
	if err := (branchSlots{main}).Drop("slot", false); err != nil {
		t.Fatal(err)
	}
	if got := horizon(); got != h.end() {
		t.Errorf("without slots it is forgotten up to %v, want the head, %v", got, h.end())
	}
}

// TestBackgroundCollects what deleted branches have left, and forgets history by the tenant's own
// settings when it does.
func TestBackgroundCollects(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{CollectEvery: time.Hour, TenantRetention: map[string]Retention{tenantA: {Bytes: 1 << 10, Deleted: time.Nanosecond}}})
	main := f.branchOf(t, MainBranch)
	h := f.advance(t, main, -1)
	if err := f.collect(t.Context(), tenantA); err != nil || f.gone(t, h.ends[5]) {
		t.Errorf("the index was gone through for a megabyte of WAL: %v", err)
	}
	if _, err := f.BranchCreate(t.Context(), tenantA, "deleted", MainBranch, api.BranchOptions{}); err != nil {
		t.Fatal(err)
	}
	deleted := f.branchOf(t, "deleted")
	if err := deleted.tl.PutFile(t.Context(), "postgresql.auto.conf", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := f.BranchDelete(t.Context(), tenantA, "deleted", false); err != nil {
		t.Fatal(err)
	}
	f.cfg.CollectEvery = time.Millisecond
	f.restart(t)
	waitFor(t, "the background collects an open tenant", func() bool {
		if _, err := f.BranchList(t.Context(), tenantA); err != nil {
			t.Fatal(err)
		}
		return len(f.log.lines("forgot history")) > 0
	})
	if !f.gone(t, h.ends[5]) {
		t.Error("history is left that the tenant's settings do not retain")
	}
	if f.gone(t, h.end()) {
		t.Error("the head is gone")
	}
}

// TestRest: a collection lets others work, but ends with its context.
func TestRest(t *testing.T) {
	t.Parallel()
	if err := rest(t.Context(), time.Nanosecond); err != nil {
		t.Error(err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if err := rest(ended, time.Hour); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestCheckFinds damage of the WAL, each as a line that names the branch and the place; and goes on.
func TestCheckFinds(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{})
	main := f.branchOf(t, MainBranch)
	start := main.tl.LastLSN()
	h := f.advance(t, main, -1)
	if _, err := f.BranchCreate(t.Context(), tenantA, "child", MainBranch, api.BranchOptions{}); err != nil {
		t.Fatal(err)
	}
	check := func(name string) (problems []string) {
		t.Helper()
		last := int64(-1)
		res, err := f.Check(t.Context(), tenantA, name, func(p string) error {
			problems = append(problems, p)
			return nil
		}, func(what string, done, total int64) {
			if done < 0 || what == "" || total < 0 {
				t.Errorf("progress %q %d of %d", what, done, total)
			}
			last = done
		})
		if err != nil || res.Problems != int64(len(problems)) || len(problems) == 0 && res.Pages == 0 || last < 0 {
			t.Errorf("check %q: %+v, %v, progress %d", name, res, err, last)
		}
		return problems
	}
	if p := check(""); len(p) > 0 {
		t.Fatalf("nothing is damaged: %q", p)
	}
	change(t, main.tl.SegmentPath(start), func(b []byte) []byte {
		b[h.ends[30]%pg.LSN(len(b))+26] ^= 1
		return b
	})
	main.tl.WAL().Close() // what was read is not read again
	if p := check(MainBranch); len(p) == 0 || !strings.Contains(p[0], fmt.Sprintf("branch main: wal behind %v", h.ends[30])) {
		t.Errorf("a byte of a record is another: %q", p)
	}
	if p := check("child"); len(p) > 0 {
		t.Errorf("the child's own WAL is not damaged: %q", p)
	}
	change(t, main.tl.SegmentPath(h.end()), func([]byte) []byte { return nil })
	main.tl.WAL().Close()
	p := check(MainBranch)
	if !strings.Contains(strings.Join(p, "\n"), "is missing") {
		t.Errorf("a segment is missing: %q", p)
	}
	enough := errors.New("enough")
	if _, err := f.Check(t.Context(), tenantA, MainBranch, func(string) error { return enough }, noProgress); !errors.Is(err, enough) {
		t.Errorf("a check whose caller has seen enough: %v", err)
	}
}

// change replaces a file by what edit makes of it; nil removes it. It is put back at the end of the test.
func change(t *testing.T, path string, edit func([]byte) []byte) {
	t.Helper()
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	put := func(b []byte) {
		err := os.Remove(path)
		if b != nil {
			err = os.WriteFile(path, b, 0o600)
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Error(err)
		}
	}
	put(edit(bytes.Clone(before)))
	t.Cleanup(func() { put(before) })
}
