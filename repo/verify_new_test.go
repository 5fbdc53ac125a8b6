package repo_test

import (
	"testing"

	"zenith/repo"
	"zenith/repo/repotest"
)

// TestVerifyWhileBranchesAreMade: a branch that is made while the store is verified is no damage.
func TestVerifyWhileBranchesAreMade(t *testing.T) {
	r := repotest.Open(t, repotest.Redo)
	main := repotest.Create(t, r, "main")
	add(t, main, noop(10), noop(10))
	if err := main.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	made := false
	tell := func(what string, _, _ int64) {
		if what != "check index" || made {
			return
		}
		made = true // before the entries of the other kinds are read
		tl, err := r.Branch(t.Context(), repo.NewBranch{Name: "dev"}, main, main.LastLSN())
		if err != nil {
			t.Error(err)
			return
		}
		if err := tl.PutFile(t.Context(), "postgresql.auto.conf", []byte("x")); err != nil {
			t.Error(err)
		}
		add(t, tl, noop(10))
		if err := tl.Flush(t.Context()); err != nil {
			t.Error(err)
		}
	}
	err := r.Verify(t.Context(), func(problem error) error {
		t.Errorf("problem: %v", problem)
		return nil
	}, tell)
	if err != nil || !made {
		t.Errorf("verify: %v, the branch was made: %v", err, made)
	}
}
