package tenants

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"zenith/internal/api"
	"zenith/repo"
)

var discard = slog.New(slog.DiscardHandler)

// TestSlotsFile: what an earlier page server kept is read, and written as it was.
func TestSlotsFile(t *testing.T) {
	const kept = `{"standby":{"restart":23803720}}`
	dir, id := t.TempDir(), repo.TimelineID{1}
	if err := os.Mkdir(slotsDir(dir), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(slotsDir(dir), id.String()), []byte(kept), 0o600); err != nil {
		t.Fatal(err)
	}
	s := openSlots(dir, id, discard)
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

// TestSlotIsNotDroppedInMemoryAlone: a slot whose drop cannot be put on disk is there still.
func TestSlotIsNotDroppedInMemoryAlone(t *testing.T) {
	dir := t.TempDir()
	s := openSlots(dir, repo.TimelineID{1}, discard)
	slots := branchSlots{&branch{slots: s}}
	if err := slots.Create("standby", false, false); err != nil {
		t.Fatal(err)
	}
	kept := slotsDir(dir) + ".kept"
	if err := os.Rename(slotsDir(dir), kept); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(slotsDir(dir), nil, 0o600); err != nil { // in the way of the directory
		t.Fatal(err)
	}
	if err := slots.Drop("standby", false); err == nil {
		t.Error("dropped, though it cannot be put on disk")
	}
	if _, err := slots.Get("standby"); err != nil {
		t.Error(err)
	}
	if err := slots.Create("another", false, false); err == nil {
		t.Error("created, though it cannot be put on disk")
	}
	if _, err := slots.Get("another"); err == nil {
		t.Error("a slot is there that could not be put on disk")
	}
}

// TestSlotsAreBounded: readers, who make temporary slots, leave room for those of others.
func TestSlotsAreBounded(t *testing.T) {
	slots := branchSlots{&branch{slots: openSlots(t.TempDir(), repo.TimelineID{1}, discard)}}
	for n := range maxSlots {
		if err := slots.Create(fmt.Sprint("t", n), true, false); err != nil {
			t.Fatal(err)
		}
	}
	wantKind(t, "one more", slots.Create("more", true, false), api.ErrNotAllowed)
	if err := slots.Create("standby", false, false); err != nil {
		t.Errorf("a slot that stays: %v", err)
	}
	if err := slots.Drop("t0", true); err != nil {
		t.Fatal(err)
	}
	if err := slots.Create("more", true, false); err != nil {
		t.Errorf("in the place of one: %v", err)
	}
}
