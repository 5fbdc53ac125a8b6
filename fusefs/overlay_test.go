package fusefs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"zenith/internal/tree"
)

// memFile is a File in memory that counts how it is read.
type memFile struct {
	data  []byte
	reads int
	err   error
}

func (m *memFile) Size() int64 { return int64(len(m.data)) }

func (m *memFile) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	m.reads++
	if m.err != nil {
		return 0, m.err
	}
	return bytes.NewReader(m.data).ReadAt(p, off)
}

// random gives n bytes of which no two stretches are alike.
func random(n int, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(r.Uint32())
	}
	return p
}

func openTestOverlay(t *testing.T, base tree.File) *overlay {
	t.Helper()
	o := newOverlay(filepath.Join(t.TempDir(), "private"), base)
	if err := o.acquire(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := o.release(); err != nil {
			t.Error(err)
		}
	})
	return o
}

// checkContents compares an overlay's contents with want, in reads of any place and length.
func checkContents(t *testing.T, o *overlay, want []byte, r *rand.Rand) {
	t.Helper()
	if size := o.stat(); size != int64(len(want)) {
		t.Fatalf("stat: %d, want %d", size, len(want))
	}
	for range 4 {
		off := r.Int64N(int64(len(want)) + 1)
		n := r.Int64N(4 * blockSize)
		p := make([]byte, n)
		got, err := o.read(t.Context(), p, off)
		if err != nil {
			t.Fatalf("read %d at %d: %v", n, off, err)
		}
		if end := min(off+n, int64(len(want))); !bytes.Equal(p[:got], want[off:end]) {
			t.Fatalf("read %d at %d: wrong bytes", n, off)
		}
	}
}

// TestOverlayModel compares random operations with the same on a slice.
func TestOverlayModel(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 2))
			want := random(r.IntN(12*blockSize), seed)
			o := openTestOverlay(t, &memFile{data: bytes.Clone(want)})
			for range 60 {
				want = randomStep(t, o, want, r)
				checkContents(t, o, want, r)
			}
			if err := o.fill(t.Context()); err != nil || !o.whole() {
				t.Fatalf("fill: %v, whole %v", err, o.whole())
			}
			checkContents(t, o, want, r)
			if onDisk, err := os.ReadFile(o.path); err != nil || !bytes.Equal(onDisk, want) {
				t.Fatalf("filled file differs: %v", err)
			}
		})
	}
}

// randomStep does the same random operation to the overlay and to the slice.
func randomStep(t *testing.T, o *overlay, want []byte, r *rand.Rand) []byte {
	t.Helper()
	var err error
	switch r.IntN(6) {
	case 0:
		size := r.IntN(16 * blockSize)
		if r.IntN(2) == 0 {
			size = size / blockSize * blockSize
		}
		err = o.truncate(t.Context(), int64(size))
		want = resize(want, size)
	case 1:
		off, n := r.IntN(12*blockSize), 1+r.IntN(2*blockSize)
		keep := r.IntN(2) == 0
		err = o.allocate(int64(off), int64(n), keep)
		if !keep {
			want = resize(want, max(len(want), off+n))
		}
	default:
		off, n := r.IntN(14)*blockSize, (1+r.IntN(3))*blockSize
		if r.IntN(3) == 0 { // as no relation is written
			off, n = off+r.IntN(blockSize), 1+r.IntN(n)
		}
		p := random(n, r.Uint64())
		var wrote int
		wrote, err = o.write(t.Context(), p, int64(off))
		if wrote != n {
			t.Fatalf("wrote %d of %d: %v", wrote, n, err)
		}
		want = resize(want, max(len(want), off+n))
		copy(want[off:], p)
	}
	if err != nil {
		t.Fatal(err)
	}
	return want
}

func resize(p []byte, n int) []byte {
	q := make([]byte, n)
	copy(q, p)
	return q
}

func TestOverlayReadsBaseInOneGo(t *testing.T) {
	base := &memFile{data: random(64*blockSize, 1)}
	o := openTestOverlay(t, base)
	p := make([]byte, 40*blockSize)
	if _, err := o.read(t.Context(), p, 4096); err != nil {
		t.Fatal(err)
	}
	if base.reads != 1 {
		t.Errorf("one read of 320 kB became %d", base.reads)
	}
	if _, err := os.Stat(o.path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a read made a private file: %v", err)
	}
}

func TestOverlayWriteOfWholeBlocksReadsNothing(t *testing.T) {
	base := &memFile{data: random(64*blockSize, 1)}
	o := openTestOverlay(t, base)
	if _, err := o.write(t.Context(), random(3*blockSize, 2), 5*blockSize); err != nil {
		t.Fatal(err)
	}
	if base.reads != 0 {
		t.Errorf("writing whole blocks read the base %d times", base.reads)
	}
}

func TestOverlayLetsTheBaseGo(t *testing.T) {
	data := random(2*blockSize+100, 1)
	o := openTestOverlay(t, &memFile{data: data})
	for b := range 3 {
		if o.whole() {
			t.Fatalf("whole before block %d is written", b)
		}
		if _, err := o.write(t.Context(), random(blockSize, 3), int64(b)*blockSize); err != nil {
			t.Fatal(err)
		}
	}
	if !o.whole() {
		t.Error("all blocks written, and not whole")
	}
}

func TestOverlayBaseErrors(t *testing.T) {
	broken := errors.New("broken")
	o := openTestOverlay(t, &memFile{data: random(4*blockSize, 1), err: broken})
	if _, err := o.read(t.Context(), make([]byte, 10), 0); !errors.Is(err, broken) {
		t.Errorf("read: %v, want the base's error", err)
	}
	if _, err := o.write(t.Context(), []byte("x"), 10); !errors.Is(err, broken) {
		t.Errorf("write into a block: %v, want the base's error", err)
	}
	if err := o.fill(t.Context()); !errors.Is(err, broken) {
		t.Errorf("fill: %v, want the base's error", err)
	}
	short := openTestOverlay(t, &shortFile{memFile{data: random(4*blockSize, 1)}})
	if _, err := short.read(t.Context(), make([]byte, 10), 0); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("read of a base that is shorter than it says: %v", err)
	}
}

// shortFile is a File whose Size is more than it has.
type shortFile struct{ memFile }

func (s *shortFile) ReadAt(context.Context, []byte, int64) (int, error) { return 3, io.EOF }
