package xlog_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// TestPack: each record of a real server, packed for each page that it names and for one
// that it does not, comes back as it was but for its checksum.
func TestPack(t *testing.T) {
	r := loadFixture(t, "mixed").reader()
	var rec xlog.Record
	var plain, small int
	for r.Next(&rec) == nil {
		tags := []pg.BufferTag{pg.SLRUXact.Page(3)}
		for i := range rec.Blocks {
			tags = append(tags, rec.Blocks[i].Tag)
		}
		want := bytes.Clone(rec.Raw)
		binary.LittleEndian.PutUint32(want[20:], 0)
		for _, tag := range tags {
			pack, unpack := xlog.NewPacker(tag), xlog.NewPacker(tag)
			packed, ok := pack.Pack(nil, rec.Raw, rec.StartLSN)
			if !ok {
				t.Fatalf("record at %v cannot be packed", rec.StartLSN)
			}
			if len(want) <= 1024 {
				plain, small = plain+len(want), small+len(packed)
			}
			packed, ok = pack.Pack(packed, rec.Raw, rec.StartLSN) // the same again: another xid
			if !ok {
				t.Fatalf("record at %v cannot be packed twice", rec.StartLSN)
			}
			for rest := packed; len(rest) > 0; {
				var raw []byte
				if raw, rest, ok = unpack.Unpack(nil, rest, rec.StartLSN, len(want)); !ok || !bytes.Equal(raw, want) {
					t.Fatalf("record at %v for %v: ok %t\n got %x\nwant %x", rec.StartLSN, tag, ok, raw, want)
				}
			}
			for n := range packed[:len(packed)/2] {
				unpack := xlog.NewPacker(tag)
				if raw, _, ok := unpack.Unpack(nil, packed[:n:n], rec.StartLSN, len(want)); ok && len(raw) != len(want) {
					t.Fatalf("record at %v, %d bytes packed: %d bytes", rec.StartLSN, n, len(raw))
				}
			}
		}
	}
	if small > plain*3/4 {
		t.Errorf("%d bytes became %d", plain, small)
	}
}

// FuzzUnpack: any bytes give a record of the size asked for, or none.
func FuzzUnpack(f *testing.F) {
	f.Add([]byte{0, 10, 2, 8, 0xC0, 0x20, 4, 0, 1, 2, 3, 4}, 60)
	f.Fuzz(func(t *testing.T, packed []byte, size int) {
		p := xlog.NewPacker(pg.SLRUXact.Page(0))
		raw, rest, ok := p.Unpack(nil, packed, 0x1000028, size%(1<<20))
		if ok && (len(raw) != size%(1<<20) || len(rest) > len(packed)) {
			t.Fatalf("%d bytes of %d, %d left of %d", len(raw), size, len(rest), len(packed))
		}
	})
}
