package repo_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"zenith/repo"
	"zenith/repo/storetest"
)

type memMaker struct{ s *repo.MemStore }

func (m *memMaker) Open(*testing.T) repo.Store {
	if m.s == nil {
		m.s = repo.NewMemStore()
	} else {
		m.s = m.s.Reopen()
	}
	return m.s
}

func (m *memMaker) Crash(*testing.T, repo.Store) repo.Store {
	m.s = m.s.Crash(true)
	return m.s
}

func TestMemStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) storetest.Maker { return &memMaker{} })
}

type badgerMaker struct{ dir string }

func (m *badgerMaker) Open(t *testing.T) repo.Store {
	t.Helper()
	s, err := repo.OpenBadger(m.dir, repo.BadgerOptions{MemTable: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Crash copies the files as they are, which is what the death of the process leaves.
func (m *badgerMaker) Crash(t *testing.T, s repo.Store) repo.Store {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "copy")
	if out, err := exec.Command("cp", "-a", "--sparse=always", m.dir, dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s.Close()
	if err := os.Remove(filepath.Join(dir, "LOCK")); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	m.dir = dir
	return m.Open(t)
}

func TestBadgerStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Maker { return &badgerMaker{dir: filepath.Join(t.TempDir(), "store")} })
}

func TestBadgerIsForOneProcess(t *testing.T) {
	m := &badgerMaker{dir: t.TempDir()}
	s := m.Open(t)
	defer s.Close()
	if s2, err := repo.OpenBadger(m.dir, repo.BadgerOptions{}); err == nil {
		s2.Close()
		t.Fatal("opened twice")
	}
}

// TestBadgerEmptyLogs: the process died between the making of a log and its first byte, or between the
// two steps of deleting one.
func TestBadgerEmptyLogs(t *testing.T) {
	m := &badgerMaker{dir: t.TempDir()}
	s := m.Open(t)
	if err := s.Update([]repo.Op{{Key: []byte("k"), Value: []byte("v")}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"00000.mem", "00002.mem", "00007.mem", "000005.vlog"} {
		if err := os.WriteFile(filepath.Join(m.dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		s = m.Open(t)
		it := s.Iterator([]byte("k"))
		if it.Seek([]byte("k")); !it.Valid() {
			t.Error("what was written is gone")
		}
		it.Close()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
