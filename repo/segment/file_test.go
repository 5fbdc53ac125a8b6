package segment_test

import (
	"errors"
	"os"
	"syscall"
	"testing"

	"zenith/internal/pg"
)

// TestTruncatedSegment checks that a segment which is truncated while it is mapped is an error for its
// reader, not the end of the process; and that what is left of it can be read.
func TestTruncatedSegment(t *testing.T) {
	w, _, list, plain := newWAL(t, 1)
	if _, err := readSegment(w, first); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path(w, list[0]), segSize/2); err != nil {
		t.Fatal(err)
	}
	got, err := readSegment(w, first)
	if !errors.Is(err, syscall.EIO) && !errors.Is(err, pg.ErrCorrupt) {
		t.Errorf("%s truncated: %v", list[0].Name, err)
	}
	if n := len(got); n < segSize/4 || string(got) != string(plain[0][:n]) {
		t.Errorf("%s truncated: %d bytes read", list[0].Name, n)
	}
	if got, err = readSegment(w, start(1)); err != nil || string(got) != string(plain[1]) {
		t.Errorf("%s behind it: %v", list[1].Name, err)
	}
}
