package xlog_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// TestWrittenPages: the end of what is written is found where a hole lies below it, too, if the caller says from where on
// there is none.
func TestWrittenPages(t *testing.T) {
	const start, pages = pg.LSN(3 << 20), 128
	segment := make([]byte, pages*xlog.PageSize)
	write := func(from, to int) {
		for page := from; page < to; page++ {
			binary.LittleEndian.PutUint64(segment[page*xlog.PageSize+8:], uint64(start)+uint64(page*xlog.PageSize)) // xlp_pageaddr
		}
	}
	write(0, 1)
	write(90, 101)
	for _, c := range []struct {
		name string
		from pg.LSN
		want int
	}{
		{"from where the last hole ends", start + 90*xlog.PageSize, 101},
		{"from within a page", start + 91*xlog.PageSize - 1, 101},
		{"from the end", start + pages*xlog.PageSize, pages},
		{"from behind the segment", start + 2*pages*xlog.PageSize, pages},
		{"nothing behind", start + 101*xlog.PageSize, 101},
	} {
		got, err := xlog.WrittenPages(bytes.NewReader(segment), start, len(segment), c.from)
		if err != nil || got != int64(c.want)*xlog.PageSize {
			t.Errorf("%s: page %d, %v; want %d", c.name, got/xlog.PageSize, err, c.want)
		}
	}
	write(0, 101)
	if got, err := xlog.WrittenPages(bytes.NewReader(segment), start, len(segment), 0); err != nil || got != 101*xlog.PageSize {
		t.Errorf("without a hole: page %d, %v; want 101", got/xlog.PageSize, err)
	}
}
