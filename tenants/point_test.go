package tenants

import (
	"context"
	"errors"
	"testing"
	"time"

	"zenith/internal/api"
	"zenith/internal/pg"
	"zenith/repo"
	"zenith/repo/receiver"
)

// lastTime gives the time of the last commit of a history that ends at or before head.
func lastTime(h *history, head pg.LSN) (last time.Time) {
	for i, end := range h.commits {
		if end <= head {
			last = h.times[i]
		}
	}
	return last
}

// TestTimeThatHasNotCome: a time ahead of the clock is refused, and not taken for the head; one
// between the last commit and now is the state after that commit.
func TestTimeThatHasNotCome(t *testing.T) {
	f := newManager(t, Config{})
	b := f.branchOf(t, MainBranch)
	h := f.advance(t, b, -1)
	last := lastTime(h, b.tl.LastLSN())
	for when, want := range map[time.Time]error{
		last:                        nil,
		last.Add(time.Minute):       nil,
		time.Now():                  nil,
		time.Now().Add(time.Hour):   api.ErrOutOfRange,
		time.Now().AddDate(9, 0, 0): api.ErrOutOfRange,
	} {
		lsn, err := f.LSN(t.Context(), tenantA, api.Point{Name: MainBranch, Time: when}.String())
		if !errors.Is(err, want) || err == nil && lsn == 0 {
			t.Errorf("%v: got %v, %v, want %v", when, lsn, err, want)
		}
	}
	_, err := f.BranchCreate(t.Context(), tenantA, "early", time.Now().Add(time.Hour).Format(time.RFC3339), api.BranchOptions{})
	wantKind(t, "branch at a time that has not come", err, api.ErrOutOfRange, "that time has not come", "the last commit here is of", "now is")
}

// fakeServer is a server that a branch follows.
type fakeServer struct{ known, answers time.Time }

func (s *fakeServer) Ask(context.Context)     { s.known = s.answers }
func (s *fakeServer) Status() receiver.Status { return receiver.Status{Known: s.known} }

// TestTimeThatHasNotArrived: where a branch follows a server, a time is known when the server has
// said that it has sent everything up to then.
func TestTimeThatHasNotArrived(t *testing.T) {
	f := newManager(t, Config{})
	b := f.branchOf(t, MainBranch)
	h := f.advance(t, b, -1)
	last, now := lastTime(h, b.tl.LastLSN()), time.Now()
	ask := func(when time.Time) error {
		_, err := f.LSN(t.Context(), tenantA, api.Point{Name: MainBranch, Time: when}.String())
		return err
	}
	b.followedBy(notHeardOf{})
	wantKind(t, "a time that is here", ask(last), nil)
	wantKind(t, "no connection", ask(last.Add(time.Minute)), api.ErrOutOfRange, "has not arrived here yet", "the last commit here is of")
	s := &fakeServer{known: last.Add(time.Second), answers: last.Add(2 * time.Second)}
	b.followedBy(s)
	wantKind(t, "known", ask(last.Add(time.Millisecond)), nil)
	if !s.known.Equal(last.Add(time.Second)) {
		t.Error("the server was asked for what is known")
	}
	wantKind(t, "behind", ask(now.Add(-time.Second)), api.ErrOutOfRange, "has not arrived here yet", "its server was last heard of at")
	s.answers = now
	wantKind(t, "answered", ask(now.Add(-time.Second)), nil)
	wantKind(t, "to come", ask(now.Add(time.Hour)), api.ErrOutOfRange, "has not come")
	b.followedBy(nil)
	wantKind(t, "no longer followed", ask(now), nil)
}

// TestOldNames: a branch from before names were as git's can be used under its name.
func TestOldNames(t *testing.T) {
	f := newManager(t, Config{})
	main := f.branchOf(t, MainBranch)
	f.advance(t, main, 20)
	for _, name := range []string{"2026-11-30", "0_16B3748", "with blank", "*", "HEAD"} {
		if _, err := main.t.repo.Branch(t.Context(), repo.NewBranch{Name: name}, main.tl, main.tl.LastLSN()); err != nil {
			t.Fatal(err)
		}
		if _, err := f.BranchCreate(t.Context(), tenantA, name+"x", name, api.BranchOptions{}); name != "*" && name != "with blank" && err != nil {
			t.Errorf("branch of %q: %v", name, err)
		}
		_, err := f.BranchCreate(t.Context(), tenantA, name, MainBranch, api.BranchOptions{})
		wantKind(t, "create "+name, err, api.ErrBadArgument)
		if lsn, err := f.LSN(t.Context(), tenantA, name); err != nil || lsn != main.tl.LastLSN() {
			t.Errorf("%q: %v, %v", name, lsn, err)
		}
		if name[0] == '*' || name[0] == 'w' {
			if err := f.BranchDelete(t.Context(), tenantA, name, false); err != nil {
				t.Errorf("delete %q: %v", name, err)
			}
		}
	}
}

// TestMainIsMeant: a point without a name is one of main, also as the name of a postgres.
func TestMainIsMeant(t *testing.T) {
	f := newManager(t, Config{})
	h := f.advance(t, f.branchOf(t, MainBranch), -1)
	want := h.commits[3]
	for _, point := range []string{want.String(), "@" + want.String(), h.times[3].Format(time.RFC3339Nano), want.PathString()} {
		if lsn, err := f.LSN(t.Context(), tenantA, point); err != nil || lsn != want {
			t.Errorf("%s: got %v, %v, want %v", point, lsn, err, want)
		}
	}
	c, err := f.PgCreate(t.Context(), tenantA, want.String(), api.ComputeOptions{})
	if err != nil || c.Name != "main@"+want.String() {
		t.Fatalf("got %+v, %v", c, err)
	}
	if err := f.PgStop(t.Context(), tenantA, "@"+want.String(), api.StopOptions{Destroy: true}); err != nil {
		t.Error(err)
	}
}
