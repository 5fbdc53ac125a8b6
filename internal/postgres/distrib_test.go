package postgres

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"zenith/internal/api"
	"zenith/internal/pg"
	"zenith/internal/pgtest/fakepg"
)

func TestInitdb(t *testing.T) {
	for _, checksums := range []bool{true, false} {
		dir := testDir(t)
		if err := (Distrib{Version: pg.V15, Dir: fakepg.Installation(t)}).Initdb(t.Context(), testAccount(t), dir, "/dev/null", checksums); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(dir, "global", "pg_control"))
		if err != nil {
			t.Fatal(err)
		}
		if c, err := pg.ParseControlFile(b); err != nil || (c.ChecksumVersion != 0) != checksums {
			t.Errorf("checksums %v: the control file has version %d, %v", checksums, c.ChecksumVersion, err)
		}
	}
	d := Distrib{Version: pg.V15, Dir: fakepg.Installation(t)}
	if err := os.WriteFile(filepath.Join(d.Dir, "fail-initdb"), []byte("no space left\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := d.Initdb(t.Context(), testAccount(t), testDir(t), "/dev/null", true); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("an initdb that fails: %v", err)
	}
}

func TestInitdbArgs(t *testing.T) {
	before18, since18 := &pg.Version{}, &pg.Version{ChecksumsByDefault: true} // as for this setting
	for _, c := range []struct {
		v         *pg.Version
		checksums bool
		want      string
	}{
		{before18, true, "--data-checksums"},
		{before18, false, ""},
		{since18, true, "--data-checksums"},
		{since18, false, "--no-data-checksums"},
	} {
		got := ""
		for _, arg := range (Distrib{Version: c.v}).initdbArgs("/x", "/p", c.checksums) {
			if strings.Contains(arg, "checksums") {
				got += arg
			}
		}
		if got != c.want {
			t.Errorf("on by default %v, wanted %v: got %q, want %q", c.v.ChecksumsByDefault, c.checksums, got, c.want)
		}
	}
}

func TestLookupAccount(t *testing.T) {
	if os.Geteuid() != 0 {
		as, err := LookupAccount(nil, "no-such-user")
		if err != nil || as.UID != os.Geteuid() || as.GID != os.Getegid() {
			t.Errorf("an ordinary user gets %+v, %v", as, err)
		}
		return
	}
	if _, err := LookupAccount(nil, "no-such-user"); !errors.Is(err, api.ErrBadArgument) {
		t.Errorf("no such user: %v", err)
	}
	if _, err := LookupAccount(nil, "root"); !errors.Is(err, api.ErrNotAllowed) {
		t.Errorf("root: %v", err)
	}
	as := testAccount(t)
	path := filepath.Join(t.TempDir(), "file")
	if err := errors.Join(os.WriteFile(path, nil, 0o600), as.Own(path)); err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(path); err != nil || !as.mayPass(chmod(t, path, 0o100)) || as.mayPass(chmod(t, path, 0o677)) {
		t.Errorf("the owner's permissions do not count: %v, %v", fi, err)
	}
}

// chmod changes a file's mode and gives what stat says then.
func chmod(t *testing.T, path string, mode os.FileMode) os.FileInfo {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return fi
}

// TestMayPass: the most special of owner, group and others counts.
func TestMayPass(t *testing.T) {
	dir := t.TempDir()
	uid, gid := os.Geteuid(), os.Getegid()
	for _, c := range []struct {
		as   Account
		mode os.FileMode
		want bool
	}{
		{Account{UID: uid, GID: gid}, 0o100, true},
		{Account{UID: uid, GID: gid}, 0o011, false},
		{Account{UID: uid + 1, GID: gid}, 0o010, true},
		{Account{UID: uid + 1, GID: gid}, 0o101, false},
		{Account{UID: uid + 1, GID: gid + 1, groups: []uint32{uint32(gid)}}, 0o010, true},
		{Account{UID: uid + 1, GID: gid + 1}, 0o001, true},
		{Account{UID: uid + 1, GID: gid + 1}, 0o110, false},
	} {
		if got := c.as.mayPass(chmod(t, dir, c.mode)); got != c.want {
			t.Errorf("%+v passes a directory of mode %o: %v, want %v", c.as, c.mode, got, c.want)
		}
	}
	chmod(t, dir, 0o700)
	other := Account{Name: "other", UID: uid + 1, GID: gid + 1, other: true}
	if err := other.CheckReach(filepath.Join(dir, "x")); !errors.Is(err, api.ErrNotAllowed) || !strings.Contains(err.Error(), dir) {
		t.Errorf("a private directory: %v", err)
	}
	if err := other.CheckReach("/tmp"); err != nil {
		t.Errorf("/: %v", err)
	}
	if err := (Account{}).CheckReach(filepath.Join(dir, "x")); err != nil {
		t.Errorf("our own account: %v", err)
	}
	if err := other.CheckReach("/nonexistent/x/y"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no such directory: %v", err)
	}
}
