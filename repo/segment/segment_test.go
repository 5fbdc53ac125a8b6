package segment_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"zenith/internal/pg"
	"zenith/internal/xlog"
	"zenith/repo/segment"
)

const (
	segSize = 1 << 20
	first   = pg.LSN(0x1000000) // the first LSN of the first segment
)

// timeline is one whose head is far ahead of all segments, unless a test moves it.
type timeline struct {
	head      pg.LSN
	held      func(name string) bool
	forgotten error
}

func (t *timeline) LastLSN() pg.LSN        { return t.head }
func (t *timeline) Forgotten(pg.LSN) error { return t.forgotten }
func (t *timeline) Held(name string) bool  { return t.held != nil && t.held(name) }

// newWAL makes a WAL of five segments that compress a bit, made from seed, and gives what is in them.
func newWAL(t *testing.T, seed uint64) (w *segment.WAL, tl *timeline, list []segment.Segment, plain [][]byte) {
	t.Helper()
	dir := segment.Dir{Path: filepath.Join(t.TempDir(), "wal"), Config: xlog.Config{Version: pg.V15, TLI: 1, SegSize: segSize}}
	if err := os.Mkdir(dir.Path, 0o700); err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(seed, 2))
	for i := range 5 {
		b := make([]byte, segSize)
		for at := 0; at < len(b); at += 3000 {
			for k := range b[at:min(at+1000, len(b))] {
				b[at+k] = byte(rnd.Uint32())
			}
		}
		plain = append(plain, b)
		if err := os.WriteFile(filepath.Join(dir.Path, xlog.SegmentName(1, start(i), segSize)), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tl = &timeline{head: first + 100*segSize}
	w = segment.New(dir, pg.OnTLI(1), tl, first, nil)
	t.Cleanup(w.Close)
	list, err := w.Segments()
	if err != nil {
		t.Fatal(err)
	}
	return w, tl, list, plain
}

// start is the first LSN of segment i.
func start(i int) pg.LSN { return first + pg.LSN(i)*segSize }

func path(w *segment.WAL, s segment.Segment) string { return filepath.Join(w.Path, s.Name) }

// readSegment reads the segment that begins at at, in steps of odd sizes.
func readSegment(w *segment.WAL, at pg.LSN) ([]byte, error) {
	b := make([]byte, segSize)
	for n := 0; n < len(b); {
		k, err := w.ReadWAL(b[n:min(len(b), n+9001)], at+pg.LSN(n))
		if err != nil {
			return b[:n], err
		}
		n += k
	}
	return b, nil
}
