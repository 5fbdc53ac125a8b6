package xlog_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// shapes appends records in every position relative to pages and segments.
func shapes(b *builder) {
	for left := 0; left <= 64; left += 8 {
		b.fill(left)
		b.add(100) // its header is split where left is 8 or 16
		b.fill(left)
		b.add(3*xlog.PageSize + left)
	}
	// Exact fits: to the end of the page it starts on, and of one it runs on to.
	b.fill(256)
	b.add(256)
	b.fill(512)
	b.add(512 + xlog.PageSize - xlog.ShortPageHeaderSize)
	b.add(24)
	for i := range 100 {
		b.add(26 + i)
	}
}

func TestReaderShapes(t *testing.T) {
	for _, c := range []struct {
		segSize int
		start   pg.LSN
	}{
		{1 << 20, 1<<20 - 20*xlog.PageSize},
		{2 << 20, 6 << 20},
		{16 << 20, 1<<32 - 16*xlog.PageSize},
		{1 << 30, 5<<30 - 30*xlog.PageSize},
	} {
		t.Run(fmt.Sprint(c.segSize), func(t *testing.T) {
			b := newBuilder(xlog.Config{Version: pg.V15, SegSize: c.segSize, SysID: 42, TLI: 3}, c.start)
			shapes(b)
			for _, step := range []int{0, 1000, 40} {
				b.step = step
				r := b.reader(b)
				expect(t, r, b.records)
				expectEnd(t, r)
			}
		})
	}
}

// brokenWAL gives err at LSNs from from on.
type brokenWAL struct {
	*memWAL
	from pg.LSN
	err  error
}

func (b brokenWAL) ReadWAL(p []byte, at pg.LSN) (int, error) {
	if at >= b.from {
		return 0, b.err
	}
	return b.memWAL.ReadWAL(p[:min(uint64(len(p)), uint64(b.from-at))], at)
}

// The source's error is no error of the records before it, though they are read together with what is
// behind them; the next record, which needs what cannot be read, has it.
func TestReaderBeforeBrokenWAL(t *testing.T) {
	b := newBuilder(xlog.Config{Version: pg.V15, SegSize: 1 << 20, SysID: 42, TLI: 1}, 1<<20)
	for i := range 30 {
		b.add(900 + 100*i)
	}
	broken := brokenWAL{memWAL: b.memWAL, err: errors.New("removed")}
	for i, r := range b.records[:len(b.records)-1] {
		broken.from = r.end
		rd := xlog.NewReader(broken, b.cfg, 1<<20)
		expect(t, rd, b.records[:i+1])
		if err := rd.Next(new(xlog.Record)); !errors.Is(err, broken.err) {
			t.Fatalf("record %d, at %v: error %v, want the source's", i+1, r.end, err)
		}
	}
}

// A record that crosses a segment's end has the next segment's long header inside it.
func TestReaderAcrossSegments(t *testing.T) {
	const seg = 1 << 20
	for left := 8; left < 128; left += 8 {
		b := newBuilder(xlog.Config{Version: pg.V15, SegSize: seg, SysID: 42, TLI: 1}, 3*seg-xlog.PageSize)
		b.fill(left)
		r := b.add(2*xlog.PageSize + left)
		if r.start/seg == r.end/seg {
			t.Fatal("the record does not cross the segment's end")
		}
		b.add(50)
		rd := b.reader(b)
		expect(t, rd, b.records)
		expectEnd(t, rd)
	}
}

func TestReaderSwitch(t *testing.T) {
	const seg = 1 << 20
	for name, prepare := range map[string]func(b *builder){
		"mid page":          func(b *builder) { b.fill(1000) },
		"ends page":         func(b *builder) { b.fill(24) },
		"header is split":   func(b *builder) { b.fill(8) },
		"starts page":       func(b *builder) { b.fill(0) },
		"ends segment":      func(b *builder) { b.at = 3*seg - xlog.PageSize; b.fill(24) },
		"crosses segment":   func(b *builder) { b.at = 3*seg - xlog.PageSize; b.fill(16) },
		"starts segment":    func(b *builder) { b.at = 3 * seg },
		"last page, middle": func(b *builder) { b.at = 3*seg - xlog.PageSize; b.fill(4000) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBuilder(xlog.Config{Version: pg.V15, SegSize: seg, SysID: 42, TLI: 1}, 2*seg)
			prepare(b)
			b.addSwitch()
			expectAfter := b.at
			b.add(100)
			b.addSwitch()
			b.add(30)
			r := b.reader(b)
			expect(t, r, b.records)
			expectEnd(t, r)
			if expectAfter%seg != 0 {
				t.Fatalf("a switch ends at %v", expectAfter)
			}
		})
	}
}

// ends are things that may stand behind the last record.
var ends = map[string]func(b *builder){
	"zeros":          func(b *builder) {},
	"nothing":        func(b *builder) { b.memWAL.end = b.at },
	"part of a page": func(b *builder) { b.memWAL.end = b.at + 10 },
	"garbage": func(b *builder) {
		junk := make([]byte, 5*xlog.PageSize)
		for i := range junk {
			junk[i] = byte(b.rnd.Uint32())
		}
		b.write(b.at, junk)
	},
	"ones": func(b *builder) {
		junk := make([]byte, 2*xlog.PageSize)
		for i := range junk {
			junk[i] = 0xFF
		}
		b.write(b.at, junk)
	},
	"a reused segment": func(b *builder) {
		old := newBuilder(b.cfg, b.at-pg.LSN(4*b.cfg.SegSize))
		shapes(old)
		for at, page := range old.pages {
			if at += pg.LSN(4 * b.cfg.SegSize); at >= b.at {
				b.write(at, page)
			}
		}
		at := b.at % xlog.PageSize
		b.write(b.at, old.pages[old.records[0].start&^(xlog.PageSize-1)][at:])
	},
	"a header without a record": func(b *builder) {
		b.fill(0)
		patches, _ := xlog.LayRecord(b.at, b.makeRecord(64), b.cfg)
		b.write(b.at, patches[0].Bytes[:xlog.ShortPageHeaderSize])
	},
}

func TestReaderEnd(t *testing.T) {
	for name, end := range ends {
		for _, left := range []int{0, 8, 16, 24, 1000} {
			t.Run(fmt.Sprintf("%s/%d", name, left), func(t *testing.T) {
				b := newBuilder(xlog.Config{Version: pg.V15, SegSize: 1 << 20, SysID: 42, TLI: 1}, 64<<20)
				b.add(100)
				b.fill(left)
				end(b)
				r := b.reader(b)
				expect(t, r, b.records)
				expectEnd(t, r)
				expectEnd(t, r)

				// What is written later is found by the same reader.
				n := len(b.records)
				b.memWAL.end = ^pg.LSN(0)
				b.cut(b.at)
				b.add(200)
				b.add(3 * xlog.PageSize)
				expect(t, r, b.records[n:])
				expectEnd(t, r)
			})
		}
	}
}

// A record of which only a part was written is the end, wherever it breaks off, and is
// there once the rest is.
func TestReaderTornRecord(t *testing.T) {
	for _, left := range []int{8, 16, 24, 1000, 5000} {
		b := newBuilder(xlog.Config{Version: pg.V15, SegSize: 1 << 20, SysID: 42, TLI: 1}, 1<<20-2*xlog.PageSize)
		b.fill(left)
		last := b.add(3*xlog.PageSize + 77)
		for cut := last.start; cut < last.start+pg.LSN(len(last.raw)); cut += 136 {
			for _, missing := range []bool{false, true} {
				torn := b.clone()
				if missing {
					torn.end = cut
				} else {
					torn.cut(cut)
				}
				r := b.reader(torn)
				expect(t, r, b.records[:len(b.records)-1])
				expectEnd(t, r)
				*torn = *b.memWAL.clone()
				expect(t, r, b.records[len(b.records)-1:])
			}
		}
	}
}

// A record that was begun before a crash and never completed is passed over where the
// WAL says so.
func TestReaderOverwrittenContRecord(t *testing.T) {
	for _, c := range []struct {
		v    *pg.Version
		segs pg.LSN
	}{{pg.V15, 0}, {pg.V15, 1}, {otherVersion, 1}} {
		const seg = 1 << 20
		b := newBuilder(xlog.Config{Version: c.v, SegSize: seg, SysID: 42, TLI: 1}, 3*seg-c.segs*xlog.PageSize)
		b.fill(5000)
		torn, _ := xlog.LayRecord(b.at, seal(b.makeRecord(4*xlog.PageSize)), b.cfg)
		pageEnd := (b.at + xlog.PageSize - 1) &^ (xlog.PageSize - 1)
		b.write(b.at, torn[0].Bytes[:pageEnd-b.at])

		r := b.reader(b)
		expect(t, r, b.records)
		expectEnd(t, r)

		n := len(b.records)
		b.at = pageEnd
		b.add(42)
		xlog.MarkOverwritten(c.v, b.pages[pageEnd])
		b.add(100)
		expect(t, r, b.records[n:])
		expect(t, b.reader(b), b.records)
	}
}

// damages are ways to break a record in the middle of the WAL.
var damages = map[string]func(b *builder, r built){
	"checksum": func(b *builder, r built) { b.flip(b.place(r, 20)) },
	"body":     func(b *builder, r built) { b.flip(b.place(r, 30)) },
	"xl_prev":  func(b *builder, r built) { b.flip(b.place(r, 9)) },
	"rmgr":     func(b *builder, r built) { b.write(b.place(r, 17), []byte{100}) },
	"length":   func(b *builder, r built) { b.flip(r.start + 1) },
	"length 0": func(b *builder, r built) { b.write(r.start, make([]byte, 4)) },
	"zeros":    func(b *builder, r built) { b.write(r.start, make([]byte, 8)) },
	"page address": func(b *builder, r built) {
		b.flip((r.end &^ (xlog.PageSize - 1)) + 8)
	},
	"continuation length": func(b *builder, r built) { b.flip((r.end &^ (xlog.PageSize - 1)) + 16) },
	"continuation flag":   func(b *builder, r built) { b.pages[r.end&^(xlog.PageSize-1)][2] ^= 1 },
	"page flags":          func(b *builder, r built) { b.flip((r.end &^ (xlog.PageSize - 1)) + 2) },
	"rmgr with a right checksum": func(b *builder, r built) {
		raw := bytes.Clone(r.raw)
		raw[17] = 100
		patches, _ := xlog.LayRecord(r.start, seal(raw), b.cfg)
		b.patch(patches)
	},
	"page magic": func(b *builder, r built) { b.flip(r.end &^ (xlog.PageSize - 1)) },
	"a page of zeros": func(b *builder, r built) {
		b.write(r.end&^(xlog.PageSize-1), make([]byte, xlog.PageSize))
	},
	"pages of zeros": func(b *builder, r built) {
		b.write(r.end&^(xlog.PageSize-1), make([]byte, 20*xlog.PageSize))
	},
	"no segment": func(b *builder, r built) {
		b.write(r.end&^pg.LSN(b.cfg.SegSize-1), make([]byte, b.cfg.SegSize))
	},
}

// place is where byte n of a record lies.
func (b *builder) place(r built, n int) pg.LSN {
	at := r.start + pg.LSN(n)
	if pageAt := at &^ (xlog.PageSize - 1); pageAt > r.start {
		at = xlog.RecordStart(pageAt, b.cfg.SegSize) + at - pageAt
	}
	return at
}

func (m *memWAL) flip(at pg.LSN) {
	m.pages[at&^(xlog.PageSize-1)][at%xlog.PageSize] ^= 0x40
}

// acrossPages gives, for each index, the next record that lies on two pages.
func acrossPages(records []built, from []int) []int {
	for k, i := range from {
		for records[i].start/xlog.PageSize == (records[i].end-1)/xlog.PageSize {
			i++
		}
		from[k] = i
	}
	return from
}

func TestReaderDamage(t *testing.T) {
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			b := newBuilder(xlog.Config{Version: pg.V15, SegSize: 1 << 20, SysID: 42, TLI: 1}, 1<<20)
			for range 3000 {
				b.add(100 + b.rnd.IntN(900))
			}
			for _, i := range acrossPages(b.records, []int{0, 20, 57, 1500}) {
				broken := &builder{memWAL: b.clone(), cfg: b.cfg, records: b.records}
				damage(broken, b.records[i])
				r := b.reader(broken)
				var rec xlog.Record
				var err error
				n := 0
				for ; err == nil; n++ {
					err = r.Next(&rec)
				}
				n--
				var d *xlog.Damage
				if !errors.As(err, &d) || !errors.Is(err, xlog.ErrCorrupt) {
					t.Fatalf("record %d: got %v (%v), want damage", i, err, r.EndReason())
				}
				if d.At != b.records[n].start || n > i || d.Proof <= d.At {
					t.Fatalf("record %d: after %d records: %v", i, n, d)
				}
				if again := r.Next(&rec); again == nil || again.Error() != err.Error() {
					t.Fatalf("again: got %v, want %v", again, err)
				}
				*broken.memWAL = *b.clone()
				expect(t, r, b.records[n:])
			}
		})
	}
}

// Any one bit changed is either found where it is or changes nothing that is read.
func TestReaderFlippedBits(t *testing.T) {
	b := newBuilder(xlog.Config{Version: pg.V15, SegSize: 1 << 20, SysID: 42, TLI: 1}, 1<<20-10*xlog.PageSize)
	start := b.at
	for range 400 {
		b.add(26 + b.rnd.IntN(2000))
	}
	sound := len(b.records) - 3
	size := int(b.records[sound].start - start)
	rnd := rand.New(rand.NewPCG(7, 7))
	for range 300 {
		at := start + pg.LSN(rnd.IntN(size))
		bit := byte(1) << rnd.IntN(8)
		b.pages[at&^(xlog.PageSize-1)][at%xlog.PageSize] ^= bit
		r := b.reader(b)
		var rec xlog.Record
		var err error
		n := 0
		for ; err == nil; n++ {
			if err = r.Next(&rec); err == nil && (n >= len(b.records) || rec.StartLSN != b.records[n].start || string(rec.Raw) != string(b.records[n].raw)) {
				t.Fatalf("flip at %v bit %02x: record %d at %v is not what was written", at, bit, n, rec.StartLSN)
			}
		}
		if n--; n == len(b.records) {
			if err != io.EOF {
				t.Fatalf("flip at %v bit %02x: %v after all records", at, bit, err)
			}
		} else if !errors.Is(err, xlog.ErrCorrupt) {
			t.Fatalf("flip at %v bit %02x: %v (%v) after %d records", at, bit, err, r.EndReason(), n)
		} else if b.records[n].end.Align() < at&^(xlog.PageSize-1) || b.records[n].start > at+xlog.PageSize {
			t.Fatalf("flip at %v bit %02x: found at record %d, %v to %v: %v", at, bit, n, b.records[n].start, b.records[n].end, err)
		}
		b.pages[at&^(xlog.PageSize-1)][at%xlog.PageSize] ^= bit
	}
}

// However many pages are lost, one that is left behind them shows it.
func TestReaderLostPages(t *testing.T) {
	for lost := pg.LSN(1); lost <= 8; lost++ {
		b := newBuilder(xlog.Config{Version: pg.V15, SegSize: 1 << 20}, 1<<20)
		b.fill(0)
		n := len(b.records)
		for b.at < 1<<20+(lost+2)*xlog.PageSize {
			b.add(300)
		}
		b.cut(b.at - 1000) // little is left, too little for one page more
		b.write(1<<20+xlog.PageSize, make([]byte, lost*xlog.PageSize))
		r := b.reader(b)
		expect(t, r, b.records[:n])
		var rec xlog.Record
		if err := r.Next(&rec); !errors.Is(err, xlog.ErrCorrupt) {
			t.Errorf("%d pages lost: %v", lost, err)
		}
	}
}

func TestReaderChecksTimeline(t *testing.T) {
	b := newBuilder(xlog.Config{Version: pg.V15, SegSize: 1 << 20, TLI: 3}, 1<<20)
	b.fill(0)
	n := len(b.records)
	b.cfg.TLI = 2
	b.fill(0)
	r := b.reader(b)
	expect(t, r, b.records[:n])
	var rec xlog.Record
	if err := r.Next(&rec); !errors.Is(err, xlog.ErrCorrupt) {
		t.Fatalf("timeline 2 after 3: %v", err)
	}
}

func TestReaderChecksPrev(t *testing.T) {
	b := newBuilder(xlog.Config{Version: pg.V15, SegSize: 1 << 20}, 1<<20)
	b.add(100)
	b.add(100)
	b.add(100)
	r := xlog.NewReader(b, b.cfg, b.records[0].end)
	r.SetPrev(b.records[0].start)
	expect(t, r, b.records[1:])

	b.prev = b.at + 8
	b.add(100)
	expectEnd(t, xlog.NewReader(b, b.cfg, b.records[3].start))

	r = xlog.NewReader(b, b.cfg, b.records[0].end)
	r.SetPrev(b.records[0].start - 8)
	var rec xlog.Record
	if err := r.Next(&rec); !errors.Is(err, xlog.ErrCorrupt) {
		t.Fatalf("got %v, want ErrCorrupt", err)
	}
}

func TestReaderForeignWAL(t *testing.T) {
	cfg := xlog.Config{Version: pg.V15, SegSize: 1 << 20, SysID: 42, TLI: 1}
	for name, c := range map[string]struct {
		spoil func(b *builder)
		cfg   xlog.Config
		want  error
	}{
		"version 14":   {func(b *builder) { b.write(1<<20, []byte{0x0D, 0xD1}) }, cfg, xlog.ErrVersion},
		"version 16":   {func(b *builder) { b.write(1<<20, []byte{0x13, 0xD1}) }, cfg, xlog.ErrVersion},
		"system":       {func(b *builder) {}, xlog.Config{Version: pg.V15, SegSize: 1 << 20, SysID: 43}, xlog.ErrCorrupt},
		"segment size": {func(b *builder) { b.write(1<<20+32, []byte{0, 0, 32, 0}) }, cfg, xlog.ErrCorrupt},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBuilder(cfg, 1<<20)
			shapes(b)
			c.spoil(b)
			var rec xlog.Record
			if err := xlog.NewReader(b, c.cfg, 1<<20).Next(&rec); !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			// From the middle of the segment, too.
			if err := xlog.NewReader(b, c.cfg, b.records[len(b.records)-10].start).Next(&rec); !errors.Is(err, c.want) {
				t.Fatalf("from the middle: got %v, want %v", err, c.want)
			}
		})
	}
}

// A Config or a Decode without a Version must not take one for granted.
func TestReaderWithoutVersion(t *testing.T) {
	cfg := xlog.Config{Version: pg.V15, SegSize: 1 << 20, SysID: 42, TLI: 1}
	b := newBuilder(cfg, 1<<20)
	raw := b.add(64).raw
	rec := xlog.Record{V: pg.V15}
	if err := xlog.NewReader(b, xlog.Config{SegSize: 1 << 20}, 1<<20).Next(&rec); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("a reader without a version: got %v", err)
	}
	if err := xlog.Decode(nil, raw, 8, 16, &rec); err == nil {
		t.Error("a record of no version was decoded")
	}
	if err := b.reader(b).Next(&rec); err != nil || rec.V != cfg.Version {
		t.Errorf("got a record of %v (%v), want one of %v", rec.V, err, cfg.Version)
	}
}

var errDisk = errors.New("input/output error")

type failingSource struct {
	xlog.Source
	fail bool
}

func (s *failingSource) ReadWAL(p []byte, at pg.LSN) (int, error) {
	if s.fail {
		return 0, errDisk
	}
	return s.Source.ReadWAL(p, at)
}

func TestReaderSourceError(t *testing.T) {
	b := newBuilder(xlog.Config{Version: pg.V15, SegSize: 1 << 20}, 1<<20)
	shapes(b)
	src := &failingSource{Source: b, fail: true}
	r := b.reader(src)
	var rec xlog.Record
	if err := r.Next(&rec); !errors.Is(err, errDisk) {
		t.Fatalf("got %v, want the source's error", err)
	}
	src.fail = false
	expect(t, r, b.records)
}

func TestReadFull(t *testing.T) {
	w := newMemWAL()
	w.end, w.step = 1<<20+100, 7
	for i := range 100 {
		w.write(1<<20+pg.LSN(i), []byte{byte(i)})
	}
	for _, test := range []struct {
		src xlog.Source
		at  pg.LSN
		n   int
		err error
		say string
	}{
		{w, 1<<20 + 3, 40, nil, ""},
		{w, 1<<20 + 50, 50, nil, ""},
		{w, 1<<20 + 100, 0, nil, ""},
		{w, 1<<20 + 50, 51, io.ErrUnexpectedEOF, "0/100064"},
		{w, 1<<20 + 200, 1, io.ErrUnexpectedEOF, "0/1000C8"},
		{&failingSource{Source: w, fail: true}, 1 << 20, 1, errDisk, "0/100000"},
	} {
		p := make([]byte, test.n)
		err := xlog.ReadFull(test.src, p, test.at)
		if !errors.Is(err, test.err) || err != nil && !strings.Contains(err.Error(), test.say) {
			t.Errorf("read %d bytes at %v: got %v, want %v at %s", test.n, test.at, err, test.err, test.say)
		}
		if err == nil && test.n > 0 && p[test.n-1] != byte(int(test.at&0xff)+test.n-1) {
			t.Errorf("read %d bytes at %v: the last is %d", test.n, test.at, p[test.n-1])
		}
	}
}

// A length that no memory holds costs none until pages come that announce it.
func TestReaderHugeLength(t *testing.T) {
	b := newBuilder(xlog.Config{Version: pg.V15, SegSize: 1 << 20}, 1<<20)
	b.add(100)
	raw := b.makeRecord(20000)
	binary.LittleEndian.PutUint32(raw, 0xFFFFFFF0)
	patches, _ := xlog.LayRecord(b.at, raw, b.cfg)
	b.patch(patches)
	r := b.reader(b)
	expect(t, r, b.records)
	if n := testing.AllocsPerRun(10, func() { expectEnd(t, r) }); n > 1000 {
		t.Fatalf("%v allocations", n)
	}
}

// What is written while the reader holds older bytes of the same pages is read without
// an end between.
func TestReaderReadsAfresh(t *testing.T) {
	b := newBuilder(xlog.Config{Version: pg.V15, SegSize: 1 << 20}, 1<<20)
	for range 10 {
		b.add(100)
	}
	r := b.reader(b)
	expect(t, r, b.records[:5])
	b.add(500)
	b.add(2 * xlog.PageSize)
	b.fill(0)
	b.add(100)
	expect(t, r, b.records[5:])
	for n := len(b.records); n < 150; n++ {
		b.add(100)
		expect(t, r, b.records[n:])
	}
}

// After a crash of the machine later pages of the old WAL may be there behind the end of
// the new, with the right addresses. They lead back to before the end, so they prove
// nothing.
func TestReaderIgnoresPagesOfALostFuture(t *testing.T) {
	b := newBuilder(xlog.Config{Version: pg.V15, SegSize: 1 << 20, SysID: 42, TLI: 1}, 1<<20)
	for b.at < 1<<20+6*xlog.PageSize {
		b.add(600)
	}
	// The server lost the third page's records from the second on, and went on there.
	cut := 0
	for b.records[cut].start < 1<<20+2*xlog.PageSize {
		cut++
	}
	crashed := &builder{memWAL: b.clone(), cfg: b.cfg, rnd: b.rnd, records: b.records[:cut+1], at: b.records[cut].end, prev: b.records[cut].start}
	rest := xlog.PageSize - crashed.at%xlog.PageSize
	crashed.write(crashed.at, make([]byte, rest))
	crashed.fill(80)
	r := crashed.reader(crashed)
	expect(t, r, crashed.records)
	expectEnd(t, r)
	n := len(crashed.records)
	crashed.add(50)
	expect(t, r, crashed.records[n:])
	expectEnd(t, r)
}
