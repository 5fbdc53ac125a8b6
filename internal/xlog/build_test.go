package xlog_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"testing"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// memWAL is WAL in memory, page by page. Pages that were never written read as zeros
// below end; from end on there is nothing.
type memWAL struct {
	pages map[pg.LSN][]byte
	end   pg.LSN
	step  int // the most that one read gives; 0: no limit
}

func newMemWAL() *memWAL { return &memWAL{pages: map[pg.LSN][]byte{}, end: ^pg.LSN(0)} }

func (m *memWAL) ReadWAL(p []byte, at pg.LSN) (int, error) {
	if at >= m.end {
		return 0, io.EOF
	}
	p = p[:min(uint64(len(p)), uint64(m.end-at), uint64(xlog.PageSize-at%xlog.PageSize))]
	if m.step > 0 {
		p = p[:min(len(p), m.step)]
	}
	clear(p)
	if page := m.pages[at&^(xlog.PageSize-1)]; page != nil {
		copy(p, page[at%xlog.PageSize:])
	}
	return len(p), nil
}

func (m *memWAL) write(at pg.LSN, b []byte) {
	for len(b) > 0 {
		pageAt := at &^ (xlog.PageSize - 1)
		if m.pages[pageAt] == nil {
			m.pages[pageAt] = make([]byte, xlog.PageSize)
		}
		n := copy(m.pages[pageAt][at%xlog.PageSize:], b)
		at, b = at+pg.LSN(n), b[n:]
	}
}

func (m *memWAL) patch(patches []xlog.Patch) {
	for _, p := range patches {
		m.write(p.At, p.Bytes)
	}
}

// clone makes an independent copy.
func (m *memWAL) clone() *memWAL {
	c := &memWAL{pages: map[pg.LSN][]byte{}, end: m.end, step: m.step}
	for at, page := range m.pages {
		c.pages[at] = bytes.Clone(page)
	}
	return c
}

// cut zeroes everything from at on.
func (m *memWAL) cut(at pg.LSN) {
	for pageAt, page := range m.pages {
		if pageAt+xlog.PageSize > at {
			clear(page[max(pageAt, at)-pageAt:])
		}
	}
}

// built is a record as it was put into WAL.
type built struct {
	start, end pg.LSN
	raw        []byte
}

// builder appends records to WAL.
type builder struct {
	*memWAL
	cfg     xlog.Config
	at      pg.LSN // end of the last record
	prev    pg.LSN
	rnd     *rand.Rand
	records []built
}

func newBuilder(cfg xlog.Config, at pg.LSN) *builder {
	return &builder{memWAL: newMemWAL(), cfg: cfg, at: at, rnd: rand.New(rand.NewPCG(1, uint64(at)))}
}

// makeRecord makes a record of total bytes, at least 26, that is all main data.
func (b *builder) makeRecord(total int) []byte {
	raw := make([]byte, xlog.RecordHeaderSize, total)
	binary.LittleEndian.PutUint32(raw, uint32(total))
	binary.LittleEndian.PutUint32(raw[4:], b.rnd.Uint32())
	binary.LittleEndian.PutUint64(raw[8:], uint64(b.prev))
	raw[17] = byte(xlog.RmLogicalMsg)
	switch n := total - xlog.RecordHeaderSize; {
	case n == 0:
	case n-2 < 256:
		raw = append(raw, 255, byte(n-2))
	default:
		raw = binary.LittleEndian.AppendUint32(append(raw, 254), uint32(n-5))
	}
	for len(raw) < total {
		raw = append(raw, byte(b.rnd.Uint32()))
	}
	return raw
}

func seal(raw []byte) []byte {
	binary.LittleEndian.PutUint32(raw[20:], xlog.RecordCRC(raw))
	return raw
}

// add appends a record of total bytes.
func (b *builder) add(total int) built { return b.put(seal(b.makeRecord(total))) }

// put appends a record as it is.
func (b *builder) put(raw []byte) built {
	patches, end := xlog.LayRecord(b.at, raw, b.cfg)
	b.patch(patches)
	r := built{start: xlog.RecordStart(b.at, b.cfg.SegSize), end: end, raw: raw}
	b.prev, b.at = r.start, end
	b.records = append(b.records, r)
	return r
}

// addSwitch appends an XLOG_SWITCH and goes on in the next segment.
func (b *builder) addSwitch() built {
	raw := b.makeRecord(xlog.RecordHeaderSize)
	raw[16], raw[17] = xlog.XLOGSwitch, byte(xlog.RmXLOG)
	r := b.put(seal(raw))
	seg := pg.LSN(b.cfg.SegSize)
	b.at = (b.at + seg - 1) / seg * seg
	b.records[len(b.records)-1].end = b.at
	r.end = b.at
	return r
}

// fill appends small records until exactly left bytes are left on the page, left being
// a multiple of 8 below a page.
func (b *builder) fill(left int) {
	room := func() int {
		return xlog.PageSize - int(xlog.RecordStart(b.at, b.cfg.SegSize)%xlog.PageSize)
	}
	if room() < left+32 {
		b.add(room() + 64) // run over to the next page, and try there
	}
	for n := room() - left; n > 0; n = room() - left {
		if n > 128 {
			b.add(64)
		} else {
			b.add(n)
		}
		if left == 0 && b.at%xlog.PageSize == 0 {
			return
		}
	}
}

// reader reads what was built from the beginning.
func (b *builder) reader(src xlog.Source) *xlog.Reader {
	return xlog.NewReader(src, b.cfg, b.records[0].start)
}

// expect reads records and compares them with those that were built.
func expect(t *testing.T, r *xlog.Reader, want []built) {
	t.Helper()
	var rec xlog.Record
	for i, w := range want {
		if err := r.Next(&rec); err != nil {
			t.Fatalf("record %d of %d at %v: %v (%v)", i, len(want), w.start, err, r.EndReason())
		}
		if rec.StartLSN != w.start || rec.EndLSN != w.end || !bytes.Equal(rec.Raw, w.raw) {
			t.Fatalf("record %d: %v to %v, %d bytes; want %v to %v, %d bytes",
				i, rec.StartLSN, rec.EndLSN, len(rec.Raw), w.start, w.end, len(w.raw))
		}
		if r.EndLSN() != w.end || r.PrevLSN() != w.start {
			t.Fatalf("record %d: reader stands at %v behind %v", i, r.EndLSN(), r.PrevLSN())
		}
	}
}

// expectEnd asks for io.EOF.
func expectEnd(t *testing.T, r *xlog.Reader) {
	t.Helper()
	var rec xlog.Record
	if err := r.Next(&rec); err != io.EOF {
		t.Fatalf("got %v, want io.EOF", err)
	}
	if r.EndReason() == nil {
		t.Fatal("no reason for the end")
	}
}
