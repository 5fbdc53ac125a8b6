package segment_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"zenith/internal/pg"
	"zenith/internal/xlog"
	"zenith/repo/segment"
)

// names lists the files in a WAL's directory.
func names(t *testing.T, w *segment.WAL) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(w.Path)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

// TestSwitch checks that where a server was promoted, within a segment and at the end of one, the segments get the
// names that they have on that server, and that a failure at any place leaves WAL that can be read.
func TestSwitch(t *testing.T) {
	for _, c := range []struct {
		name  string
		heads []pg.LSN // of the promotions, to timelines 2, 3 ...
		files []string // that are there then
	}{
		{"within a segment", []pg.LSN{start(2) + 100}, []string{"000000010000000000000010", "000000010000000000000011", "000000020000000000000012"}},
		{"at the end of a segment", []pg.LSN{start(2)}, []string{"000000010000000000000010", "000000010000000000000011"}},
		{"twice within a segment", []pg.LSN{start(2) + 100, start(2) + 200},
			[]string{"000000010000000000000010", "000000010000000000000011", "000000030000000000000012"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, tl, _, plain := newWAL(t, 1)
			stored := w.History()
			for i, head := range c.heads {
				tl.head = head
				if _, err := readSegment(w, start(2)); err != nil { // readers have it open
					t.Fatal(err)
				}
				tli := pg.TLI(2 + i)
				full := errors.New("disk full")
				if err := w.Switch(tli, func(pg.History) error { return full }); !errors.Is(err, full) {
					t.Fatal(err)
				}
				if got, err := readSegment(w, start(1)); err != nil || w.History().TLI() != tli-1 || !bytes.Equal(got, plain[1]) {
					t.Fatalf("after a failure: %v, %v", w.History(), err)
				}
				if err := w.Switch(tli, func(h pg.History) error { stored = h; return nil }); err != nil {
					t.Fatal(err)
				}
			}
			if got := names(t, w); !slices.Equal(got, c.files) {
				t.Errorf("files %v, want %v", got, c.files)
			}
			// As the next process reads it.
			again := segment.New(w.Dir, stored, tl, first, nil)
			t.Cleanup(again.Close)
			for _, w := range []*segment.WAL{w, again} {
				if got, err := readSegment(w, start(1)); err != nil || !bytes.Equal(got, plain[1]) {
					t.Errorf("the segment before: %v", err)
				}
				n := int(c.heads[0] - start(2))
				if got, err := readSegment(w, start(2)); n > 0 && (err != nil || !bytes.Equal(got[:n], plain[2][:n])) {
					t.Errorf("the segment up to the head: %v", err)
				} else if n > 0 && !bytes.Equal(got[len(c.heads)*100:], make([]byte, segSize-len(c.heads)*100)) {
					t.Errorf("behind the head there is something of the old timeline")
				}
				if list, err := w.Segments(); err != nil || len(list) != len(c.files) {
					t.Errorf("segments %v, %v", list, err)
				}
			}
			// They can be packed, and taken back, like others.
			before, err := readSegment(w, start(1))
			if err != nil {
				t.Fatal(err)
			}
			tl.head = start(90)
			pack(t, w, start(90))
			if w.Close(); w.PackedUpTo() != start(len(c.files)) {
				t.Errorf("packed up to %v", w.PackedUpTo())
			}
			if got, err := readSegment(w, start(1)); err != nil || !bytes.Equal(got, before) {
				t.Errorf("after packing: %v", err)
			}
			if err := w.Unpack(c.files[len(c.files)-1], filepath.Join(filepath.Dir(w.Path), "unpacking")); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestSwitchBack checks that WAL never goes on to a timeline with a lower number, as PostgreSQL's does not.
func TestSwitchBack(t *testing.T) {
	w, tl, _, _ := newWAL(t, 1)
	tl.head = start(2) + 8
	for _, tli := range []pg.TLI{0, 1} {
		if err := w.Switch(tli, nil); !errors.Is(err, pg.ErrCorrupt) {
			t.Errorf("from timeline 1 to %d: %v", tli, err)
		}
	}
	if got := len(names(t, w)); got != 5 {
		t.Errorf("%d files, want 5", got)
	}
}

// TestStrays checks that what a crash leaves of a switch is not taken for a segment.
func TestStrays(t *testing.T) {
	w, _, list, plain := newWAL(t, 1)
	stray := filepath.Join(w.Path, xlog.SegmentName(2, start(2), segSize))
	if err := os.WriteFile(stray, make([]byte, segSize), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := w.Segments(); err != nil || len(got) != len(list) {
		t.Errorf("segments %v, %v", got, err)
	}
	if got, err := readSegment(w, start(2)); err != nil || !bytes.Equal(got, plain[2]) {
		t.Error(err)
	}
}
