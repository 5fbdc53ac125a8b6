package privileged_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"zenith/internal/privileged"
)

// TestMountRefused: a mount point is what its path says, without symbolic links, and belongs to the account that asks.
func TestMountRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("an ordinary user cannot own a directory of another account")
	}
	top := t.TempDir()
	dir, full := filepath.Join(top, "dir"), filepath.Join(top, "full")
	err := errors.Join(os.Mkdir(dir, 0o755), os.Mkdir(full, 0o755), os.Mkdir(full+"/x", 0o755), os.Symlink(dir, top+"/link"), os.Symlink(top, top+"/up"))
	if err != nil {
		t.Fatal(err)
	}
	const other = 65534
	for _, tt := range []struct {
		name   string
		dir    string
		owners []int
		want   error
	}{
		{"another account's", dir, []int{other}, privileged.ErrNotOwner},
		{"not empty", full, nil, privileged.ErrNotEmpty},
		{"a link", top + "/link", []int{0}, syscall.ENOTDIR},
		{"behind a link", top + "/up/dir", []int{0}, syscall.ELOOP},
		{"not there", top + "/none", []int{0}, os.ErrNotExist},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := &privileged.InProcess{}
			id, fuse, err := h.Mount(privileged.MountSpec{Dir: tt.dir, Owners: tt.owners, MaxRead: 1 << 20})
			if err == nil {
				t.Errorf("was mounted: %v", errors.Join(h.Unmount(id, true), fuse.Close()))
			} else if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

// TestOwn gives away regular files and directories, and nothing that a link leads to.
func TestOwn(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("an ordinary user gives nothing away")
	}
	top, secret := t.TempDir(), filepath.Join(t.TempDir(), "secret")
	err := errors.Join(os.WriteFile(secret, nil, 0o600), os.Symlink(secret, top+"/link"), os.Symlink(filepath.Dir(secret), top+"/dir"),
		syscall.Mkfifo(top+"/pipe", 0o600), os.WriteFile(top+"/file", nil, 0o600))
	if err != nil {
		t.Fatal(err)
	}
	h, to := &privileged.InProcess{}, privileged.Ownership{UID: 65534, GID: 65534, Mode: 0o640}
	for _, name := range []string{"link", "dir/secret", "pipe", "../" + filepath.Base(top) + "/file"} {
		if err := h.Own(top, name, to); err == nil {
			t.Errorf("%s was given away", name)
		}
	}
	if err := h.Own(top, "file", to); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]uint32{secret: 0, top + "/pipe": 0, top + "/file": 65534} {
		fi, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if uid := fi.Sys().(*syscall.Stat_t).Uid; uid != want {
			t.Errorf("%s belongs to %d, want %d", path, uid, want)
		}
	}
}
