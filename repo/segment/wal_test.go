package segment_test

import (
	"errors"
	"io"
	"testing"

	"zenith/internal/pg"
	"zenith/repo/segment"
)

// TestRemove checks that reading a removed segment ends as at the end of WAL, or with the error of the
// timeline if it is forgotten; and that removing it again is no error.
func TestRemove(t *testing.T) {
	w, tl, list, plain := newWAL(t, 1)
	if _, err := readSegment(w, start(1)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := w.Remove(list[:2]); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.ReadWAL(make([]byte, 8), start(1)); !errors.Is(err, io.EOF) {
		t.Errorf("a segment that is gone: %v", err)
	}
	tl.forgotten = errors.New("forgotten")
	if _, err := w.ReadWAL(make([]byte, 8), start(1)); !errors.Is(err, tl.forgotten) {
		t.Errorf("a segment that is forgotten: %v", err)
	}
	if got, err := readSegment(w, start(2)); err != nil || string(got) != string(plain[2]) {
		t.Errorf("%s is left: %v", list[2].Name, err)
	}
	if left, err := w.Segments(); err != nil || len(left) != 3 {
		t.Errorf("%d segments are left: %v", len(left), err)
	}
}

// TestLineage checks that a branch reads its ancestor's segments below the branch point, and its own from
// there on.
func TestLineage(t *testing.T) {
	w, _, _, plain := newWAL(t, 1)
	own, tl, _, ownPlain := newWAL(t, 2)
	const point = first + segSize + 100
	branch := segment.New(own.Dir, pg.OnTLI(1), tl, point, w)
	t.Cleanup(branch.Close)
	for _, c := range []struct {
		at   pg.LSN
		want []byte
	}{
		{first + 50, plain[0][50:58]}, {point - 8, plain[1][92:100]}, {point, ownPlain[1][100:108]}, {start(3), ownPlain[3][:8]},
	} {
		got := make([]byte, 8)
		if n, err := branch.ReadWAL(got, c.at); err != nil || n != len(got) || string(got) != string(c.want) {
			t.Errorf("at %v: %x, %d bytes, %v; want %x", c.at, got, n, err, c.want)
		}
	}
	if n, err := branch.ReadWAL(make([]byte, 200), point-8); err != nil || n != 8 {
		t.Errorf("across the branch point: %d bytes, %v; want 8", n, err)
	}
}

// TestMark checks that Durable gives what MarkDurable was called with last, and no mark before that.
func TestMark(t *testing.T) {
	w, _, _, _ := newWAL(t, 1)
	if lsn, ok, err := w.Durable(); ok || err != nil {
		t.Errorf("without a mark: %v, %v, %v", lsn, ok, err)
	}
	for _, want := range []pg.LSN{first, start(2) + 8, start(1)} {
		if err := w.MarkDurable(want); err != nil {
			t.Fatal(err)
		}
		if lsn, ok, err := w.Durable(); lsn != want || !ok || err != nil {
			t.Errorf("%v is marked: got %v, %v, %v", want, lsn, ok, err)
		}
	}
}
