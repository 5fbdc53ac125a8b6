package xlog_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// FuzzDecode: any bytes give an error or a record whose parts lie in them, and the
// parsers of its body and its images likewise.
func FuzzDecode(f *testing.F) {
	r := loadFixture(f, "mixed").reader()
	seen := map[[2]uint8]int{}
	var rec xlog.Record
	for r.Next(&rec) == nil {
		key := [2]uint8{uint8(rec.RmgrID), rec.Info}
		if seen[key]++; seen[key] <= 3 && len(rec.Raw) < 10000 {
			f.Add(bytes.Clone(rec.Raw))
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) >= 4 {
			binary.LittleEndian.PutUint32(raw, uint32(len(raw)))
		}
		for _, v := range pg.Versions {
			decodeAnything(t, v, raw)
		}
	})
}

// decodeAnything decodes raw as a record of PostgreSQL v, and checks what comes of it.
func decodeAnything(t *testing.T, v *pg.Version, raw []byte) {
	t.Helper()
	var rec xlog.Record
	if err := xlog.Decode(v, raw, 0x1000028, 0x1000100, &rec); err != nil {
		if !errors.Is(err, xlog.ErrCorrupt) {
			t.Fatalf("error is no ErrCorrupt: %v", err)
		}
		return
	}
	size := len(rec.MainData)
	page := make(pg.Page, pg.BlockSize)
	for i := range rec.Blocks {
		b := &rec.Blocks[i]
		size += len(b.Data) + len(b.Image.Bytes)
		if i > 0 && b.ID <= rec.Blocks[i-1].ID || b.HasData != (len(b.Data) > 0) || b.Apply && !b.HasImage {
			t.Fatalf("block %d: %+v", i, b)
		}
		if b.HasImage {
			if err := b.Image.Restore(page); err != nil && !errors.Is(err, xlog.ErrCorrupt) {
				t.Fatalf("restore: %v", err)
			}
		}
	}
	if size > len(raw)-xlog.RecordHeaderSize {
		t.Fatalf("%d bytes in a record of %d", size, len(raw))
	}
	description(&rec) // no parser panics
}

// FuzzReader: any changes to real WAL leave it readable to an end or an error, with each
// record behind the one before it and its checksum right. edits are triples: a place in
// three pages, two bytes, and what to put there. The pages are said to be of one of pg.Versions.
func FuzzReader(f *testing.F) {
	fix := loadFixture(f, "mixed")
	for i := range uint16(8) {
		f.Add([]byte{}, 16*i, false, uint8(i))
		f.Add([]byte{0x10, 0x20 + byte(i), 1, 0x12, 0, 1}, 15*i, true, uint8(i))
	}
	f.Fuzz(func(t *testing.T, edits []byte, pageno uint16, sealed bool, version uint8) {
		cfg := fix.cfg
		cfg.Version = pg.Versions[int(version)%len(pg.Versions)]
		const pages = 3
		at := fix.start + pg.LSN(pageno%126)*xlog.PageSize
		src := newMemWAL()
		for p := at; p < at+pages*xlog.PageSize; p += xlog.PageSize {
			src.write(p, fix.pages[p])
			src.write(p, binary.LittleEndian.AppendUint16(nil, cfg.Version.WALMagic))
		}
		src.end = at + pages*xlog.PageSize
		for ; len(edits) >= 3; edits = edits[3:] {
			place := pg.LSN(binary.LittleEndian.Uint16(edits)) % (pages * xlog.PageSize)
			src.write(at+place, edits[2:3])
		}
		if sealed {
			sealPages(src)
		}
		r := xlog.NewReader(src, cfg, at)
		if err := r.Seek(at); err != nil {
			return
		}
		var rec xlog.Record
		last := at
		for range 10000 {
			err := r.Next(&rec)
			if err == io.EOF || errors.Is(err, xlog.ErrCorrupt) || errors.Is(err, xlog.ErrVersion) {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if rec.StartLSN < last || rec.EndLSN <= rec.StartLSN || rec.EndLSN%8 != 0 || len(rec.Raw) > pages*xlog.PageSize || xlog.CheckCRC(rec.Raw) != nil {
				t.Fatalf("record %v to %v behind %v", rec.StartLSN, rec.EndLSN, last)
			}
			last = rec.EndLSN
		}
		t.Fatal("the reader does not end")
	})
}

// sealPages gives what lies behind each page's header the checksum of a record, so that
// the fuzzer gets past it.
func sealPages(m *memWAL) {
	for at, page := range m.pages {
		binary.LittleEndian.PutUint64(page[8:], uint64(at))
		off := 24
		if page[2]&2 != 0 {
			off = 40
		}
		n := int(binary.LittleEndian.Uint32(page[off:]))
		if n < xlog.RecordHeaderSize || off+n > len(page) {
			continue
		}
		seal(page[off : off+n])
	}
}
