package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"zenith/internal/api"
)

func identity(t *testing.T, dir string) string {
	t.Helper()
	id, err := dirIdentity(dir)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// TestIdentity: a copy has another identity, a directory that was renamed has its own.
func TestIdentity(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "w")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	e := &environ{workdir: dir}
	id := identity(t, dir)
	if err := e.writeRunning("localhost:1"); err != nil {
		t.Fatal(err)
	}
	if err := e.checkCopied(id); err != nil {
		t.Error(err)
	}
	if err := e.checkServer("localhost:1", id); err != nil {
		t.Error(err)
	}
	if out, err := exec.Command("cp", "-a", dir, dir+"c").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	c := &environ{workdir: dir + "c"}
	if err := c.checkCopied(identity(t, dir+"c")); !errors.Is(err, api.ErrNotAllowed) {
		t.Errorf("a copy of a running one: %v", err)
	}
	if err := c.checkServer("localhost:1", id); !errors.Is(err, api.ErrUnavailable) {
		t.Errorf("the original's page server: %v", err)
	}
	if err := os.Rename(dir, dir+"2"); err != nil {
		t.Fatal(err)
	}
	if now := identity(t, dir+"2"); now != id {
		t.Errorf("renamed: %s, was %s", now, id)
	}
}

// TestLockWorkdir: one page server has the work directory, also when the pid file is gone.
func TestLockWorkdir(t *testing.T) {
	dir := t.TempDir()
	unlock, err := lockWorkdir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lockWorkdir(dir); !errors.Is(err, api.ErrBusy) {
		t.Errorf("locked twice: %v", err)
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	again, err := lockWorkdir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := again(); err != nil {
		t.Error(err)
	}
}
