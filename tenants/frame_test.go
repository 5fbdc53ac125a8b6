package tenants

import (
	"bufio"
	"bytes"
	"errors"
	"reflect"
	"testing"

	"zenith/internal/api"
	"zenith/internal/pg"
	"zenith/repo"
)

// TestFrames writes frames and reads them again.
func TestFrames(t *testing.T) {
	var stream bytes.Buffer
	w := frameWriter{w: bufio.NewWriter(&stream)}
	files := []repo.OwnFile{
		{Path: "postgresql.conf", LSN: 9, Content: []byte("port = 1")},
		{Path: "gone", LSN: 17},
		{Path: "empty", LSN: 8, Content: []byte{}},
		{Path: "pg_twophase/1", LSN: 8, Content: bytes.Repeat([]byte("x"), fileAtOnce)},
		{Path: "pg_twophase/2", LSN: 8, Content: bytes.Repeat([]byte("yz"), fileAtOnce+7)},
	}
	for _, f := range files {
		if err := w.file(f); err != nil {
			t.Fatal(err)
		}
	}
	var rel pg.RelFork
	rel.SpcOID, rel.DBOID, rel.RelNumber, rel.Fork = 1663, 5, 16384, pg.InitFork
	if err := errors.Join(w.relation(rel, 1<<31), w.write(frameEnd), w.w.Flush()); err != nil {
		t.Fatal(err)
	}
	if int64(stream.Len()) != w.sent {
		t.Errorf("%d bytes counted, %d written", w.sent, stream.Len())
	}
	whole := bytes.Clone(stream.Bytes())
	r := &frameReader{r: bufio.NewReader(&stream)}
	for _, want := range files {
		f, err := r.next()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := r.file(f); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %d bytes at %v, %v", want.Path, len(got.Content), got.LSN, err)
		}
	}
	f, err := r.next()
	if err != nil {
		t.Fatal(err)
	}
	if got, n, err := f.relation(); err != nil || got != rel || n != 1<<31 {
		t.Errorf("got %v of %d, %v", got, n, err)
	}
	if f, err := r.next(); err != nil || f.kind != frameEnd {
		t.Errorf("got %q, %v", f.kind, err)
	}
	if _, err := r.next(); !errors.Is(err, api.ErrProtocol) {
		t.Errorf("behind the end: %v", err)
	}
	for _, cut := range []int{1, frameHeader, len(whole) / 2, len(whole) - 1} {
		r := &frameReader{r: bufio.NewReader(bytes.NewReader(whole[:cut]))}
		if err := readAll(r); !errors.Is(err, api.ErrProtocol) {
			t.Errorf("cut at %d: %v", cut, err)
		}
	}
}

// readAll reads frames to frameEnd.
func readAll(r *frameReader) error {
	for {
		f, err := r.next()
		if err == nil && f.kind == frameFile {
			_, err = r.file(f)
		}
		if err != nil || f.kind == frameEnd {
			return err
		}
	}
}

// FuzzFrames reads any bytes as a stream: errors, never a panic.
func FuzzFrames(f *testing.F) {
	f.Add([]byte("F\x00\x00\x00\x0c\x00\x00\x00\x00\x00\x00\x00\x08\x02\x00\x01a"))
	f.Add([]byte("R\x00\x00\x00\x11aaaabbbbcccc\x00\x00\x00\x00\x01P\x00\x00\x00\x04\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := &frameReader{r: bufio.NewReader(bytes.NewReader(b))}
		for {
			f, err := r.next()
			if err != nil {
				return
			}
			_, _, _ = f.wal()
			_, _, _ = f.database()
			_, n, _ := f.relation()
			_, _, _ = f.pages(n)
			if f.kind == frameFile {
				_, _ = r.file(f)
			}
		}
	})
}
