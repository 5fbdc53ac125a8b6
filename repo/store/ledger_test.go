package store

import (
	"path/filepath"
	"testing"
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
