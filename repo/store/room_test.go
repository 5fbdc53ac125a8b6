package store_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"zenith/repo/store"
)

// smallDisk mounts a file system of that many MiB, and gives its directory.
func smallDisk(t *testing.T, mib int) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to mount a small file system")
	}
	dir := t.TempDir()
	if err := syscall.Mount("small", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", mib)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fillDisk leaves so many bytes of a file system free. What it gives undoes that.
func fillDisk(t *testing.T, dir string, free int64) (undo func()) {
	t.Helper()
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "full")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := syscall.Fallocate(int(f.Fd()), 0, 0, int64(st.Bavail)*st.Bsize-free); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(name); err != nil {
			t.Error(err)
		}
	}
}

// TestFullDisk is in a process of its own: what it is about kills the process.
func TestFullDisk(t *testing.T) {
	const env = "ZENITH_TEST_FULL_DISK"
	dir := os.Getenv(env)
	if dir == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestFullDisk$", "-test.v")
		cmd.Env = append(os.Environ(), env+"="+smallDisk(t, 256))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v:\n%s", err, out)
		}
		return
	}
	s, err := openStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Update([]store.Op{{Key: []byte("k"), Value: []byte("v")}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	undo := fillDisk(t, dir, 4096)
	if _, err := openStore(dir); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("open on a full disk: %v", err)
	}
	undo()

	if s, err = openStore(dir); err != nil {
		t.Fatal(err)
	}
	// Another process fills the disk up while the store is written to.
	undo = fillDisk(t, dir, 0)
	put := func() error {
		return s.Update([]store.Op{{Key: []byte("k"), Value: make([]byte, 1<<20-100)}})
	}
	if err := put(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("write to a full disk: %v", err)
	}
	if err := s.ReadyToClose(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("ready to close on a full disk: %v", err)
	}
	undo()
	if err := put(); err != nil {
		t.Errorf("write when there is room again: %v", err)
	}
	// The log of the memtable has its blocks: it can be written though the disk is full by now.
	undo = fillDisk(t, dir, 33<<20)
	for n := 0; n < 3; n++ {
		if err := put(); err != nil && !errors.Is(err, syscall.ENOSPC) {
			t.Error(err)
		}
	}
	undo()
	fillDisk(t, dir, 0)
	if err := s.Close(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("close on a full disk: %v", err)
	}
	if _, err := openStore(dir); !errors.Is(err, store.ErrBusy) {
		t.Errorf("opened a store that could not be closed: %v", err)
	}
}
