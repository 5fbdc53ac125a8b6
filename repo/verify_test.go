package repo_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"zenith/internal/pg"
	"zenith/internal/xlog"
	"zenith/repo"
	"zenith/repo/repotest"
	"zenith/repo/store"
	"zenith/repo/store/storetest"
)

// openDamaged opens a repository that is not verified when the test ends.
func openDamaged(t *testing.T, s store.Store) *repo.Repository {
	t.Helper()
	r, err := repo.Open(repo.Options{Dir: t.TempDir(), Redo: repotest.Redo, Store: s})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func verify(t *testing.T, r *repo.Repository) (problems []string) {
	t.Helper()
	err := r.Verify(t.Context(), func(problem error) error {
		problems = append(problems, problem.Error())
		if !errors.Is(problem, repo.ErrCorrupt) {
			t.Errorf("problem %v is no ErrCorrupt", problem)
		}
		return nil
	}, func(string, int64, int64) {})
	if err != nil {
		t.Errorf("verify: %v", err)
	}
	return problems
}

func verifyPages(t *testing.T, s *repo.Snapshot, rf pg.RelFork) (problems []string) {
	t.Helper()
	n, _, err := s.RelSize(t.Context(), rf)
	if err != nil {
		t.Fatal(err)
	}
	seen := pg.BlockNumber(0)
	err = s.VerifyPages(t.Context(), rf.Tag(0), n+10, func(p *repo.PageCheck) error {
		if p.Err != nil {
			problems = append(problems, p.Err.Error())
		} else if p.LSN == 0 || p.Page.LSN() != p.LSN {
			t.Errorf("%v is of %v, its newest version of %v", p.Tag, p.Page.LSN(), p.LSN)
		}
		seen++
		return nil
	})
	if err != nil || seen != n {
		t.Errorf("%d of %d pages verified: %v", seen, n, err)
	}
	return problems
}

// wantProblems checks that Verify finds as many problems as there are parts, and that each part is in
// the text of one of them.
func wantProblems(t *testing.T, got []string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !slices.ContainsFunc(got, func(p string) bool { return strings.Contains(p, part) }) {
			t.Errorf("no problem with %q", part)
		}
	}
	if len(got) != len(parts) {
		t.Errorf("%d problems, want %d:\n%s", len(got), len(parts), strings.Join(got, "\n"))
	}
}

var damagedFork = pg.RelFork{RelFileLocator: pg.RelFileLocator{SpcOID: 1664, RelNumber: 9}}

// fillDamaged writes two windows: images, records and all other kinds of entries.
func fillDamaged(t *testing.T, r *repo.Repository) *repo.Timeline {
	t.Helper()
	main := repotest.Create(t, r, "main")
	l := repotest.NewLog(main)
	state := repotest.StartState()
	for round := range 2 {
		for b := range pg.BlockNumber(20) {
			rec := l.Add(t, repotest.Rec{Rmgr: xlog.RmHeap, Blocks: []repotest.Block{{Tag: damagedFork.Tag(b), Init: round == 0}}, Main: make([]byte, 100)})
			if err := state.Apply(rec); err != nil {
				t.Fatal(err)
			}
			commit(t, main, l, func(w *repo.Writer) {
				w.Page(damagedFork.Tag(b), rec)
				w.Extend(damagedFork, rec.EndLSN, b+1)
				w.File("postgresql.conf", rec.EndLSN, []byte("port = 5432"))
				w.DBCreate(1663, 5, rec.EndLSN)
				w.State(state)
				if b == 7 && round == 0 {
					page := make(pg.Page, pg.BlockSize)
					page.SetLSN(rec.EndLSN)
					page.SetUpper(pg.BlockSize)
					w.Image(damagedFork.Tag(20), rec.EndLSN, page)
					w.Extend(damagedFork, rec.EndLSN, 21)
				}
			})
		}
		if err := main.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return main
}

// entriesOf copies the versioned entries of a store.
func entriesOf(t *testing.T, s store.Store) (ops []store.Op) {
	t.Helper()
	it := s.Iterator(nil)
	defer it.Close()
	for it.Seek([]byte{0x10}); it.Valid(); it.Next() {
		v, err := it.Value()
		if err != nil {
			t.Fatal(err)
		}
		ops = append(ops, store.Op{Key: slices.Clone(it.Key()), Value: slices.Clone(v)})
	}
	return ops
}

// TestFlippedBits flips a bit in each stored value, one after the other.
func TestFlippedBits(t *testing.T) {
	s := storetest.NewMem()
	r := openDamaged(t, s)
	main := fillDamaged(t, r)
	wantProblems(t, verify(t, r))
	for i, op := range entriesOf(t, s) {
		bad := slices.Clone(op.Value)
		bad[i*7%len(bad)] ^= 1 << (i % 8)
		if err := s.Update([]store.Op{{Key: op.Key, Value: bad}}); err != nil {
			t.Fatal(err)
		}
		got := verify(t, r)
		if len(got) != 1 || !strings.HasPrefix(got[0], "branch main: ") {
			t.Errorf("entry %x damaged: %q", op.Key, got)
		}
		if op.Key[0] == 0x50 {
			wantOneBadPage(t, main, got)
		}
		if err := s.Update([]store.Op{op}); err != nil {
			t.Fatal(err)
		}
	}
	wantProblems(t, verify(t, r))
}

// wantOneBadPage checks that the page that Verify named cannot be rebuilt, unless the damage is one
// that no reader of the pages can meet.
func wantOneBadPage(t *testing.T, main *repo.Timeline, verified []string) {
	t.Helper()
	snap, err := main.At(t.Context(), main.LastLSN())
	if err != nil {
		t.Fatal(err)
	}
	if bad := verifyPages(t, snap, damagedFork); len(bad) > 0 {
		tag, _, _ := strings.Cut(bad[0], ":")
		if !strings.Contains(verified[0], "version of "+tag+" at") {
			t.Errorf("verify says %q, the page %q", verified[0], bad[0])
		}
		return
	}
	if !strings.Contains(verified[0], "block 20") && !strings.Contains(verified[0], "checksum") {
		t.Errorf("%q, and every page can be rebuilt", verified[0])
	}
}

// TestLostEntry checks that a page whose older records are gone from the store is an error.
func TestLostEntry(t *testing.T) {
	s := storetest.NewMem()
	r := openDamaged(t, s)
	main := fillDamaged(t, r)
	var last store.Op // the oldest version of the last block that has two
	for _, op := range entriesOf(t, s) {
		if op.Key[0] == 0x50 && len(last.Key) > 0 && string(op.Key[:18]) == string(last.Key[:18]) {
			last = op
			break
		}
		last = op
	}
	if err := s.Update([]store.Op{{Key: last.Key}}); err != nil {
		t.Fatal(err)
	}
	snap, err := main.At(t.Context(), main.LastLSN())
	if err != nil {
		t.Fatal(err)
	}
	wantProblems(t, verifyPages(t, snap, damagedFork), damagedFork.Tag(0).String()+":")
}

// TestDamagedTables flips bits all over badger's files. Each is found, when the store is
// opened or by Verify, and nothing panics.
func TestDamagedTables(t *testing.T) {
	dir := t.TempDir()
	fillTables(t, dir)
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatalf("tables: %v, %v", tables, err)
	}
	whole, err := os.ReadFile(tables[0])
	if err != nil {
		t.Fatal(err)
	}
	const all, footer = 110, 30
	for i := range all {
		at := i * len(whole) / (all - footer)
		if at >= len(whole) {
			at = len(whole) - 1 - (i - (all - footer)) // the footer, byte by byte
		}
		flip(t, tables[0], int64(at))
		if !findsDamage(t, dir, tables[0]) {
			t.Errorf("byte %d of %d: flipped and not found", at, len(whole))
		}
		if err := os.WriteFile(tables[0], whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if findsDamage(t, dir, "") {
		t.Error("damage is found where there is none")
	}
}

func fillTables(t *testing.T, dir string) {
	t.Helper()
	s, err := store.OpenBadger(dir, store.BadgerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 400 {
		if err := s.Update([]store.Op{{Key: []byte{0x50, byte(i >> 8), byte(i)}, Value: make([]byte, 50+i)}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// findsDamage reports whether the store's opening or verification finds some, in that file.
func findsDamage(t *testing.T, dir, file string) (damage bool) {
	t.Helper()
	told := func(err error) error {
		damage = true
		if !errors.Is(err, repo.ErrCorrupt) || !strings.Contains(err.Error(), file) || strings.Contains(err.Error(), "\n") {
			t.Errorf("found %v", err)
		}
		return nil
	}
	s, err := store.OpenBadger(dir, store.BadgerOptions{})
	if err != nil {
		told(err)
		return damage
	}
	if err := s.Verify(context.Background(), told, func(int64, int64) {}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return damage
}

// pageKeys gives the keys of a block's versions, the newest first.
func pageKeys(t *testing.T, s store.Store, blk byte) (ops []store.Op) {
	t.Helper()
	for _, op := range entriesOf(t, s) {
		if op.Key[0] == 0x50 && op.Key[17] == blk {
			ops = append(ops, op)
		}
	}
	return ops
}

// TestMovedEntry checks that a sound value under the key of another page is an error.
func TestMovedEntry(t *testing.T) {
	s := storetest.NewMem()
	r := openDamaged(t, s)
	main := fillDamaged(t, r)
	here, there := pageKeys(t, s, 3)[0], pageKeys(t, s, 4)[0]
	if err := s.Update([]store.Op{{Key: here.Key, Value: there.Value}}); err != nil {
		t.Fatal(err)
	}
	snap, err := main.At(t.Context(), main.LastLSN())
	if err != nil {
		t.Fatal(err)
	}
	wantProblems(t, verify(t, r), "version of "+damagedFork.Tag(3).String()+" at")
	wantProblems(t, verifyPages(t, snap, damagedFork), damagedFork.Tag(3).String()+":")
}

// TestHistoryGoesOnOverDamage checks that a damaged version does not stop flushes of later versions,
// and that the page can be read again from its next full image on.
func TestHistoryGoesOnOverDamage(t *testing.T) {
	s := storetest.NewMem()
	r := openDamaged(t, s)
	main := fillDamaged(t, r)
	bad := pageKeys(t, s, 3)[0]
	bad.Value[2] ^= 1
	if err := s.Update([]store.Op{bad}); err != nil {
		t.Fatal(err)
	}
	l := repotest.NewLog(main)
	for _, init := range []bool{false, true} {
		for b := range pg.BlockNumber(5) {
			rec := l.Add(t, repotest.Rec{Rmgr: xlog.RmHeap, Blocks: []repotest.Block{{Tag: damagedFork.Tag(b), Init: init}}})
			commit(t, main, l, func(w *repo.Writer) { w.Page(damagedFork.Tag(b), rec) })
		}
		if err := main.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		snap, err := main.At(t.Context(), main.LastLSN())
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		if !init {
			want = []string{damagedFork.Tag(3).String() + ":"}
		}
		wantProblems(t, verifyPages(t, snap, damagedFork), want...)
	}
}
