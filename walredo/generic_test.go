package walredo

import (
	"encoding/binary"
	"testing"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// pageDelta is computeDelta of access/transam/generic_xlog.c: the pieces in which a page
// differs from what it was, below pd_lower and from pd_upper on.
func pageDelta(was, is pg.Page) []byte {
	d := regionDelta(nil, was, is, 0, int(is.Lower()), 0, int(was.Lower()))
	return regionDelta(d, was, is, int(is.Upper()), pg.BlockSize, int(was.Upper()), pg.BlockSize)
}

// regionDelta is computeRegionDelta, but for its joining of pieces that are less than four bytes
// apart: a byte of [start, end) is logged if it has changed, or was outside [validStart,
// validEnd), where the old page has nothing that counts.
func regionDelta(d []byte, was, is pg.Page, start, end, validStart, validEnd int) []byte {
	changed := func(i int) bool { return i < validStart || i >= validEnd || was[i] != is[i] }
	for i := start; i < end; i++ {
		if !changed(i) {
			continue
		}
		first := i
		for i < end && changed(i) {
			i++
		}
		d = binary.LittleEndian.AppendUint16(d, uint16(first))
		d = binary.LittleEndian.AppendUint16(d, uint16(i-first))
		d = append(d, is[first:i]...)
	}
	return d
}

// TestGenericNew gives a page its first content by a difference without an image, as an extension
// does that does not ask for one, and then changes it by another difference.
func TestGenericNew(t *testing.T) {
	tag := relTag(pg.MainFork, 36)
	zeros := make(pg.Page, pg.BlockSize)
	first := make(pg.Page, pg.BlockSize)
	first.Init(16)
	first.SetLower(pg.PageHeaderSize + 8)
	first.SetUpper(first.Upper() - 64)
	copy(first[pg.PageHeaderSize:], "\x01\x00\x00\x00\x00\x00\x00\x02")
	copy(first[first.Upper():], "an entry of the index")
	copy(first[first.Special():], "opaque")
	second := append(pg.Page(nil), first...)
	second.SetLower(first.Lower() - 4) // what was there is free space now: zeros
	clear(second[second.Lower():second.Upper()])
	copy(second[second.Upper():], "AN entry")

	// The record of a new page covers its header and line pointers in one piece.
	if r, _, err := xlog.CutGenericRegion(pageDelta(zeros, first)); err != nil || r.Offset != 0 || len(r.Bytes) != int(first.Lower()) {
		t.Fatalf("the first piece is %d bytes at %d (%v), want %d at 0", len(r.Bytes), r.Offset, err, first.Lower())
	}
	page, was := make(pg.Page, pg.BlockSize), zeros
	for _, is := range []pg.Page{first, second} {
		rec := record(xlog.RmGeneric, 0, nil, xlog.BlockRef{Tag: tag, HasData: true, Data: pageDelta(was, is)})
		if err := Redo(page, tag, rec); err != nil {
			t.Fatal(err)
		}
		want := append(pg.Page(nil), is...)
		want.SetLSN(rec.EndLSN)
		if d := diffPages(page, want, placeOf); d != "" {
			t.Fatal(d)
		}
		was = is
	}
}
