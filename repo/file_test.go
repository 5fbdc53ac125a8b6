package repo_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"zenith/internal/pg"
	"zenith/repo"
	"zenith/repo/repotest"
)

// TestFileSizes stores versions of a file that is too large for one value at times, and reads each of
// them from memory, from the store and on a branch.
func TestFileSizes(t *testing.T) {
	r := repotest.Open(t, repotest.Redo)
	main := repotest.Create(t, r, "main")
	const part = 256 << 10
	log := repotest.NewLog(main)
	sizes := []int{0, 1, part - 1, part, part + 1, 3 * part, 5*part + 7, 2 * part, 9, -1, part + 2}
	var at []pg.LSN
	content := func(i int) []byte {
		if sizes[i] < 0 {
			return nil
		}
		return bytes.Repeat([]byte{byte('a' + i)}, sizes[i])
	}
	for i := range sizes {
		w, err := main.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		rec := log.Add(t, repotest.Commit(pg.TransactionID(100+i), 0))
		w.File("dir/file", rec.EndLSN, content(i))
		if err := w.Commit(rec.EndLSN, rec.StartLSN); err != nil {
			t.Fatal(err)
		}
		at = append(at, rec.EndLSN)
		if i == len(sizes)/2 {
			if err := main.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	check := func(tl *repo.Timeline, i int) {
		t.Helper()
		snap, err := tl.At(t.Context(), at[i])
		if err != nil {
			t.Fatal(err)
		}
		got, err := snap.ReadFile(t.Context(), "dir/file")
		if sizes[i] < 0 && !errors.Is(err, repo.ErrNotFound) || sizes[i] >= 0 && (err != nil || !bytes.Equal(got, content(i))) {
			t.Errorf("version %d of %d bytes: got %d, %v", i, sizes[i], len(got), err)
		}
		err = snap.Files(t.Context(), "", func(path string, size int) error {
			if path != "dir/file" || size != sizes[i] {
				t.Errorf("version %d: %q with %d bytes is listed", i, path, size)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	for round := range 2 {
		for i := range sizes {
			check(main, i)
		}
		branch, err := r.Branch(t.Context(), repo.NewBranch{Name: fmt.Sprint("branch", round)}, main, at[6])
		if err != nil {
			t.Fatal(err)
		}
		check(branch, 6)
		if err := main.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
