package xlog_test

import (
	"io"
	"testing"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

func TestReaderSeek(t *testing.T) {
	b := newBuilder(xlog.Config{Version: pg.V15, SegSize: 1 << 20, SysID: 42, TLI: 1}, 1<<20-20*xlog.PageSize)
	b.fill(0)
	shapes(b)
	r := b.reader(b)
	next := 0
	for lsn := b.records[0].start; lsn < b.at; lsn += 104 {
		for next < len(b.records) && b.records[next].start < lsn {
			next++
		}
		err := r.Seek(lsn)
		if next == len(b.records) {
			if err != io.EOF {
				t.Fatalf("seek %v: got %v, want io.EOF", lsn, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("seek %v: %v", lsn, err)
		}
		expect(t, r, b.records[next:min(next+2, len(b.records))])
	}
}

func TestReaderSeekNowhere(t *testing.T) {
	b := newBuilder(xlog.Config{Version: pg.V15, SegSize: 1 << 20, SysID: 42, TLI: 1}, 1<<20)
	shapes(b)
	r := b.reader(b)
	for _, lsn := range []pg.LSN{b.at, b.at + 1, b.at + 1<<20, 0} {
		if err := r.Seek(lsn); err != io.EOF {
			t.Errorf("seek %v: %v", lsn, err)
		}
	}
	if err := r.Seek(b.records[5].start); err != nil {
		t.Fatal(err)
	}
	expect(t, r, b.records[5:])
}
