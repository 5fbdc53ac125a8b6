package xlog_test

import (
	"io"
	"testing"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// flatWAL is WAL in one piece of memory, as the page cache would give it.
type flatWAL struct {
	start pg.LSN
	b     []byte
}

func (w *flatWAL) ReadWAL(p []byte, at pg.LSN) (int, error) {
	if at < w.start || at >= w.start+pg.LSN(len(w.b)) {
		return 0, io.EOF
	}
	return copy(p, w.b[at-w.start:]), nil
}

// benchRecord is like the records of pgbench: a change of one block, 70 bytes.
func benchRecord(b *builder) []byte {
	raw := b.makeRecord(26)[:xlog.RecordHeaderSize]
	raw[17] = byte(xlog.RmHeap)
	raw = append(raw, 0, 0x20, 8, 0) // block 0, main fork, 8 bytes of data
	raw = append(raw, 0x7F, 6, 0, 0, 5, 0, 0, 0, 0x00, 0x40, 0, 0, 17, 0, 0, 0)
	raw = append(raw, 255, 14)
	raw = append(raw, make([]byte, 8+14)...)
	raw[0] = byte(len(raw))
	return seal(raw)
}

func smallWAL(tb testing.TB) (*flatWAL, int) {
	tb.Helper()
	b := newBuilder(xlog.Config{Version: pg.V15, SegSize: xlog.DefaultSegSize}, 16<<20)
	n := 0
	for ; b.at < 32<<20-xlog.PageSize; n++ {
		b.put(benchRecord(b))
	}
	w := &flatWAL{start: 16 << 20}
	for at := w.start; at < b.at; at += xlog.PageSize {
		w.b = append(w.b, b.pages[at]...)
	}
	return w, n
}

func BenchmarkReaderSmall(b *testing.B) {
	w, n := smallWAL(b)
	var rec xlog.Record
	b.SetBytes(int64(len(w.b)))
	b.ReportAllocs()
	for b.Loop() {
		r := xlog.NewReader(w, xlog.Config{Version: pg.V15}, w.start)
		got := 0
		for r.Next(&rec) == nil {
			got++
		}
		if got != n {
			b.Fatalf("%d records, want %d: %v", got, n, r.EndReason())
		}
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mrecords/s")
}

// BenchmarkReaderMixed reads the recorded WAL: half of its bytes are page images.
func BenchmarkReaderMixed(b *testing.B) {
	f := loadFixture(b, "mixed")
	w := &flatWAL{start: f.start}
	for at := f.start; at < f.end; at += xlog.PageSize {
		w.b = append(w.b, f.pages[at]...)
	}
	var rec xlog.Record
	n := 0
	for b.Loop() {
		r := xlog.NewReader(w, f.cfg, w.start)
		for n = 0; r.Next(&rec) == nil; n++ {
		}
		b.SetBytes(int64(r.EndLSN() - w.start))
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mrecords/s")
}

func BenchmarkDecode(b *testing.B) {
	bld := newBuilder(xlog.Config{Version: pg.V15, SegSize: xlog.DefaultSegSize}, 16<<20)
	raw := benchRecord(bld)
	var rec xlog.Record
	b.ReportAllocs()
	for b.Loop() {
		if err := xlog.Decode(pg.V15, raw, 1, 2, &rec); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkImageRestore(b *testing.B) {
	r := loadFixture(b, "mixed").reader()
	images := map[string]xlog.Image{}
	var rec xlog.Record
	for r.Next(&rec) == nil {
		for i := range rec.Blocks {
			img := rec.Blocks[i].Image
			img.Bytes = append([]byte(nil), img.Bytes...)
			if m := methodOf(img.Info); rec.Blocks[i].HasImage && len(img.Bytes) > len(images[m].Bytes) {
				images[m] = img
			}
		}
	}
	page := make(pg.Page, pg.BlockSize)
	for m, img := range images {
		b.Run("method="+m, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(pg.BlockSize)
			for b.Loop() {
				if err := img.Restore(page); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// In steady state a record costs no memory.
func TestReaderAllocates(t *testing.T) {
	w, n := smallWAL(t)
	r := xlog.NewReader(w, xlog.Config{Version: pg.V15}, w.start)
	var rec xlog.Record
	for range 1000 {
		if err := r.Next(&rec); err != nil {
			t.Fatal(err)
		}
	}
	runs := min(100000, n-2000)
	if a := testing.AllocsPerRun(runs, func() {
		if err := r.Next(&rec); err != nil {
			t.Fatal(err)
		}
	}); a != 0 {
		t.Errorf("%v allocations a record", a)
	}
}
