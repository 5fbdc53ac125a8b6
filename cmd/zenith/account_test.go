package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"zenith/internal/api"
	"zenith/internal/postgres"
)

// nobodysUID is of an account that is neither root nor the page server's.
const nobodysUID = 65534

// TestHandOver: root gives a work directory away only where nobody else could have put another one in its place.
func TestHandOver(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gives a directory to an account")
	}
	as := postgres.Account{Name: "server", UID: 4242, GID: 4242}
	for _, c := range []struct {
		name          string
		parent        int // its owner
		mode          os.FileMode
		work          int // its owner
		link, refused bool
	}{
		{name: "root's parent", mode: 0o755},
		{name: "through a link", mode: 0o755, link: true},
		{name: "it is the account's already", mode: 0o755, work: as.UID},
		{name: "sticky", mode: 0o777 | os.ModeSticky},
		{name: "sticky, and the account's already", mode: 0o777 | os.ModeSticky, work: as.UID},
		{name: "sticky, and somebody's", mode: 0o777 | os.ModeSticky, work: nobodysUID, refused: true},
		{name: "somebody's", mode: 0o755, work: nobodysUID, refused: true},
		{name: "the account's parent", parent: as.UID, mode: 0o755, refused: true},
		{name: "somebody's parent", parent: nobodysUID, mode: 0o755, refused: true},
		{name: "somebody's parent through a link", parent: nobodysUID, mode: 0o755, link: true, refused: true},
		{name: "group writes parent", mode: 0o775, refused: true},
		{name: "all write parent", mode: 0o777, refused: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			parent := filepath.Join(t.TempDir(), "parent")
			work, file := filepath.Join(parent, "work"), filepath.Join(parent, "work", "file")
			if err := errors.Join(os.MkdirAll(work, 0o711), os.WriteFile(file, nil, 0o600), os.Chown(work, c.work, -1), os.Chown(parent, c.parent, -1), os.Chmod(parent, c.mode)); err != nil {
				t.Fatal(err)
			}
			named := work
			if c.link {
				named = filepath.Join(t.TempDir(), "link")
				if err := os.Symlink(work, named); err != nil {
					t.Fatal(err)
				}
			}
			e, s := &environ{workdir: named, err: new(bytes.Buffer)}, &settings{workdir: named}
			err := e.handOver(s, as)
			if got := errors.Is(err, api.ErrNotAllowed); got != c.refused || err != nil && strings.Contains(err.Error(), "\n") {
				t.Errorf("refused %v, want %v: %v", got, c.refused, err)
			}
			want := fmt.Sprint(as.UID, as.UID)
			switch {
			case c.refused:
				want = fmt.Sprint(c.work, 0)
			case c.work != 0:
				want = fmt.Sprint(as.UID, 0) // nothing more is given
			}
			dir, derr := os.Stat(work)
			inside, ierr := os.Stat(file)
			if err := errors.Join(derr, ierr); err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(ownerOf(dir), ownerOf(inside)); got != want {
				t.Errorf("the owners of the directory and of its file are %s, want %s", got, want)
			}
			if real, _ := filepath.EvalSymlinks(work); !c.refused && s.workdir != real {
				t.Errorf("the settings name %s, want %s", s.workdir, real)
			}
		})
	}
}
