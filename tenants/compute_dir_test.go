package tenants

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"zenith/internal/api"
	"zenith/internal/dirfd"
	"zenith/internal/postgres"
)

// TestComputeDirIsOurs: of a compute's directory, the account of postgres can write the data directory and, as a
// group, the socket's; a symbolic link in the place of the log is not followed.
func TestComputeDirIsOurs(t *testing.T) {
	f := newManager(t, Config{})
	c, err := f.PgStart(t.Context(), tenantA, MainBranch, set())
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(c.Dir)
	for path, want := range map[string]int{dir: os.Geteuid(), c.Log: os.Geteuid(), postgres.SocketDir(dir): os.Geteuid()} {
		fi, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := int(fi.Sys().(*syscall.Stat_t).Uid); got != want {
			t.Errorf("%s belongs to %d, want %d", path, got, want)
		}
	}
	if err := f.PgStop(t.Context(), tenantA, MainBranch, api.StopOptions{}); err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(t.TempDir(), "secret")
	err = errors.Join(os.WriteFile(secret, []byte("secret"), 0o600), os.Remove(c.Log), os.Symlink(secret, c.Log))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.PgStart(t.Context(), tenantA, MainBranch, set()); !errors.Is(err, dirfd.ErrNotRegular) {
		t.Errorf("start with a link for a log: %v, want ErrNotRegular", err)
	}
	wantSecret(t, secret)

	// What an earlier version left: the directory is the account's, and a link of its making in it.
	if os.Geteuid() != 0 {
		return
	}
	if err := os.Chown(dir, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if _, err := f.PgStart(t.Context(), tenantA, MainBranch, set()); err != nil {
		t.Errorf("start in a directory of an earlier version: %v", err)
	}
	wantSecret(t, secret)
}

func wantSecret(t *testing.T, path string) {
	t.Helper()
	if text := readFile(t, path); text != "secret" {
		t.Errorf("a file outside was written: %q", text)
	}
}
