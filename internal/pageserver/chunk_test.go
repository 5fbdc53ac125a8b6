package pageserver

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"testing"
	"testing/iotest"

	"zenith/internal/api"
)

// TestChunks: a message comes whole, however its bytes come and wherever a deadline breaks off the reading.
func TestChunks(t *testing.T) {
	for _, n := range []int{0, 1, firstChunk - 1, firstChunk, firstChunk + 1, 5*firstChunk + 3} {
		want := bytes.Repeat([]byte("abcdefg"), n/7+1)[:n]
		cr := &chunkReader{max: 10 * firstChunk}
		for rest := want; ; { // in three pieces, each of which a timeout ends
			piece := rest[:min(len(rest), n/3+1)]
			rest = rest[len(piece):]
			cr.br = bufio.NewReader(io.MultiReader(iotest.HalfReader(bytes.NewReader(piece)), iotest.ErrReader(os.ErrDeadlineExceeded)))
			got, err := cr.Next(n)
			if err == nil {
				if !bytes.Equal(got, want) {
					t.Errorf("%d bytes: got %d others", n, len(got))
				}
				break
			}
			if !errors.Is(err, os.ErrDeadlineExceeded) || len(piece) == 0 {
				t.Fatalf("%d bytes: %v", n, err)
			}
		}
	}
}

// TestChunksOfLiars: who says that a long message comes, and sends none of it, has no memory taken for it.
func TestChunksOfLiars(t *testing.T) {
	cr := &chunkReader{br: bufio.NewReader(iotest.ErrReader(os.ErrDeadlineExceeded)), max: 64 << 20}
	if _, err := cr.Next(64 << 20); !errors.Is(err, os.ErrDeadlineExceeded) || cap(cr.buf) > firstChunk {
		t.Errorf("%v, and %d bytes taken", err, cap(cr.buf))
	}
	if _, err := cr.Next(64<<20 + 1); !errors.Is(err, api.ErrProtocol) {
		t.Errorf("too long: %v", err)
	}
}
