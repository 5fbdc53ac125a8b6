package repo_test

import (
	"errors"
	"reflect"
	"testing"

	"zenith/internal/pg"
	"zenith/repo"
	"zenith/repo/repotest"
	"zenith/repo/store/storetest"
)

// ownFiles lists a timeline's OwnFiles.
func ownFiles(t *testing.T, tl *repo.Timeline, from, to pg.LSN) (list []repo.OwnFile) {
	t.Helper()
	err := tl.OwnFiles(t.Context(), from, to, func(f repo.OwnFile) error {
		list = append(list, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestOwnFilesMove copies the files that PutFile stored from one repository to another.
func TestOwnFilesMove(t *testing.T) {
	ctx := t.Context()
	main := repotest.Create(t, repotest.Open(t, repotest.Redo), "main")
	put := func(path, content string) {
		t.Helper()
		if err := main.PutFile(ctx, path, []byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	put("a.conf", "first")
	first := add(t, main, noop(10))[0]
	put("a.conf", "second")
	put("b.conf", "")
	last := add(t, main, noop(10))[0]
	if err := main.PutFile(ctx, "a.conf", nil); err != nil {
		t.Fatal(err)
	}
	want := []repo.OwnFile{
		{Path: "a.conf", LSN: last + 1}, {Path: "a.conf", LSN: first + 1, Content: []byte("second")},
		{Path: "b.conf", LSN: first + 1, Content: []byte{}},
	}
	if got := ownFiles(t, main, first, last+1); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}

	copied := repotest.Create(t, repotest.Open(t, repotest.Redo), "main")
	for _, f := range ownFiles(t, main, 0, last+1) {
		if err := copied.PutOwnFile(ctx, f); err != nil {
			t.Fatal(err)
		}
	}
	add(t, copied, noop(10), noop(10))
	for _, at := range []pg.LSN{repotest.Start, first, last} {
		ours, err := main.At(ctx, at)
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := copied.At(ctx, at)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"a.conf", "b.conf"} {
			a, aerr := ours.ReadFile(ctx, path)
			b, berr := theirs.ReadFile(ctx, path)
			if string(a) != string(b) || errors.Is(aerr, repo.ErrNotFound) != errors.Is(berr, repo.ErrNotFound) {
				t.Errorf("%s at %v: %q, %v and %q, %v", path, at, a, aerr, b, berr)
			}
		}
	}
	for _, bad := range []repo.OwnFile{{Path: "c", LSN: last}, {Path: "c", LSN: first + 1}, {Path: "/c", LSN: last + 1}} {
		if err := copied.PutOwnFile(ctx, bad); !errors.Is(err, repo.ErrInvalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

// TestGraft grafts a timeline without a name, grafts a branch with files of its own on that, and gives
// the first one a name.
func TestGraft(t *testing.T) {
	ctx := t.Context()
	dir, disk := t.TempDir(), storetest.NewMem()
	open := func() *repo.Repository {
		t.Helper()
		return openOn(t, dir, disk)
	}
	r := open()
	root := repotest.Create(t, r, "root")
	at := add(t, root, noop(10))[0]
	if err := root.PutFile(ctx, "a.conf", []byte("not the branch's")); err != nil {
		t.Fatal(err)
	}
	id := repo.RandomTimelineID()
	mid, err := r.Graft(ctx, id, "", root, at, map[string][]byte{"b.conf": []byte("b")})
	if err != nil {
		t.Fatal(err)
	}
	if mid.Name() != id.String() {
		t.Errorf("it is called %q", mid.Name())
	}
	if _, err := r.Graft(ctx, repo.RandomTimelineID(), id.String(), root, at, nil); err == nil {
		t.Error("a branch is called like another one's id")
	}
	if _, err := r.Graft(ctx, repo.RandomTimelineID(), "x", root, at+8, nil); !errors.Is(err, repo.ErrOutOfRange) {
		t.Errorf("beyond the head: %v", err)
	}
	if err := r.Rename(ctx, mid, "root"); !errors.Is(err, repo.ErrExists) {
		t.Errorf("a name that is taken: %v", err)
	}
	if err := r.Rename(ctx, mid, "mid"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.ByName(id.String()); !errors.Is(err, repo.ErrNotFound) {
		t.Errorf("its old name: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r = open()
	defer repotest.Close(t, r)
	mid, err = r.ByName("mid")
	if err != nil || mid.ID() != id {
		t.Fatalf("after a restart: %v", err)
	}
	s, err := mid.AtHead(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := s.ReadFile(ctx, "b.conf"); err != nil || string(b) != "b" {
		t.Errorf("b.conf: %q, %v", b, err)
	}
	if _, err := s.ReadFile(ctx, "a.conf"); !errors.Is(err, repo.ErrNotFound) {
		t.Errorf("a.conf: %v", err)
	}
	want := []repo.OwnFile{{Path: "b.conf", LSN: at, Content: []byte("b")}}
	if got := ownFiles(t, mid, at, at+1); !reflect.DeepEqual(got, want) {
		t.Errorf("own files: %v", got)
	}
}
