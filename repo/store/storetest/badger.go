package storetest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"zenith/repo/store"
)

// BadgerMaker is a Maker of badger stores. Dir is where the store is; Crash changes it.
type BadgerMaker struct{ Dir string }

// Open implements Maker.
func (m *BadgerMaker) Open(t *testing.T) store.Store {
	t.Helper()
	s, err := store.OpenBadger(m.Dir, store.BadgerOptions{MemTable: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Crash implements Maker. It copies the files as they are, which is what the death of the process
// leaves.
func (m *BadgerMaker) Crash(t *testing.T, s store.Store) store.Store {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "copy")
	if out, err := exec.Command("cp", "-a", "--sparse=always", m.Dir, dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s.Close()
	if err := os.Remove(filepath.Join(dir, "LOCK")); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	m.Dir = dir
	return m.Open(t)
}
