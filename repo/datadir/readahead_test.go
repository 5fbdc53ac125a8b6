package datadir

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"testing"
)

// failingFile is a file of which the byte at failAt cannot be read.
type failingFile struct {
	bytesFile
	failAt int64 // 0: never
}

var errRead = errors.New("page is damaged")

func (f failingFile) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	if f.failAt != 0 && off <= f.failAt && f.failAt < off+int64(len(p)) {
		return 0, errRead
	}
	return f.bytesFile.ReadAt(ctx, p, off)
}

// TestReader reads files of sizes around that of a part, with errors of the reads and of the
// function that gets the parts.
func TestReader(t *testing.T) {
	content := make([]byte, 5*readPart+17)
	rng := rand.NewChaCha8([32]byte{1})
	rng.Read(content)
	r := newReader()
	for _, size := range []int{0, 1, readPart - 1, readPart, readPart + 1, 2 * readPart, len(content)} {
		var got bytes.Buffer
		f := failingFile{bytesFile: content[:size]}
		err := r.each(t.Context(), f, func(p []byte) error { _, err := got.Write(p); return err })
		if err != nil || !bytes.Equal(got.Bytes(), content[:size]) {
			t.Errorf("%d bytes: got %d, %v", size, got.Len(), err)
		}
		for _, at := range []int64{1, int64(size) / 2, int64(size) - 1} {
			if at <= 0 || at >= int64(size) {
				continue
			}
			n := int64(0)
			f.failAt = at
			err := r.each(t.Context(), f, func(p []byte) error { n += int64(len(p)); return nil })
			if !errors.Is(err, errRead) || n > at {
				t.Errorf("%d bytes, damage at %d: %d were given, %v", size, at, n, err)
			}
		}
		calls := 0
		refuse := errors.New("refused")
		err = r.each(t.Context(), failingFile{bytesFile: content[:size]}, func([]byte) error { calls++; return refuse })
		if size > 0 && (!errors.Is(err, refuse) || calls != 1) {
			t.Errorf("%d bytes, refused: %v after %d calls", size, err, calls)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	err := r.each(ctx, failingFile{bytesFile: content}, func([]byte) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
