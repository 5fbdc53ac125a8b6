package store

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/dgraph-io/badger/v4/table"
)

// TestVerifyReplacedTable: a table that a compaction has replaced since the tables were listed is no damage, though its
// file is empty, or full of zeros, for a moment before it is gone.
func TestVerifyReplacedTable(t *testing.T) {
	opened, err := OpenBadger(filepath.Join(t.TempDir(), "store"), BadgerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	s := opened.(*badgerStore)
	const id = 999999 // none of the store's
	for _, size := range []int{0, 1, 4096} {
		if err := os.WriteFile(filepath.Join(s.dir, table.IDToFilename(id)), make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := s.verifyTable(id); err != nil {
			t.Errorf("a file of %d bytes: %v", size, err)
		}
	}
}
