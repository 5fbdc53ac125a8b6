package segment_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"zenith/internal/pg"
	"zenith/repo/segment"
)

// pack packs the segments below upTo without a rest.
func pack(t *testing.T, w *segment.WAL, upTo pg.LSN) {
	t.Helper()
	if err := w.Pack(upTo, filepath.Join(filepath.Dir(w.Path), "packing"), t.Context().Err); err != nil {
		t.Fatal(err)
	}
}

// TestPack checks that packed segments are smaller and read as they were, that those which a server
// has stay as they are, and that Unpack makes a packed one a plain file again.
func TestPack(t *testing.T) {
	w, tl, list, plain := newWAL(t, 1)
	tl.held = func(name string) bool { return name >= list[3].Name }
	for range 2 {
		pack(t, w, start(5))
		for i, s := range list {
			now, err := os.ReadFile(path(w, s))
			if err != nil {
				t.Fatal(err)
			}
			if packed := len(now) < segSize/2; packed != (i < 3) || !packed && !slices.Equal(now, plain[i]) {
				t.Errorf("%s: %d bytes", s.Name, len(now))
			}
			got, err := readSegment(w, s.Start)
			if err != nil || !slices.Equal(got, plain[i]) {
				t.Errorf("%s: %d bytes are read, not what was there: %v", s.Name, len(got), err)
			}
		}
	}
	temp := filepath.Join(filepath.Dir(w.Path), "unpacking")
	for i := range 2 {
		if err := w.Unpack(list[i].Name, temp); err != nil {
			t.Fatal(err)
		}
		if now, err := os.ReadFile(path(w, list[i])); err != nil || !slices.Equal(now, plain[i]) {
			t.Errorf("%s is %d bytes: %v", list[i].Name, len(now), err)
		}
	}
	if err := w.Unpack("000000010000000000000099", temp); err != nil {
		t.Errorf("a segment that is not there: %v", err)
	}
}

// TestDamagedPack checks that a packed segment with a flipped bit, or a truncated one, is an error or
// reads as the right number of bytes, whose records have checksums of their own.
func TestDamagedPack(t *testing.T) {
	w, _, list, _ := newWAL(t, 1)
	pack(t, w, start(4))
	sound, err := os.ReadFile(path(w, list[1]))
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(3, 4))
	for i := range 60 {
		b := slices.Clone(sound)
		switch at := rnd.IntN(len(b)); {
		case i < 20:
			b[i] ^= 1 << rnd.IntN(8) // the head
		case i%2 == 0:
			b[at] ^= 1 << rnd.IntN(8)
		default:
			b = b[:at]
		}
		if err := os.WriteFile(path(w, list[1]), b, 0o600); err != nil {
			t.Fatal(err)
		}
		w.Forget(start(1))
		got, err := readSegment(w, start(1))
		if i > 8 && i < 20 && err == nil {
			t.Errorf("a bit in byte %d of the index was flipped, and %d bytes are read", i, len(got))
		}
		if err != nil && !errors.Is(err, pg.ErrCorrupt) && i >= 8 {
			t.Errorf("damage %d: %v", i, err)
		}
	}
}
