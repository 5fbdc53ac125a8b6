package pgtest

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"testing"

	"github.com/klauspost/compress/zstd"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// Recorded is WAL as a server wrote it, from the first page of a segment on, for tests that
// run without a server. It is an xlog.Source. In a file it is nothing but the pages, packed
// by zstd: the first page's header says the rest. A record of a server with wal_consistency_checking brings
// a whole page, which the packer finds again in the record before: gzip does not look back so far.
type Recorded struct {
	Version *pg.Version
	SysID   uint64
	SegSize int
	Start   pg.LSN
	Pages   []byte
}

// newRecorded reads the long header of the first of the pages.
func newRecorded(tb testing.TB, pages []byte) Recorded {
	tb.Helper()
	if len(pages) < xlog.PageSize {
		tb.Fatalf("recorded wal of %d bytes", len(pages))
	}
	release, _ := pg.ReleaseByMagic(binary.LittleEndian.Uint16(pages))
	v, err := pg.ByMajor(release.Major)
	if err != nil {
		tb.Fatalf("recorded wal that begins with % x: %v", pages[:2], err)
	}
	return Recorded{
		Version: v,
		Start:   pg.LSN(binary.LittleEndian.Uint64(pages[8:])),
		SysID:   binary.LittleEndian.Uint64(pages[24:]),
		SegSize: int(binary.LittleEndian.Uint32(pages[32:])),
		Pages:   pages,
	}
}

// Record takes a stopped server's WAL from start, where a segment begins, to the page on
// which the last record ends.
func (s *Server) Record(tb testing.TB, start pg.LSN) Recorded {
	tb.Helper()
	wal := s.WAL(tb)
	r := wal.Reader(start)
	var rec xlog.Record
	var err error
	end := start
	for ; err == nil; err = r.Next(&rec) {
		end = (r.EndLSN() + xlog.PageSize - 1) &^ (xlog.PageSize - 1)
	}
	if !errors.Is(err, io.EOF) {
		tb.Fatal(err)
	}
	pages := make([]byte, end-start)
	if err := xlog.ReadFull(wal, pages, start); err != nil {
		tb.Fatal(err)
	}
	return newRecorded(tb, pages)
}

// LoadRecorded reads a file that Save wrote.
func LoadRecorded(tb testing.TB, path string) Recorded {
	tb.Helper()
	packed, err := os.ReadFile(path)
	if err != nil {
		tb.Fatalf("%v: run make testdata", err)
	}
	pages, err := UnpackWAL(packed)
	if err != nil {
		tb.Fatalf("unpack %s: %v", path, err)
	}
	return newRecorded(tb, pages)
}

// Save writes the pages into a file.
func (r Recorded) Save(tb testing.TB, path string) {
	tb.Helper()
	z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithWindowSize(packWindow))
	if err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(path, z.EncodeAll(r.Pages, nil), 0o644); err != nil {
		tb.Fatal(err)
	}
}

// packWindow is how far back Save looks for bytes that it has seen.
const packWindow = 32 << 20

// UnpackWAL gives the pages in a file that Save wrote.
func UnpackWAL(packed []byte) ([]byte, error) {
	z, err := zstd.NewReader(nil)
	if err != nil {
		return nil, err
	}
	defer z.Close()
	return z.DecodeAll(packed, nil)
}

// ReadWAL implements xlog.Source.
func (r Recorded) ReadWAL(p []byte, at pg.LSN) (int, error) {
	if at < r.Start || at >= r.Start+pg.LSN(len(r.Pages)) {
		return 0, io.EOF
	}
	return copy(p, r.Pages[at-r.Start:]), nil
}

// Config is what a reader of the WAL has to be told.
func (r Recorded) Config() xlog.Config {
	return xlog.Config{Version: r.Version, SegSize: r.SegSize, SysID: r.SysID}
}

// Reader reads all records.
func (r Recorded) Reader() *xlog.Reader { return xlog.NewReader(r, r.Config(), r.Start) }

// Gzip writes b into a file, packed as small as gzip can.
func Gzip(tb testing.TB, path string, b []byte) {
	tb.Helper()
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := z.Write(b); err != nil {
		tb.Fatal(err)
	}
	if err := z.Close(); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
		tb.Fatal(err)
	}
}

// Gunzip gives what Gzip was given.
func Gunzip(tb testing.TB, path string) []byte {
	tb.Helper()
	file, err := os.Open(path)
	if err != nil {
		tb.Fatalf("%v: run make testdata", err)
	}
	defer file.Close()
	z, err := gzip.NewReader(file)
	if err != nil {
		tb.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}
