package tenants

import (
	"os"
	"path/filepath"
	"testing"

	"zenith/repo"
)

// TestSlotsFile: what an earlier page server kept is read, and written as it was.
func TestSlotsFile(t *testing.T) {
	const kept = `{"standby":{"restart":23803720}}`
	dir, id := t.TempDir(), repo.TimelineID{1}
	if err := replaceSynced(filepath.Join(slotsDir(dir), id.String()), []byte(kept)); err != nil {
		t.Fatal(err)
	}
	s, err := openSlots(dir, id)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.horizon(); got != 0x16B3748 {
		t.Errorf("WAL is kept from %v, want 0/16B3748", got)
	}
	s.list["of a connection"] = &slot{restart: 1, temporary: true}
	if err := s.saveLocked(); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(s.path); err != nil || string(got) != kept {
		t.Errorf("got %s, %v, want %s", got, err, kept)
	}
}
