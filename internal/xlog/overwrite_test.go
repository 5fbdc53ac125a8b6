package xlog_test

import (
	"errors"
	"io"
	"testing"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// TestOverwriteAborted: WAL goes on behind the beginning of a record that was never completed, on the page which that
// lacks, at the start of a segment or within one; a reader passes over the beginning.
func TestOverwriteAborted(t *testing.T) {
	const seg = 1 << 20
	for _, pages := range []pg.LSN{1, 2, 5} { // of the aborted record that are there
		for _, at := range []pg.LSN{2*seg - xlog.PageSize, 2*seg - 5*xlog.PageSize} {
			b := newBuilder(xlog.Config{Version: pg.V15, SegSize: seg, SysID: 42, TLI: 1}, at)
			b.fill(100)
			head, prev := b.at, b.prev
			missing := head&^(xlog.PageSize-1) + pages*xlog.PageSize
			raw := make([]byte, 8*xlog.PageSize)
			raw[0], raw[1], raw[2], raw[3] = 0, 0, 1, 0 // xl_tot_len is 8 pages
			for i := range 8 {
				raw[8+i] = byte(prev >> (8 * i))
			}
			raw[17] = byte(xlog.RmXLOG)
			lay, _ := xlog.LayRecord(head, raw, b.cfg)
			b.patch(cut(lay, missing))
			r := b.reader(b)
			expect(t, r, b.records)
			if err := r.Next(new(xlog.Record)); !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			aborted, found, ok := r.Aborted()
			if aborted != xlog.RecordStart(head, seg) || found != missing || !ok {
				t.Fatalf("%d pages from %v: aborted at %v, missing %v, %t; want %v", pages, head, aborted, found, ok, missing)
			}

			patches, start, end := xlog.OverwriteAborted(missing, prev, aborted, 77, b.cfg)
			b.patch(patches)
			var rec xlog.Record
			if err := r.Next(&rec); err != nil {
				t.Fatalf("%v (%v)", err, r.EndReason())
			}
			got, err := xlog.ParseOverwriteContRecord(&rec)
			if want := (xlog.OverwriteContRecord{Overwritten: aborted, Time: 77}); err != nil || got != want || rec.StartLSN != start || rec.EndLSN != end || rec.Prev != prev {
				t.Errorf("got %+v at %v, %v; want %+v at %v", got, rec.StartLSN, err, want, start)
			}
			expectEnd(t, r)
			if _, _, ok := r.Aborted(); ok {
				t.Error("a record is aborted where none begins")
			}
		}
	}
}

// cut takes from patches what lies at or behind end.
func cut(patches []xlog.Patch, end pg.LSN) (list []xlog.Patch) {
	for _, p := range patches {
		if p.At < end {
			p.Bytes = p.Bytes[:min(pg.LSN(len(p.Bytes)), end-p.At)]
			list = append(list, p)
		}
	}
	return list
}
