package datadir_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"sync"
	"testing"

	"zenith/internal/pg"
	"zenith/internal/pgtest"
	"zenith/repo"
	"zenith/repo/datadir"
	"zenith/repo/ingest"
	"zenith/walredo"
)

// importCluster makes a timeline of the stored cluster.
func importCluster(t *testing.T) *repo.Timeline {
	t.Helper()
	r, err := repo.Open(repo.Options{Dir: t.TempDir(), Redo: walredo.Cluster{LogHints: true}.Redo})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	dir := t.TempDir()
	if err := pgtest.UnpackCluster(dir); err != nil {
		t.Fatal(err)
	}
	tl, err := ingest.Import(t.Context(), r, dir, ingest.ImportOptions{Name: "main"})
	if err != nil {
		t.Fatal(err)
	}
	return tl
}

// TestPrepareHeadClears: of a record that was never completed nothing is left.
func TestPrepareHeadClears(t *testing.T) {
	tl := importCluster(t)
	head := tl.LastLSN()
	path, size := tl.SegmentPath(head), int64(tl.Info().SegSize)
	off := int64(head) % size
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int64{1, 100, 3 * pg.BlockSize, size - off} {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.WriteAt(bytes.Repeat([]byte("x"), int(n)), off)
		if err = errors.Join(err, f.Truncate(off+n), f.Close()); err != nil {
			t.Fatal(err)
		}
		if end, err := datadir.PrepareHead(t.Context(), tl); err != nil || end != head {
			t.Fatalf("it ends at %v, %v; want %v", end, err, head)
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if int64(len(got)) != size || !bytes.Equal(got[:off], before[:off]) || len(bytes.TrimRight(got[off:], "\x00")) > 0 {
			t.Errorf("%d bytes behind the head: the segment has %d bytes, and not only zeros there", n, len(got))
		}
	}
}

// TestPrepareHeadBesideReaders: whoever reads at the head meanwhile, as ingest does to see if there is
// more, finds nothing there, and no error.
func TestPrepareHeadBesideReaders(t *testing.T) {
	tl := importCluster(t)
	if _, err := datadir.PrepareHead(t.Context(), tl); err != nil {
		t.Fatal(err)
	}
	head := tl.LastLSN()
	ctx, stop := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for p := make([]byte, 64<<10); ctx.Err() == nil; {
				n, err := tl.WAL().ReadWAL(p, head)
				if err != nil || len(bytes.TrimRight(p[:n], "\x00")) > 0 {
					t.Errorf("%d bytes at the head, %v", n, err)
					return
				}
			}
		})
	}
	for range 30 {
		if _, err := datadir.PrepareHead(t.Context(), tl); err != nil {
			t.Error(err)
		}
	}
	stop()
	readers.Wait()
}
