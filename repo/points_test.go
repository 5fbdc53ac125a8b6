package repo_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"zenith/internal/pg"
	"zenith/internal/xlog"
	"zenith/repo"
	"zenith/repo/repotest"
	"zenith/repo/store/storetest"
)

// add appends records to a timeline's WAL and moves the head behind them, without any changes.
func add(t *testing.T, tl *repo.Timeline, recs ...repotest.Rec) (ends []pg.LSN) {
	t.Helper()
	l := repotest.NewLog(tl)
	for _, r := range recs {
		ends = append(ends, l.Add(t, r).EndLSN)
	}
	commit(t, tl, l)
	return ends
}

func commit(t *testing.T, tl *repo.Timeline, l *repotest.Log, changes ...func(*repo.Writer)) {
	t.Helper()
	w, err := tl.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range changes {
		c(w)
	}
	if err := w.Commit(l.End, l.Prev); err != nil {
		t.Fatal(err)
	}
}

func noop(bytes int) repotest.Rec {
	return repotest.Rec{Rmgr: xlog.RmLogicalMsg, Main: make([]byte, bytes)}
}

func TestResolve(t *testing.T) {
	r := repotest.Open(t, repotest.Redo)
	main := repotest.Create(t, r, "main")
	ends := add(t, main, noop(10), noop(9000), noop(2<<20), noop(10)) // one crosses a page's end, one a segment's
	dev, err := r.Branch(t.Context(), repo.NewBranch{Name: "dev"}, main, ends[1])
	if err != nil {
		t.Fatal(err)
	}
	own := add(t, dev, noop(500))
	for _, c := range []struct {
		tl        *repo.Timeline
		ask, want pg.LSN // want 0: out of range
	}{
		{main, repotest.Start - 1, 0}, {main, repotest.Start, repotest.Start}, {main, ends[0] - 1, repotest.Start},
		{main, ends[0], ends[0]}, {main, ends[1] + 1, ends[1]}, {main, ends[2] - 1, ends[1]}, {main, ends[2], ends[2]},
		{main, ends[3], ends[3]}, {main, ends[3] + 1, 0}, {main, 0, 0},
		{dev, ends[0], ends[0]}, {dev, ends[1] - 8, ends[0]}, {dev, ends[1], ends[1]}, {dev, ends[1] + 8, ends[1]},
		{dev, own[0], own[0]}, {dev, own[0] + 1, 0}, {dev, repotest.Start - 8, 0},
	} {
		p, err := c.tl.Resolve(t.Context(), c.ask)
		if c.want == 0 {
			if !errors.Is(err, repo.ErrOutOfRange) {
				t.Errorf("%s at %v: %v, want out of range", c.tl.Name(), c.ask, err)
			}
			continue
		}
		if err != nil || p.LSN != c.want || p.State.LSN != c.want {
			t.Errorf("%s at %v: %v (%v), want %v", c.tl.Name(), c.ask, p.LSN, err, c.want)
		}
	}
}

func TestFindTime(t *testing.T) {
	r := repotest.Open(t, repotest.Redo)
	main := repotest.Create(t, r, "main")
	zero := time.Unix(repotest.StartState().CheckPoint.Time, 0)
	at := func(s int) time.Time { return zero.Add(time.Duration(s) * time.Second) }
	// Commits at these seconds, with other records, more than between two stored states.
	l := repotest.NewLog(main)
	state := repotest.StartState()
	ends := map[int]pg.LSN{}
	for i, s := range []int{10, 20, 30, 25, 40, 50, 60} {
		rec := l.Add(t, repotest.Commit(pg.TransactionID(800+i), pg.TimestampOf(at(s))))
		ends[s] = rec.EndLSN
		if err := state.Apply(rec); err != nil {
			t.Fatal(err)
		}
		rec = l.Add(t, noop(1000*i))
		if err := state.Apply(rec); err != nil {
			t.Fatal(err)
		}
		commit(t, main, l, func(w *repo.Writer) {
			if i%3 == 1 {
				w.State(state)
			}
		})
	}
	dev, err := r.Branch(t.Context(), repo.NewBranch{Name: "dev"}, main, ends[40])
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		when int
		want pg.LSN
	}{
		{5, repotest.Start}, {10, ends[10]}, {15, ends[10]}, {20, ends[20]}, {29, ends[20]},
		{30, ends[25]}, // a commit that came later in the WAL has the earlier time 25
		{40, ends[40]}, {59, ends[50]}, {1000, ends[60]},
	} {
		p, err := main.FindTime(t.Context(), at(c.when))
		if err != nil || p.LSN != c.want || p.State.LSN != c.want {
			t.Errorf("at %d: %v (%v), want %v", c.when, p.LSN, err, c.want)
		}
		want := min(c.want, ends[40])
		if p, err := dev.FindTime(t.Context(), at(c.when)); err != nil || p.LSN != want {
			t.Errorf("branch at %d: %v (%v), want %v", c.when, p.LSN, err, want)
		}
	}
	if _, err := main.FindTime(t.Context(), at(-1)); !errors.Is(err, repo.ErrOutOfRange) {
		t.Errorf("before the start: %v", err)
	}
}

func TestWaitLSN(t *testing.T) {
	r, err := repo.Open(repo.Options{Dir: t.TempDir(), Redo: repotest.Redo, Store: storetest.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	main := repotest.Create(t, r, "main")
	if err := main.WaitLSN(t.Context(), repotest.Start); err != nil {
		t.Error(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := main.WaitLSN(short, repotest.Start+1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("wait in vain: %v", err)
	}
	done := make(chan error)
	go func() { done <- main.WaitLSN(context.Background(), repotest.Start+100) }()
	add(t, main, noop(10))
	add(t, main, noop(100))
	if err := <-done; err != nil || main.LastLSN() < repotest.Start+100 {
		t.Errorf("head %v, error %v", main.LastLSN(), err)
	}
	go func() { done <- main.WaitLSN(context.Background(), 1<<40) }()
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; !errors.Is(err, repo.ErrClosed) {
		t.Errorf("wait over Close: %v", err)
	}
}

func TestWriterRefuses(t *testing.T) {
	r := repotest.Open(t, repotest.Redo)
	main := repotest.Create(t, r, "main")
	head := main.LastLSN()
	rf := pg.RelFork{RelFileLocator: pg.RelFileLocator{SpcOID: 1664, RelNumber: 9}}
	for name, bad := range map[string]func(*repo.Writer) error{
		"an lsn at the head":   func(w *repo.Writer) error { w.RelSize(rf, head, 1); return w.Commit(head+8, head) },
		"an lsn above the end": func(w *repo.Writer) error { w.RelSize(rf, head+16, 1); return w.Commit(head+8, head) },
		"an lsn that is odd":   func(w *repo.Writer) error { w.File("f", head+7, nil); return w.Commit(head+8, head) },
		"going back":           func(w *repo.Writer) error { return w.Commit(head-8, head-16) },
		"prev behind the end":  func(w *repo.Writer) error { return w.Commit(head+8, head+8) },
		"a path":               func(w *repo.Writer) error { w.File("/etc/passwd", head+8, nil); return w.Commit(head+8, head) },
		"a path with a NUL":    func(w *repo.Writer) error { w.File("f\x000", head+8, nil); return w.Commit(head+8, head) },
	} {
		w, err := main.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := bad(w); !errors.Is(err, repo.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
		if main.LastLSN() != head {
			t.Fatalf("%s: the head moved to %v", name, main.LastLSN())
		}
	}
}

func TestDamagedWAL(t *testing.T) {
	r := openDamaged(t, storetest.NewMem())
	main := repotest.Create(t, r, "main")
	rf := pg.RelFork{RelFileLocator: pg.RelFileLocator{SpcOID: 1664, RelNumber: 9}}
	l := repotest.NewLog(main)
	state := repotest.StartState()
	var recs []*xlog.Record
	for i, size := range []int{600_000, 2000, 1_000_000} {
		b := pg.BlockNumber(i)
		rec := l.Add(t, repotest.Rec{Rmgr: xlog.RmLogicalMsg, Blocks: []repotest.Block{{Tag: rf.Tag(b), Init: true}}, Main: make([]byte, size)})
		if err := state.Apply(rec); err != nil {
			t.Fatal(err)
		}
		recs = append(recs, rec)
		commit(t, main, l, func(w *repo.Writer) {
			w.Page(rf.Tag(b), rec)
			w.Extend(rf, rec.EndLSN, b+1)
			w.State(state)
		})
	}
	flip(t, main.SegmentPath(recs[0].StartLSN), int64(recs[0].StartLSN%repotest.SegSize)+2000)
	if err := os.Remove(main.SegmentPath(recs[2].EndLSN)); err != nil {
		t.Fatal(err)
	}
	snap, err := main.At(t.Context(), main.LastLSN())
	if err != nil {
		t.Fatal(err)
	}
	for b, want := range []error{repo.ErrCorrupt, nil, repo.ErrCorrupt} {
		if err := snap.ReadPage(t.Context(), rf.Tag(pg.BlockNumber(b)), make(pg.Page, pg.BlockSize)); !errors.Is(err, want) {
			t.Errorf("block %d: error %v, want %v", b, err, want)
		}
	}
	if err := main.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	// After the flush the versions still point at the records in the WAL.
	wantProblems(t, verify(t, r), "version of "+rf.Tag(0).String()+" at", "version of "+rf.Tag(2).String()+" at")
	wantProblems(t, verifyPages(t, snap, rf), rf.Tag(0).String(), rf.Tag(2).String())
}

func flip(t *testing.T, path string, at int64) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[at] ^= 0x40
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestBranchNames(t *testing.T) {
	for _, bad := range []string{"", ".", "..", ".x", "-x", "a//b", "/a", "a/", "a/../b", "a/.b", "a@b", "a\nb", "a\x00b", "x\\y", fmt.Sprintf("%032x", 7), "x\xff"} {
		if err := repo.CheckName(bad); !errors.Is(err, repo.ErrInvalid) {
			t.Errorf("name %q: %v", bad, err)
		}
	}
	for _, good := range []string{"main", "feature-1", "a.b", "größe", "x:y", "with blank", "a/b"} {
		if err := repo.CheckName(good); err != nil {
			t.Errorf("name %q: %v", good, err)
		}
	}
}

// TestNestedNames: "a" and "a/b" cannot both be names, as with files.
func TestNestedNames(t *testing.T) {
	r := repotest.Open(t, repotest.Redo)
	main := repotest.Create(t, r, "main")
	branch := func(name string) error {
		_, err := r.Branch(t.Context(), repo.NewBranch{Name: name}, main, repotest.Start)
		return err
	}
	for _, name := range []string{"a/b", "a_b", "ab"} {
		if err := branch(name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"a", "a/b/c", "main/x"} {
		if err := branch(name); !errors.Is(err, repo.ErrExists) {
			t.Errorf("%s: %v", name, err)
		}
		if err := r.Rename(t.Context(), main, name); name != "main/x" && !errors.Is(err, repo.ErrExists) {
			t.Errorf("rename to %s: %v", name, err)
		}
	}
	if err := r.Delete(t.Context(), "a/b", time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := branch("a"); err != nil {
		t.Error(err)
	}
}
