package store

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/table"
)

// TestMarkIsBehindTheLogs: the mark has what was written before the logs were synced, not what came meanwhile: of that
// nobody knows whether a power cut leaves it.
func TestMarkIsBehindTheLogs(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	opened, err := OpenBadger(dir, BadgerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	s := opened.(*badgerStore)
	write := func(key string) int64 {
		t.Helper()
		if err := s.Update([]Op{{Key: []byte(key), Value: make([]byte, 1000)}}); err != nil {
			t.Fatal(err)
		}
		seen, err := s.ledger.look(false)
		if err != nil || len(seen) != 1 {
			t.Fatalf("logs %+v, %v", seen, err)
		}
		return seen[0].Whole
	}
	marked := func() int64 {
		t.Helper()
		m, err := readMark(dir)
		if err != nil || len(m.Logs) != 1 {
			t.Fatalf("mark %+v, %v", m, err)
		}
		return m.Logs[0].Whole
	}
	first := write("a")
	seen, err := s.ledger.look(false)
	if err != nil {
		t.Fatal(err)
	}
	second := write("b") // while the logs are synced
	if err := s.ledger.note(seen); err != nil {
		t.Fatal(err)
	}
	if got := marked(); got != first || second <= first {
		t.Errorf("the mark says %d, want %d, what was there before the sync; now there is %d", got, first, second)
	}
	if err := s.Sync(); err != nil {
		t.Fatal(err)
	}
	if got := marked(); got != second {
		t.Errorf("after a sync the mark says %d, want %d", got, second)
	}
}

// openForLedger opens a store that has a table, and writes what will be in a memtable's log that the mark names.
func openForLedger(t *testing.T) *badgerStore {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "store")
	var s *badgerStore
	for _, key := range []string{"0", "a"} {
		opened, err := OpenBadger(dir, BadgerOptions{MemTable: 4 << 20})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { opened.Close() })
		s = opened.(*badgerStore)
		if err := s.Update([]Op{{Key: []byte(key), Value: []byte("b")}}); err != nil {
			t.Fatal(err)
		}
		if key == "0" {
			err = s.Close()
		} else {
			err = s.Sync()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// killed copies a store's files as kill -9 would leave them.
func (s *badgerStore) killed(t *testing.T) (dir string) {
	t.Helper()
	root := t.TempDir()
	for _, name := range []string{"store", "store.inventory", "store.mark"} {
		if err := copyFiles(filepath.Join(filepath.Dir(s.dir), name), filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(root, "store")
}

func copyFiles(from, to string) error {
	if st, err := os.Stat(from); err != nil {
		return err
	} else if st.IsDir() {
		return os.CopyFS(to, os.DirFS(from))
	}
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o600)
}

// wantKey opens a store and wants what openForLedger has written.
func wantKey(t *testing.T, dir string) {
	t.Helper()
	s, err := OpenBadger(dir, BadgerOptions{MemTable: 4 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	it := s.Iterator([]byte("a"))
	defer it.Close()
	if it.Seek([]byte("a")); !it.Valid() {
		t.Error("what was written and synced is not there")
	}
}

// TestRepairWhileFlushing loses the MANIFEST of stores that were killed at moments around a flush. A memtable may have
// become a table while the logs were synced: then the inventory knows the table, and the mark its log still. And a table
// may not have been whole yet.
func TestRepairWhileFlushing(t *testing.T) {
	for what, end := range map[string]func(t *testing.T, s *badgerStore) (dir string){
		"between look and note": func(t *testing.T, s *badgerStore) string {
			seen, err := s.ledger.look(false)
			if err == nil {
				err = s.flushMemtable(t.Context())
			}
			if err == nil {
				err = s.ledger.note(seen)
			}
			if err != nil {
				t.Fatal(err)
			}
			return s.killed(t)
		},
		"a table is not whole": func(t *testing.T, s *badgerStore) string {
			dir := s.killed(t)
			if err := os.WriteFile(filepath.Join(dir, table.IDToFilename(s.ledger.inv.Next)), make([]byte, 4096), 0o600); err != nil {
				t.Fatal(err)
			}
			return dir
		},
	} {
		t.Run(what, func(t *testing.T) {
			dir := end(t, openForLedger(t))
			if err := os.Remove(filepath.Join(dir, badger.ManifestFilename)); err != nil {
				t.Fatal(err)
			}
			if done, err := Repair(dir, slog.New(slog.DiscardHandler)); err != nil || done == "" {
				t.Fatalf("%q, %v", done, err)
			}
			wantKey(t, dir)
		})
	}
}

// TestManifestWrittenAnew kills the process when the inventory knows of a MANIFEST that badger has written anew, and
// the mark does not yet: the log that it names has become a table, which nobody can count.
func TestManifestWrittenAnew(t *testing.T) {
	s := openForLedger(t)
	if err := s.flushMemtable(t.Context()); err != nil {
		t.Fatal(err)
	}
	m, err := readManifest(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.live) < 2 {
		t.Fatalf("the memtable has not become a table: %+v", m)
	}
	if err := writeManifest(s.dir, m.live); err != nil {
		t.Fatal(err)
	}
	if err := s.ledger.noteTables(); err != nil {
		t.Fatal(err)
	}
	wantKey(t, s.killed(t))
}
